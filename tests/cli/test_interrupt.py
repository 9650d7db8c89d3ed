"""Signals at any moment, then --resume: as many trials as asked for, none of them twice."""

import os
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

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


def left_in(folder):
    """What is there, but for torch's own cache, which it keeps for all programs of a user."""
    return [path for path in folder.iterdir() if not path.name.startswith("torchinductor_")]


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
def temporary(monkeypatch):
    """Where what is started keeps its temporary files; short enough for Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture
def start(start_search, profile):
    return lambda *more: start_search(
        *("--profile", profile, "--executor", "ray_tune", "--trials", TRIALS, "--steps", 8),
        *("--output", "run", *more),
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_then_resume(start, wait_for_trials, tmp_path, ray_runtime, temporary, number):
    directory = tmp_path / "run"
    process = start()
    wait_for_trials(directory, process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: to the whole group
    else:
        process.send_signal(number)
    assert process.wait(PATIENCE_S) == 128 + number
    assert process.err.read_text() == ""
    *_, hint = process.out.read_text().splitlines()
    assert hint == "interrupted; nothing is lost. Continue with: hrvit-search --resume run"
    assert all_gone(process)
    assert left_in(temporary) == []
    before = records_in(directory)
    assert 1 <= len(before) < TRIALS + 3
    for name in ("trials.parquet", "frontier.csv", "frontier.png"):
        assert (directory / name).stat().st_size
    resume_and_check(directory, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_ray_starts(start, wait_for, tmp_path, temporary, number):
    process = start()
    wait_for((tmp_path / "run" / "study.db").exists, process)  # made just before
    os.killpg(process.pid, number)
    assert process.wait(PATIENCE_S) == 128 + number
    assert "Traceback" not in process.err.read_text()
    assert "--resume run" in process.out.read_text()
    assert all_gone(process)
    assert left_in(temporary) == []
    assert records_in(tmp_path / "run") == []


def test_a_killed_driver_leaves_nothing_behind_and_can_be_resumed(
    start, wait_for_trials, tmp_path, ray_runtime, temporary
):
    directory = tmp_path / "run"
    process = start()
    wait_for_trials(directory, process)
    process.kill()
    process.wait()
    assert all_gone(process)
    hint = "hrvit-search: killed; nothing is lost. Continue with: hrvit-search --resume run\n"
    assert process.err.read_text() == hint
    assert left_in(temporary) == []
    resume_and_check(directory, records_in(directory))
