"""analysis/pareto.py, run as a user runs it."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from hrvit_nas.results import TrialStore
from hrvit_nas.search.layout import RunLayout
from hrvit_nas.search.stored import write_config

ROOT = Path(__file__).parents[2]


def draw(*arguments, **others):
    return subprocess.run(
        [sys.executable, str(ROOT / "analysis" / "pareto.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        **others,
    )


@pytest.fixture
def configure(make_config, tmp_path):
    """Writes the configuration of a run, with some fields changed."""

    def configure(kind="search", **changes):
        config = make_config(kind, **changes)
        started = {"as_started": config.load_space().to_dict()}
        write_config(RunLayout(tmp_path), config.model_copy(update=started))

    return configure


@pytest.fixture
def run_dir(tmp_path, record):
    with TrialStore(tmp_path, write=True) as store:
        store.append(record(params=8_200_000))
    return tmp_path


def test_it_draws_the_run_with_its_own_cost_and_names(run_dir, configure):
    configure(costs=["params"])
    output = run_dir / "again.svg"
    done = draw(run_dir, "--output", output)
    assert (done.returncode, done.stdout) == (0, f"{output}\n")
    assert "Parameters (millions)" in output.read_text()
    assert "scenes · 1 architecture" in output.read_text()
    draw(run_dir, "--cost", "macs", "--output", output)
    assert "at 32\N{MULTIPLICATION SIGN}48" in output.read_text()


def test_the_frontier_is_shaded_by_the_noise_that_the_search_stood_on(tmp_path, record, configure):
    with TrialStore(tmp_path, write=True) as store:
        for index in range(6):
            miou = 0.2 + 0.01 * index
            store.append(record(arch_id=f"{index:012x}", macs=10**8 * (1 + index), miou=miou))
    output = tmp_path / "again.svg"
    known = {
        **{"run": "runs/calibration", "steps": 1, "num_architectures": 6, "num_seeds": 2},
        **{"macs": [1, 2], "noise": 0.003, "seed_tau": "0.5", "residual_tau": "0.4"},
    }
    for noise, shaded in ((known, True), (None, False)):
        configure(proxy_noise=noise)
        assert draw(tmp_path, "--output", output).returncode == 0
        assert ("darker = likelier" in output.read_text()) is shaded


def test_it_needs_no_configuration(run_dir):
    done = draw(run_dir)
    assert done.returncode == 0
    assert (run_dir / "frontier.png").exists()


def test_several_searches_have_one_frontier(tmp_path):
    runs = [ROOT / "docs" / "data" / name for name in ("scenes", "scenes_s1", "scenes_s2")]
    searched = [r for run in runs for r in TrialStore(run).records() if r.purpose == "search"]
    ids = {record.arch_id for record in searched}
    done = draw(*runs, "--cost", "params", "--output", "all.svg", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "all.svg\n")
    assert f"scenes · {len(ids)} architectures" in (tmp_path / "all.svg").read_text()
    assert draw(*runs, cwd=tmp_path).stdout == "frontier.png\n"
    assert not any((run / "frontier.png").exists() for run in runs)


@pytest.mark.parametrize(
    ("config", "arguments", "message"),
    [
        (None, ["missing"], "cannot open missing/trials.jsonl: No such file"),
        (None, ["{run}", "--output", "{run}/none/x.png"], "cannot write"),
        (None, ["{run}", "--output", "x.jpg"], "must end in .png, .pdf, .svg"),
        (None, ["{run}", "--cost", "latency_ms"], "no complete trial has latency_ms"),
        ("{", ["{run}"], "config.json is damaged"),
        (None, ["{data}/scenes", "{data}/camvid"], "differ in data.name ('camvid' and 'scenes')"),
        ('{"config": {"data": 3}, "space": {}}', ["{run}"], "config.json: data: Input should be"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(run_dir, capsys, config, arguments, message):
    if config is not None:
        (run_dir / "config.json").write_text(config)
    main = runpy.run_path(str(ROOT / "analysis" / "pareto.py"))["main"]
    data = ROOT / "docs" / "data"
    with pytest.raises(SystemExit) as caught:
        main([argument.format(run=run_dir, data=data) for argument in arguments])
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert message in said
    assert said.count("\n") == 1
