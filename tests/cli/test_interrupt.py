"""Ctrl-C and kill at any moment, then --resume: as many trials as asked for, none of them twice."""

import os
import signal
import time
from collections import Counter

import pytest

from hrvit_nas.results import TrialStore
from hrvit_nas.search.run import continue_run, open_run

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PATIENCE_S = 240
TRIALS = 3


class Nobody:
    def started(self, trial): ...

    def ended(self, record, summary): ...


def all_gone(process, command=b""):
    """Whether what a search started ends too, in the seconds that it needs."""
    deadline = time.monotonic() + 60
    while process.left_over(command) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not process.left_over(command)


def records_in(directory):
    with TrialStore(directory) as store:
        return store.records()


def resume_and_check(directory, before):
    run = open_run(directory, {}, {})
    try:
        continue_run(run, Nobody())
    finally:
        run.close()
    records = records_in(directory)
    assert records[: len(before)] == before
    assert Counter(record.purpose for record in records)["search"] == TRIALS
    assert len({record.key for record in records}) == len(records)
    assert {record.state for record in records} == {"complete"}


@pytest.fixture
def start(start_search, profile):
    return lambda *more: start_search(
        *("--profile", profile, "--executor", "ray_tune", "--trials", TRIALS, "--steps", 8),
        *("--output", "run", *more),
    )


def test_ctrl_c_then_resume(start, wait_for_trials, tmp_path, ray_runtime):
    directory = tmp_path / "run"
    process = start()
    wait_for_trials(directory, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    assert process.wait(PATIENCE_S) == 130
    assert process.err.read_text() == ""
    *_, hint = process.out.read_text().splitlines()
    assert hint == "interrupted; nothing is lost. Continue with: hrvit-search --resume run"
    assert all_gone(process)
    before = records_in(directory)
    assert 1 <= len(before) < TRIALS + 3
    for name in ("trials.parquet", "frontier.csv", "frontier.png"):
        assert (directory / name).stat().st_size
    resume_and_check(directory, before)


def test_ctrl_c_while_ray_starts(start, wait_for, tmp_path):
    process = start()
    wait_for((tmp_path / "run" / "study.db").exists, process)  # made just before
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE_S) == 130
    assert "Traceback" not in process.err.read_text()
    assert "--resume run" in process.out.read_text()
    assert all_gone(process)
    assert records_in(tmp_path / "run") == []


def test_a_killed_driver_takes_its_workers_along_and_can_be_resumed(
    start, wait_for_trials, tmp_path, ray_runtime
):
    directory = tmp_path / "run"
    process = start()
    wait_for_trials(directory, process)
    process.kill()
    process.wait()
    assert all_gone(process, command=b"ray::ResourceTrainable")
    resume_and_check(directory, records_in(directory))
