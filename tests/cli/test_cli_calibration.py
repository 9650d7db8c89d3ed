"""A calibration from the command line: interrupted, resumed, and stood on by a search."""

import csv
import json
import os
import signal

import pytest

from hrvit_nas.cli.search import main
from hrvit_nas.report import CALIBRATION_COLUMNS
from hrvit_nas.results import TrialStore, calibrate

pytestmark = pytest.mark.slow

PATIENCE_S = 240
ARCHS, SEEDS, LONG = 6, 2, 6


@pytest.fixture
def search(run_command):
    """Runs `hrvit-search` in this process; returns what it printed."""

    def search(*arguments):
        status, out, err = run_command(main, *arguments)
        assert status == 0, err
        return out

    return search


def test_a_calibration_goes_on_where_it_stopped_and_a_search_stands_on_it(
    start_search, wait_for_trials, search, profile, tmp_path
):
    directory = tmp_path / "run"
    plan = ("--profile", profile, "--steps", 4)
    process = start_search(
        *(*plan, "--calibrate-proxy", ARCHS, "--calibration-seeds", SEEDS),
        *("--long-steps", LONG, "--output", "run"),
    )
    wait_for_trials(directory, process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE_S) == 130
    assert "--resume run" in process.out.read_text()
    with TrialStore(directory) as store:
        before = store.records()
    assert 1 <= len(before) < ARCHS * SEEDS

    said = search("--resume", "run")
    with TrialStore(directory) as store:
        records = store.records()
    assert records[: len(before)] == before
    assert len({record.key for record in records}) == len(records) == 2 * ARCHS * SEEDS
    assert {(record.budget, record.steps) for record in records} == {(4, 4), (LONG, LONG)}
    found = calibrate(records)
    assert f"validity is of {ARCHS} architectures trained for {LONG} steps" in said
    assert "calibration of the proxy on scenes" in said
    assert "tau of 0.7" in said
    with (directory / "calibration.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(CALIBRATION_COLUMNS)
    assert [int(row["steps"]) for row in rows[:4]] == [1, 2, 3, 4]
    assert {row["criterion"] for row in rows} == {
        *("miou", "fw_iou", "boundary_miou", "cross_entropy")
    }
    assert float(rows[3]["sd_seeds"]) == found.final.components.seeds.value
    assert float(rows[3]["validity"]) == found.final.validity.value
    assert not list((directory / "checkpoints").glob("*"))

    said = search(*plan, "--trials", 5, "--output", "search")
    assert "this search stands on no calibration" in said
    said = search("--resume", "search", "--calibration", "run")
    assert f"this search stands on the calibration in {directory}" in said
    config = json.loads((tmp_path / "search" / "config.json").read_text())["config"]
    assert config["proxy_noise"]["noise"] == found.final.components.seeds.value
    with (tmp_path / "search" / "frontier.csv").open() as file:
        chances = [row["frontier_probability"] for row in csv.DictReader(file)]
    # Of five tiny networks, noise may tell nothing at all.
    told = [0 < float(chance) <= 1 for chance in chances if chance]
    assert all(told)
    assert bool(told) == ("on the frontier cannot be told from luck" not in " ".join(said.split()))
