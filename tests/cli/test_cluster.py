"""`hrvit-search` as a user runs it: on a machine of its own, and on a cluster of two nodes."""

import csv
import json
from collections import Counter

import pytest

from hrvit_nas.results import TrialStore

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PATIENCE_S = 240


def is_complete(directory):
    names = ("config.json", "provenance.json", "study.db", "trials.jsonl", "trials.parquet")
    for name in (*names, "frontier.csv", "frontier.png"):
        assert (directory / name).stat().st_size, name
    assert (directory / "frontier.png").read_bytes().startswith(b"\x89PNG")
    assert any((directory / "checkpoints").iterdir())
    assert not (directory / "training").exists()
    return True


def nodes_of(directory):
    """The nodes on which trials have ended, also while the run goes on."""
    with TrialStore(directory) as store:
        return {record.worker.split("/")[1] for record in store.records()}


def test_a_search_on_this_machine_prints_its_own_lines_alone(start_search, profile, tmp_path):
    process = start_search(
        *("--profile", profile, "--executor", "ray_tune", "--trials", 3, "--confirm", 2),
        *("--output", "run", "--sampler", "tpe"),
    )
    assert process.wait(PATIENCE_S) == 0
    assert process.err.read_text() == ""
    with TrialStore(tmp_path / "run") as store:
        records = store.records()
    assert is_complete(tmp_path / "run")
    lines = process.out.read_text().splitlines()
    assert sum(line.startswith("[") for line in lines) == len(records)
    assert lines[0].startswith("space heterogeneous_branches: ")
    assert any("b1 scaled" in line for line in lines if line.startswith("│"))
    assert any("(n=2)" in line for line in lines if line.startswith("│"))
    assert lines[-1].endswith("are in run; hrvit-report run shows it as a page")
    ours = (
        *("space", "data", "3 trials", "[", "frontier", "of ", "whether", "this search", "run/"),
        "multiply-adds of the frontier",
        "hypervolume of the frontier",
    )
    table = ("┏", "┃", "┡", "│", "└")
    assert [line for line in lines if not line.startswith((*ours, *table))] == []
    with (tmp_path / "run" / "frontier.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(row["miou_low"] for row in rows if row["confirmed"] == "True")


def test_trials_run_on_both_nodes_and_survive_the_death_of_one(
    start_search, profile, tmp_path, two_nodes, wait_for, wait_for_trials
):
    run, trials = tmp_path / "run", 5
    process = start_search(
        *("--profile", profile, "--trials", trials, "--steps", 60, "--output", "run"),
        *("--executor", "ray_tune", "--address", two_nodes.address),
    )
    wait_for_trials(run, process)
    wait_for(lambda: nodes_of(run) >= set(two_nodes.names), process)  # both go on to others
    head, other = two_nodes.names
    two_nodes.kill(other)
    assert process.wait(PATIENCE_S) == 0, process.err.read_text()
    assert process.err.read_text() == ""
    with TrialStore(run) as store:
        records = store.records()
    assert Counter(record.purpose for record in records)["search"] == trials
    assert {(record.state, record.error) for record in records} == {("complete", "")}
    assert len({record.key for record in records}) == len(records)
    assert nodes_of(run) == {head, other}
    assert is_complete(run)
    config = json.loads((run / "config.json").read_text())["config"]
    assert config["resources"]["address"] == two_nodes.address
