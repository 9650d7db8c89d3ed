"""The page on extending, followed to the letter in a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hrvit_nas

PACKAGE = Path(hrvit_nas.__file__).parent
PAGE = PACKAGE.parent / "docs" / "extending.md"
TRY = """
from dataclasses import replace
import torch
from hrvit_nas import build_segmentor, estimate_cost, get_arch
from hrvit_nas.arch import scale_widths
from hrvit_nas.evaluation.fvcore_count import count_macs
from hrvit_nas.report.drawing import drawing_data, drawing_svg
from hrvit_nas import build_supernet, extract, load_space
base = scale_widths(get_arch("hrvit_b1"), 0.25)
def changed(branch):
    return replace(branch, attention="global", strip_width=None)
spec = replace(base, modules=tuple(
    replace(m, branches=tuple(map(changed, m.branches))) for m in base.modules))
model = build_segmentor(spec, 5)
model(torch.randn(2, 3, 32, 64)).mean().backward()
assert all(p.grad is not None for p in model.parameters())
cost = estimate_cost(spec, (32, 64), num_classes=5)
assert count_macs(model, (32, 64)) == cost.by("operator"), cost.by("operator")
assert cost.macs > estimate_cost(base, (32, 64), num_classes=5).macs
assert cost.params == sum(p.numel() for p in model.parameters())
assert "global, exp." in drawing_svg(drawing_data(spec, "it", image_size=(32, 64)))
space = load_space("space.yaml")
supernet = build_supernet(space, 5).eval()
member = space.spec_of({"kind": "global"})
images = torch.randn(1, 3, 32, 32)
with torch.no_grad():
    torch.testing.assert_close(supernet(images, member), extract(supernet, member).eval()(images))
"""
SPACE = """
schema_version: 1
description: Two kinds.
base: hrvit_b1
genes:
  kind: {field: "modules.*.branches.*.attention", choices: [cross_shaped, global]}
"""


def blocks(text, heading):
    """(file, table or None, code) of each block of a section, as the words before it say."""
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    file = None
    for found in re.finditer(r"(.*?)```python\n(.*?)```", section, re.DOTALL):
        words, code = found.groups()
        named = re.findall(r"`(hrvit_nas/[\w/]+\.py)`", words)
        file = named[-1] if named else file
        table = re.findall(r"\bin `([A-Z_]+)`", words)
        yield file, table[-1] if table else None, code


def put(source, table, code):
    """Puts an entry at the end of a table, or a class before the first table."""
    if table is None:
        place = source.index("\n\n\n", source.rindex("\nclass ")) + 3
    else:
        place = source.index("    }\n)", source.index(f"\n{table}:"))
    return source[:place] + code + ("" if table else "\n\n") + source[place:]


@pytest.fixture
def copy(tmp_path):
    for name in (PACKAGE.name, "experiments", "search_spaces"):
        shutil.copytree(
            PACKAGE.parent / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def test_an_attention_kind_is_three_entries(copy):
    found = list(blocks(PAGE.read_text(encoding="utf-8"), "An attention kind"))
    assert [table for _, table, _ in found] == [
        *("ATTENTION_KINDS", None, "ATTENTION_COSTS", None, "ATTENTION_MODULES")
    ]
    for file, table, code in found:
        path = copy / file
        path.write_text(put(path.read_text(encoding="utf-8"), table, code), encoding="utf-8")
    (copy / "space.yaml").write_text(SPACE)
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", TRY], env=environment, cwd=copy, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
