"""SIGTERM while Ray starts or ends, or has ended: it ends the program as at any other moment."""

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.ray

STARTING = """
made = ray._raylet.CoreWorker

def strike(*arguments, **options):
    worker = made(*arguments, **options)  # its C++ part has just taken the signal
    os.kill(os.getpid(), signal.SIGTERM)
    return worker

ray._raylet.CoreWorker = strike
"""
ENDING = """
ends = ray.shutdown

def strike(*arguments, **options):
    ends(*arguments, **options)  # its C++ part has just left the signal to the system
    os.kill(os.getpid(), signal.SIGTERM)

ray.shutdown = strike
"""
ENDED = "after = lambda: os.kill(os.getpid(), signal.SIGTERM)"
PROGRAM = """
import os, signal
import ray
from hrvit_nas.cli.interrupts import Interrupts
from hrvit_nas.execution import Resources, make_executor

after = lambda: None
{}
with Interrupts() as interrupts:
    try:
        with make_executor(Resources(workers=1)).session():
            pass
        after()
        print("went on")
    except KeyboardInterrupt:
        print("interrupted by", interrupts.number)
"""


@pytest.mark.parametrize("strike", [STARTING, ENDING, ENDED], ids=["starting", "ending", "ended"])
def test_a_signal_that_ray_has_just_taken_is_ours(strike):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(strike)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (ended.returncode, ended.stdout) == (0, f"interrupted by {int(signal.SIGTERM)}\n")
    assert "SIGTERM received" not in ended.stderr
