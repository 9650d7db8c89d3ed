"""`hrvit-search` as a user runs it: on a machine of its own, and on a cluster of two nodes."""

import csv
import json
import subprocess
import sys
from collections import Counter

import pytest

from hrvit_nas.results import TrialStore

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PATIENCE_S = 240
TWO_NODES = """
import sys
from ray.cluster_utils import Cluster

node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
cluster.add_node(**node)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture
def two_nodes():
    """Address of a cluster of two raylets on this machine, with one CPU each."""
    cluster = subprocess.Popen(
        [sys.executable, "-c", TWO_NODES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield cluster.stdout.readline().strip()
    finally:
        cluster.stdin.close()
        try:
            cluster.wait(60)
        finally:
            cluster.kill()  # its raylets go with it
            cluster.stdout.close()


def is_complete(directory):
    names = ("config.json", "provenance.json", "study.db", "trials.jsonl", "trials.parquet")
    for name in (*names, "frontier.csv", "frontier.png"):
        assert (directory / name).stat().st_size, name
    assert (directory / "frontier.png").read_bytes().startswith(b"\x89PNG")
    assert any((directory / "checkpoints").iterdir())
    assert not (directory / "training").exists()
    return True


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
    )
    table = ("┏", "┃", "┡", "│", "└")
    assert [line for line in lines if not line.startswith((*ours, *table))] == []
    with (tmp_path / "run" / "frontier.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(row["miou_low"] for row in rows if row["confirmed"] == "True")


def test_trials_run_on_both_nodes_of_a_cluster(start_search, profile, tmp_path, two_nodes):
    process = start_search(
        *("--profile", profile, "--trials", 4, "--steps", 60, "--output", "run"),
        *("--executor", "ray_tune", "--address", two_nodes),
    )
    assert process.wait(PATIENCE_S) == 0, process.err.read_text()
    assert process.err.read_text() == ""
    with TrialStore(tmp_path / "run") as store:
        records = store.records()
    assert Counter(record.purpose for record in records)["search"] == 4
    assert {record.state for record in records} == {"complete"}
    assert len({record.worker for record in records}) == 2
    assert is_complete(tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["resources"]["address"] == two_nodes
