"""The short form of the benchmark that kills runs: one SIGKILL."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "kill.py"


def test_what_is_killed_and_gone_on_with_is_as_if_nothing_had_been(tmp_path):
    arguments = ["--output", tmp_path, "--only", "search", "--kills", 1, "--terms", 0, "--seed", 8]
    done = subprocess.run(
        [sys.executable, BENCHMARK, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        cwd=BENCHMARK.parents[1],
    )
    *_, last = done.stdout.splitlines()
    assert last.startswith("1 runs (driver 1)")
    assert last.endswith(
        "trials lost 0, on record twice 0, failed 0, tables different 0, left over 0, unexpected"
        " statuses 0"
    )
