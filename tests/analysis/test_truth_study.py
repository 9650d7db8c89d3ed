"""analysis/truth_study.py and validity_study.py on a study of seconds."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import yaml

from hrvit_nas.results.benchmark import load_benchmark

ROOT = Path(__file__).parents[2]
TRUTH, VALIDITY = (ROOT / "analysis" / f"{name}_study.py" for name in ("truth", "validity"))
ARCHS = 4


@pytest.fixture(scope="module")
def call():
    """Runs a script in this process; returns its status and what it printed."""

    def call(script, capsys, *arguments):
        module = runpy.run_path(str(script))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [script.name, *map(str, arguments)])
            with pytest.raises(SystemExit) as caught:
                module["run_app"](module["app"], script.stem)
        return caught.value.code or 0, capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of the laptop's space on few small images, with two steps of training."""
    folder = tmp_path_factory.mktemp("study")
    profile = yaml.safe_load((ROOT / "experiments" / "laptop.yaml").read_text())
    limit = {"metric": "macs", "min": 2.8e6, "max": 1.2e7, "image_size": [32, 48]}
    profile["narrowing"]["limits"] = [limit]
    profile["data"] = {"name": "scenes", "num_train": 8, "num_val": 4}
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile))
    recipe = {
        "description": "x",
        "image_size": [32, 48],
        "recipe": {
            **{"optimizer": "muon", "steps": 1, "batch_size": 2, "warmup_steps": 0},
            "recalibration_batches": 1,
            "augment": {"crop_size": [32, 48]},
        },
        "long": {"steps": 4, "evaluations": 4},
        "supernet": {"steps": 1, "recalibration_batches": 1},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    declared = yaml.safe_load((ROOT / "experiments/studies/truth_scenes.yaml").read_text())
    declared |= {"profile": str(folder / "profile.yaml"), "recipe": str(folder / "recipe.yaml")}
    declared |= {"spread": 6, "costs": 2, "variations": 2}
    path = folder / "truth_scenes.yaml"
    path.write_text(yaml.safe_dump(declared))
    return path


@pytest.fixture(scope="module")
def trained(study, call, tmp_path_factory):
    """The folders of the study's two parts."""
    folders = [tmp_path_factory.mktemp("parts") for _ in range(2)]
    module = runpy.run_path(str(TRUTH))
    for part, folder in enumerate(folders):
        module["run"](str(study), folder, part=f"{part}/2", archs=ARCHS)
    return folders


def rows_of(path):
    """Scores without their seconds."""
    return [row[:3] for row in json.loads(path.read_text())["rows"]]


def test_parts_share_out_the_trials_and_a_second_run_gives_the_same_numbers(
    study, trained, call, capsys, tmp_path
):
    names = [sorted(path.name for path in folder.iterdir()) for folder in trained]
    assert len({*names[0], *names[1]}) == len(names[0]) + len(names[1]) == 2 * ARCHS
    kinds = {json.loads(path.read_text())["kind"] for path in trained[0].iterdir()}
    assert "allocation" in kinds
    first = trained[0] / names[0][0]
    before = first.read_bytes()
    other = trained[0] / names[0][1]
    kept = rows_of(other)
    other.unlink()
    status, said = call(TRUTH, capsys, "run", study, trained[0], "--part", "0/2", "--archs", ARCHS)
    assert status == 0
    assert len(said.out.splitlines()) == 1  # what was there is not trained again
    assert first.read_bytes() == before
    assert rows_of(other) == kept


def test_parts_are_merged_into_a_table_that_grows(study, trained, call, capsys, tmp_path):
    target = tmp_path / "table.parquet"
    assert call(TRUTH, capsys, "table", study, trained[0], "--output", target)[0] == 0
    some = load_benchmark(target)
    assert len(some.table) == 4 * len(list(trained[0].iterdir()))
    assert call(TRUTH, capsys, "table", study, trained[1], "--output", target)[0] == 0
    found = load_benchmark(target)
    assert (found.steps, found.seeds, len(found.arch_ids)) == ((1, 2, 3, 4), (0, 1), ARCHS)
    assert len(found.table) == 4 * 2 * ARCHS
    assert found.study["recipe"]["steps"] == 4
    content = json.loads(next(trained[0].iterdir()).read_text())
    content["recipe"]["learning_rate"] = 1.0
    (tmp_path / "0123456789ab-s0.json").write_text(json.dumps(content))
    status, said = call(TRUTH, capsys, "table", study, tmp_path, "--output", target)
    assert status == 2
    assert "is of another recipe or data" in said.err


def test_proxies_are_judged_by_a_table(study, trained, call, capsys, tmp_path, monkeypatch):
    target = tmp_path / "table.parquet"
    call(TRUTH, capsys, "table", study, *trained, "--output", target)
    declared = {
        "description": "x",
        "schedules": [1, 2],
        "seeds": [0, 1],
        "supernet": {"steps": 1, "fine_tune": [0, 1], "candidates": 10},
        "wanted": {"tau": 1.01, "low": 0.4},
    }
    module = runpy.run_path(str(VALIDITY))
    path = tmp_path / "validity.yaml"
    path.write_text(yaml.safe_dump(declared))
    monkeypatch.setitem(module["_load"].__globals__, "STUDY", path)
    output = tmp_path / "proxies"
    module["run"](str(target), output)
    assert len(list(output.glob("schedule-*.json"))) == 2 * 2 * ARCHS
    assert len(list(output.glob("supernet-*.json"))) == 2 * ARCHS
    capsys.readouterr()
    module["report"](str(target), output, tmp_path / "figure.svg")
    said = capsys.readouterr().out
    rows = {line.split("|")[1].strip() for line in said.splitlines() if line.startswith("| ")}
    assert {
        *("first 1 of 4 steps, which ships", "first 3 of 4 steps"),
        "curve extrapolated from 3 steps",
        *("complete schedule of 2 steps", "complete schedule of 2 steps, mean of 2 seeds"),
        *("inherited weights", "inherited, 1 steps of fine-tuning"),
    } <= rows
    assert "no proxy reaches a tau of 1.01" in said
    assert "4 architectures, 2 seeds" in (tmp_path / "figure.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "moon", "x"], "no study 'truth_moon'; known: "),
        (["run", "scenes", "x", "--part", "2/2"], "--part must be such as 0/2 or 1/2, got '2/2'"),
        (["table", "scenes", "x"], "no trials in x"),
    ],
)
def test_bad_input_is_one_line(arguments, message, call, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, said = call(TRUTH, capsys, *arguments)
    assert status == 2
    assert message in said.err
    assert len(said.err.strip().splitlines()) == 1
