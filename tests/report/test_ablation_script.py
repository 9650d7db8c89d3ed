"""analysis/ablation.py and analysis/baselines.py, run as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hrvit_nas.arch import get_arch
from hrvit_nas.cost import estimate_cost
from hrvit_nas.results import HistoryPoint, TrialStore
from hrvit_nas.space import apply_edits

ROOT = Path(__file__).parents[2]


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "analysis" / f"{script}.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


@pytest.fixture
def run_dir(tmp_path, record):
    """An ablation of one change, as far as two of its three seeds."""
    base = get_arch("hrvit_b1")
    changed = apply_edits(base, {"modules.*.branches.*.shortcut": "identity"})
    config = {
        "plan": "parts",
        "base": "hrvit_b1",
        "factor": 1.0,
        "arms": [
            {"name": "base", "role": "base", "arch": base.to_json()},
            {
                "name": "des",
                "role": "arm",
                "arch": changed.to_json(),
                "published": {"cityscapes_miou": "-0.5"},
            },
        ],
        "data": {"name": "scenes"},
        "num_classes": 10,
        "recipe": {"steps": 100, "augment": {"crop_size": [96, 128]}},
        "seeds": 3,
    }
    (tmp_path / "config.json").write_text(json.dumps({"ablation": config | {"resources": {}}}))
    with TrialStore(tmp_path, write=True) as store:
        for number, (spec, seed) in enumerate((s, i) for i in range(2) for s in (base, changed)):
            miou = 0.5 + 0.01 * seed - 0.2 * (spec == changed)
            store.append(
                record(
                    number=number,
                    arch_id=spec.id,
                    arch=spec.to_json(),
                    seed=seed,
                    purpose="ablation",
                    miou=miou,
                    macs=estimate_cost(spec, (96, 128)).macs,
                    history=[HistoryPoint(step=100, miou=miou, cross_entropy=2 - miou)],
                )
            )
    return tmp_path


def test_it_shows_what_an_unfinished_run_has(run_dir, tmp_path):
    done = run("ablation", run_dir, "--output", tmp_path / "forest.svg")
    assert done.returncode == 0, done.stderr
    assert "-20.00 [-20.00, -20.00] (n=2): lower" in done.stdout
    assert "hrvit_b1, scenes at 96x128" in done.stdout
    assert "published" in (tmp_path / "forest.svg").read_text()


def test_it_compares_by_cross_entropy_too(run_dir):
    done = run("ablation", run_dir, "--criterion", "cross_entropy")
    assert "+0.200 [+0.200, +0.200] (n=2): higher" in done.stdout
    assert (run_dir / "ablation.png").exists()


def test_bad_input_is_one_line(run_dir, tmp_path):
    for arguments, message in (
        ((tmp_path / "none",), "holds no run"),
        ((run_dir, "--output", "forest.txt"), "must end in .png, .pdf, .svg"),
    ):
        done = run("ablation", *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("ablation: ")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1


def test_baselines_are_printed():
    done = run("baselines")
    assert done.returncode == 0, done.stderr
    assert "| mit_b0 | 3.75 | 3.8 |" in done.stdout
    assert "hrvit_b3 over cswin_s" in done.stdout
