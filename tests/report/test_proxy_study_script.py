"""analysis/proxy_study.py: what it declares fits, and its report is made of run directories."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import yaml

from hrvit_nas.results import TrialStore
from hrvit_nas.space import load_space

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "analysis" / "proxy_study.py"))
STUDY = yaml.safe_load(SCRIPT["STUDY"].read_text())


@pytest.mark.parametrize("name", STUDY["remedies"])
def test_every_remedy_changes_the_base_recipe_alone(name, tmp_path):
    def configured(remedy):
        return SCRIPT["configured"](STUDY, remedy, tmp_path)

    base, config = configured({}), configured(STUDY["remedies"][name])
    assert config.recipe != base.recipe
    assert config.model_copy(update={"recipe": base.recipe}) == base
    assert (base.calibrate, base.calibration_seeds) == (24, 2)
    assert set(base.narrowing.choices) <= {gene.name for gene in load_space(base.space).genes}


def test_readings_are_of_declared_remedies():
    assert {reading["of"] for reading in STUDY["readings"].values()} <= set(STUDY["remedies"])
    assert {STUDY["baseline"], STUDY["target"]} <= set(STUDY["remedies"])


@pytest.fixture
def study_dir(tmp_path, record):
    """A study of two remedies that are complete, and one that is not."""
    rng = np.random.default_rng(0)
    truth = 0.2 + 0.02 * rng.standard_normal(24)
    for name in ("plain", "more steps", "class weights"):
        with TrialStore(SCRIPT["folder"](tmp_path, name), write=True) as store:
            for seed in (0, 1):
                for arch in range(24 if name != "class weights" else 10):
                    score = truth[arch] + 0.01 * rng.standard_normal()
                    point = {"step": 100, "miou": score, "averaged_miou": score, "fw_iou": score}
                    point |= {"boundary_miou": score, "cross_entropy": 1 - score, "seconds": 30.0}
                    store.append(
                        record(
                            arch_id=f"{arch:012x}",
                            origin="calibration",
                            seed=seed,
                            macs=10**7 * (1 + arch),
                            history=(tuple(point.values()),),
                        )
                    )
    return tmp_path


def test_the_report_has_a_row_a_complete_remedy_and_a_reading(study_dir, capsys):
    figure = study_dir / "proxy.svg"
    SCRIPT["main"](["report", str(study_dir), "--figure", str(figure)])
    output = capsys.readouterr()
    rows = [line.split("|")[1].strip() for line in output.out.splitlines()[2:]]
    assert rows[:2] == ["plain", "more steps"]
    assert "cross entropy" in rows
    assert "class weights: 20 of 48 trials; left out" in output.err
    assert "24 architectures, 2 seeds each" in figure.read_text()


def test_bad_input_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        SCRIPT["main"](["report", str(tmp_path)])
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("proxy_study: no scores of 'plain'")
    run = SCRIPT["folder"](tmp_path, "plain")
    run.mkdir()
    (run / "config.json").write_text(json.dumps({}))
    with pytest.raises(SystemExit) as caught:
        SCRIPT["main"](["run", str(tmp_path), "--data-root", str(tmp_path)])
    assert caught.value.code == 2
