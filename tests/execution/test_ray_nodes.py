"""Nodes of a cluster join and die while trials run."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PATIENCE_S = 240


@pytest.fixture
def gated(tmp_path, two_nodes):
    """Four trials that run on a cluster of two nodes."""
    (tmp_path / "of_driver").mkdir()
    script = Path(__file__).with_name("gated.py")
    driver = subprocess.Popen(
        [sys.executable, script, two_nodes.address, tmp_path, "4"],
        env={**os.environ, "TMPDIR": str(tmp_path / "of_driver")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield driver
    driver.kill()
    driver.communicate()


def test_trials_go_on_where_a_node_dies_and_a_late_one_is_used(gated, two_nodes, tmp_path):
    def started(count):
        """Seed and node of each start of a trial, once there are so many."""
        deadline = time.monotonic() + PATIENCE_S
        while len(found := sorted(tmp_path.glob("started-*"))) < count:
            assert gated.poll() is None, gated.stderr.read()
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return [tuple(path.name.split("-")[1:3]) for path in found]

    def end(*seeds):
        for seed in seeds:
            (tmp_path / f"end-{seed}").touch()

    head, dying = two_nodes.names
    node_of = dict(started(2))
    assert set(node_of.values()) == {head, dying}
    late = two_nodes.add()
    assert dict(started(3))["2"] == late
    two_nodes.kill(dying)
    (lost,) = (seed for seed, node in node_of.items() if node == dying)
    end(*{"0", "1", "2"} - {lost})
    started(5)  # the fourth trial, and again the one that was lost
    end(lost, "3")
    out, err = gated.communicate(timeout=PATIENCE_S)
    assert gated.returncode == 0, err
    ended = json.loads(out.splitlines()[-1])  # after what Ray says of the node
    assert sorted(seed for seed, *_ in ended) == [0, 1, 2, 3]
    assert {(state, error) for _, state, error, _ in ended} == {("complete", "")}
    assert {node for *_, node in ended} == {head, late}
    assert sorted(seed for seed, _ in started(5)) == sorted([*"0123", lost])
