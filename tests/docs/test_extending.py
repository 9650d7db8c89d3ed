"""The page on extending, followed to the letter in a copy of the package."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
from PIL import Image

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
subnet = space.spec_of({"kind": "global"})
images = torch.randn(1, 3, 32, 32)
with torch.no_grad():
    torch.testing.assert_close(supernet(images, subnet), extract(supernet, subnet).eval()(images))
"""
SPACE = """
schema_version: 1
description: Two kinds.
base: hrvit_b1
genes:
  kind: {field: "modules.*.branches.*.attention", choices: [cross_shaped, global]}
"""


TRY_HEAD = """
from dataclasses import replace
import torch
from hrvit_nas import build_segmentor, build_supernet, estimate_cost, extract, get_arch, load_space
from hrvit_nas.arch import parse_arch, scale_widths
from hrvit_nas.evaluation.fvcore_count import count_macs
from hrvit_nas.report.drawing import drawing_data
for name in ("hrvit_b1", "cswin_ti"):
    spec = replace(scale_widths(get_arch(name), 0.25), head_kind="top_down")
    assert parse_arch(spec.to_json()) == spec
    model = build_segmentor(spec, 5)
    model(torch.randn(2, 3, 32, 64)).mean().backward()
    assert all(p.grad is not None for p in model.parameters())
    cost = estimate_cost(spec, (32, 64), num_classes=5)
    assert count_macs(model, (32, 64)) == cost.by("operator"), cost.by("operator")
    assert cost.params == sum(p.numel() for p in model.parameters())
    assert "top-down head" in drawing_data(spec, "it", image_size=(32, 64)).caption
space = load_space("space.yaml")
supernet = build_supernet(space, 5).eval()
images = torch.randn(1, 3, 32, 32)
subnet = space.spec_of({"head": "top_down", "width": 16})
with torch.no_grad():
    torch.testing.assert_close(supernet(images, subnet), extract(supernet, subnet).eval()(images))
"""
HEADS = """
schema_version: 1
description: Three kinds of head.
base: {arch: hrvit_b1, width_factor: 0.25}
genes:
  head: {field: head_kind, choices: [segformer, upernet, top_down]}
  width: {field: head_width, choices: [16, 32]}
"""
TRY_LAYOUT = """
from pathlib import Path
from hrvit_nas.data import DataConfig, DataError, load_data
config = DataConfig(name="voc", root="voc")
split = load_data(config).val
assert set(split.load(0)[1].ravel().tolist()) == {0, 5, 20, 255}
names = Path("voc/ImageSets/Segmentation/val.txt")
for damage, said in (
    (lambda: names.write_text(""), "data set 'voc' has no image in its split 'val'"),
    (names.unlink, f"list of images is missing: {names.resolve()}"),
):
    damage()
    try:
        load_data(config)
    except DataError as error:
        assert str(error) == said, error
    else:
        raise AssertionError(said)
"""


def blocks(text, heading):
    """(file, table or None, code) of each block of a section, as the words before it say."""
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    file = None
    for found in re.finditer(r"(.*?)```python\n(.*?)```", section, re.DOTALL):
        words, code = found.groups()
        named = re.findall(r"`(hrvit_nas/[\w/]+\.py|replicate\.py)`", words)
        file = named[-1] if named else file
        table = re.findall(r"\bin `([A-Z_]+)`", words)
        yield file, table[-1] if table else None, code


def put(source, table, code):
    """Puts an entry at the end of a table, a class after the last, a function before the first.

    An import goes after the last, and what there is no file for becomes one.
    """
    if not source:
        return code
    if code.startswith("from "):
        place = [*re.finditer(r"^from .*\n", source, re.MULTILINE)][-1].end()
        return source[:place] + code + source[place:]
    if table is not None:
        begun = re.search(rf"^{table}\b.*[({{]$", source, re.MULTILINE).end()
        place = begun + re.search(r"^(    \}\n\)|[)}])", source[begun:], re.MULTILINE).start()
    elif code.startswith("def "):
        place = re.search(r"^(def|class|@)", source, re.MULTILINE).start()
    else:
        place = source.index("\n\n\n", source.rindex("\nclass ")) + 3
    return source[:place] + code + ("" if table else "\n\n") + source[place:]


def follow(heading, copy):
    """Puts every block of a section where it says; returns the tables that were named."""
    tables = []
    for file, table, code in blocks(PAGE.read_text(encoding="utf-8"), heading):
        path = copy / file
        source = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(put(source, table, code), encoding="utf-8")
        tables.append(table)
    return tables


def run(copy, *command):
    """Runs Python with the package of the copy; returns what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-P", *command], env=environment, cwd=copy, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def copy(tmp_path):
    for name in (PACKAGE.name, "experiments", "search_spaces"):
        shutil.copytree(
            PACKAGE.parent / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def test_an_attention_kind_is_three_entries(copy):
    assert follow("An attention kind", copy) == [
        *("ATTENTION_KINDS", None, "ATTENTION_COSTS", None, "ATTENTION_MODULES")
    ]
    (copy / "space.yaml").write_text(SPACE)
    run(copy, "-c", TRY)


def test_a_head_is_three_entries(copy):
    assert follow("A head", copy) == ["HEAD_KINDS", None, "HEAD_COSTS", None, "HEAD_MODULES"]
    (copy / "space.yaml").write_text(HEADS)
    run(copy, "-c", TRY_HEAD)


def voc_tree(root):
    """Two training images and one for validation."""
    for folder in ("ImageSets/Segmentation", "JPEGImages", "SegmentationClass"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, names in (("train", ("2007_000032", "2007_000039")), ("val", ("2007_000033",))):
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            image = rng.integers(0, 256, (40, 56, 3), np.uint8)
            Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg")
            mask = Image.fromarray(rng.choice([0, 5, 20, 255], (40, 56)).astype(np.uint8))
            mask.putpalette([*range(256)] * 3)  # as the real ones, whose colours mean nothing
            mask.save(root / "SegmentationClass" / f"{name}.png")


def test_a_data_layout_is_a_module_and_an_entry(copy, profile):
    assert follow("A data layout", copy) == [None, None, "LAYOUTS"]
    voc_tree(copy / "voc")
    said = run(
        copy,
        *("-m", "hrvit_nas.cli.search", "--profile", profile, "--trials", "1", "--output", "run"),
        *("--data", "voc", "--data-root", "voc"),
    )
    assert "data voc: 2 training and 1 validation" in " ".join(said.split())
    stored = json.loads((copy / "run" / "config.json").read_text())["config"]
    assert (stored["data"]["name"], stored["num_classes"]) == ("voc", 21)
    run(copy, "-c", TRY_LAYOUT)


def test_a_sampler_and_an_objective_are_searched_by(copy, profile):
    assert follow("A sampler", copy) == ["SAMPLERS", None, "OPTUNA_SAMPLERS"]
    assert follow("An objective", copy) == ["_DECLARED"]
    said = run(
        copy,
        *("-m", "hrvit_nas.cli.search", "--profile", profile, "--trials", "6", "--output", "run"),
        *("--sampler", "nsga3", "--population", "4"),
        *("--cost", "published_macs", "--cost", "params"),
    )
    assert "sampler nsga3" in said
    assert "published" in said  # its column
    records = [json.loads(line) for line in (copy / "run" / "trials.jsonl").open()]
    studied = optuna.load_study(study_name="search", storage=f"sqlite:///{copy}/run/study.db")
    values = {tuple(trial.values) for trial in studied.trials if trial.values}
    assert values == {
        (record["miou"], record["published_macs"], record["params"])
        for record in records
        if record["purpose"] == "search"
    }
    assert (copy / "run" / "frontier.png").stat().st_size > 10_000


def test_a_plan_is_a_module_and_an_entry(copy):
    assert follow("A plan", copy) == [None, None, "KINDS", None]
    said = run(copy, "replicate.py").splitlines()
    records = [json.loads(line) for line in (copy / "replication" / "trials.jsonl").open()]
    assert len(said) == len(records) == 4
    assert {record["state"] for record in records} == {"complete"}
    assert {record["purpose"] for record in records} == {"confirmation"}
    assert {record["evaluator"] for record in records} == {"trained"}
    arches = {record["arch_id"] for record in records}
    pairs = {(record["arch_id"], record["seed"]) for record in records}
    assert len(arches) == 2
    assert pairs == {(arch, seed) for arch in arches for seed in (0, 1)}
    stored = json.loads((copy / "replication" / "config.json").read_text())["config"]
    assert (stored["kind"], stored["num_classes"]) == ("replication", 10)
    again = "from pathlib import Path\nfrom types import SimpleNamespace\n"
    again += "from hrvit_nas.search.run import continue_run, open_run\n"
    again += "none = SimpleNamespace(started=None, ended=None, supernet=None)\n"
    again += "run = open_run(Path('replication'))\ncontinue_run(run, none)\nrun.close()"
    run(copy, "-c", again)  # nothing is left to do
    run(copy, "-m", "hrvit_nas.cli.report", "replication")
    page = (copy / "replication" / "report.html").read_text(encoding="utf-8")
    assert "a replication" in page
