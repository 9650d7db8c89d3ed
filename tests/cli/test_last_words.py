"""The line that a program leaves where it is ended without being asked, and no other."""

import signal
import subprocess
import sys

import pytest

from hrvit_nas.cli import last_words

PROGRAM = """
import os, sys
from hrvit_nas.cli.last_words import last_words
with last_words("killed; 'go on'"):
    {}
print("done")
"""


def ended(how):
    """Status and stderr of a program that does this in the block."""
    program = PROGRAM.format(how)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("how", "status"),
    [
        (f"os.kill(os.getpid(), {int(signal.SIGKILL)})", -signal.SIGKILL),
        (f"os.kill(os.getpid(), {int(signal.SIGTERM)})", -signal.SIGTERM),
        ("os._exit(1)", 1),  # as Ray's C++ part does
        ("os.abort()", -signal.SIGABRT),
    ],
)
def test_it_is_printed_where_the_program_ends_before_the_block(how, status):
    assert ended(how) == (status, "killed; 'go on'\n")


@pytest.mark.parametrize(("how", "status"), [("pass", 0), ("sys.exit(3)", 3)])
def test_it_is_not_printed_where_the_block_ends(how, status):
    assert ended(how) == (status, "")


def test_an_error_is_raised_as_it_is_and_nothing_is_left(monkeypatch):
    made = []
    started = subprocess.Popen
    monkeypatch.setattr(
        last_words.subprocess, "Popen", lambda *a, **k: made.append(started(*a, **k)) or made[-1]
    )
    with pytest.raises(LookupError, match="gone"), last_words.last_words("killed"):
        raise LookupError("gone")
    assert made[0].returncode == 0
