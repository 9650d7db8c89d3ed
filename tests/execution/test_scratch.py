"""A folder for a running program, and what is left of it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hrvit_nas.execution import scratch
from hrvit_nas.execution.scratch import scratch_folder

PROGRAM = """
import subprocess, sys, time
from hrvit_nas.execution.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "file").write_text("something")
    with (folder / "log").open("w") as log:  # as Ray's agents have, which hide their command
        stray = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=log)
    print(folder, stray.pid, flush=True)
    time.sleep(600)
"""


def in_a_while(condition, patience_s=30):
    deadline = time.monotonic() + patience_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def ended(pid):
    """Whether a process has; whoever takes it over may leave it a zombie, without a command."""
    try:
        return Path("/proc", pid, "cmdline").read_bytes() == b""
    except OSError:
        return True


def test_it_is_there_for_the_block_and_gone_after_it():
    with contextlib.ExitStack() as stack:
        with scratch_folder() as folder:
            (folder / "deep").mkdir()
            # As Ray's log stays open in the program that used it.
            stack.enter_context((folder / "deep" / "file").open("w")).write("something")
        assert not folder.exists()


def test_it_is_gone_where_the_block_fails():
    with pytest.raises(LookupError), scratch_folder() as folder:
        raise LookupError
    assert not folder.exists()


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are not listed here")
def test_nothing_is_left_of_a_program_that_was_killed():
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE) as process:
        folder, stray = process.stdout.readline().decode().split()
        assert Path(folder, "file").exists()
        process.kill()
        assert in_a_while(lambda: not Path(folder).exists())
        assert in_a_while(lambda: ended(stray))


def test_a_signal_to_a_whole_group_does_not_keep_it():
    with scratch_folder() as folder:
        (reaper,) = in_a_while(lambda: reapers_of(folder))
        assert in_a_while(lambda: ignores(reaper, signal.SIGTERM)), "it is still starting"
        os.kill(reaper, signal.SIGTERM)
        time.sleep(0.2)
        assert not ended(str(reaper))
    assert not folder.exists()


def ignores(pid, number):
    (mask,) = (
        line.split()[1]
        for line in Path("/proc", str(pid), "status").read_text().splitlines()
        if line.startswith("SigIgn:")
    )
    return bool(int(mask, 16) & 1 << (number - 1))


def reapers_of(folder):
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes()
                if b"reaper.py" in command and str(folder).encode() in command:
                    found.append(int(process.name))
    return found


def test_where_paths_are_long_a_short_one_is_found(monkeypatch, tmp_path):
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr(scratch.tempfile, "gettempdir", lambda: str(long))
    with scratch_folder() as folder:
        assert str(folder.parent) == scratch.SHORT
