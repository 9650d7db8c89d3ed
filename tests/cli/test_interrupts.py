"""Ctrl-C and SIGTERM are noted even where their exception is lost."""

import os
import signal
import subprocess
import sys

import pytest

from hrvit_nas.cli.interrupts import Interrupts


@pytest.fixture
def default_handler():
    """Python's own handler of Ctrl-C: a background job of a shell, as CI may be, starts without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Swallows:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("default_handler")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_lost_in_a_destructor_is_noted():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        assert not interrupts.seen
        thing = Swallows()
        del thing
        assert interrupts.seen
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("default_handler")
def test_elsewhere_it_is_raised():
    with pytest.raises(KeyboardInterrupt), Interrupts():
        os.kill(os.getpid(), signal.SIGINT)


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGINT)
        assert not interrupts.seen
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("default_handler")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_of_schedulers_go_the_way_of_ctrl_c(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        os.kill(os.getpid(), number)
    assert interrupts.status == 128 + number
    assert signal.getsignal(number) is before
    heard = []
    with Interrupts() as interrupts:
        mine = signal.signal(signal.SIGINT, lambda *_: heard.append(number))  # as Ray Tune does
        os.kill(os.getpid(), number)
        signal.signal(signal.SIGINT, mine)
    assert heard == [number]
    assert interrupts.status == 128 + number


def test_where_ctrl_c_is_ignored_sigterm_is_heard():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.status == 143
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("default_handler")
def test_the_signal_that_came_first_is_the_status():
    with Interrupts() as interrupts:
        for number in (signal.SIGTERM, signal.SIGINT):
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
    assert interrupts.status == 143


COMMAND = """
import os, typer
from hrvit_nas.cli.errors import run_app
app = typer.Typer()
@app.command()
def main():
    os.kill(os.getpid(), NUMBER)
run_app(app, "hrvit-command")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_struck_before_it_has_begun_says_so(number):
    """As while it imports, where nothing but `run_app` takes signals."""
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND.replace("NUMBER", str(int(number)))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 128 + number
    assert ended.stderr == "hrvit-command: interrupted\n"


MISSED = """    try:
        os.kill(os.getpid(), NUMBER)
    except KeyboardInterrupt:
        raise ValueError("what was struck too does not answer") from None
"""


def test_what_fails_since_it_was_struck_too_is_no_fault_of_the_users():
    command = COMMAND.replace("    os.kill(os.getpid(), NUMBER)\n", MISSED)
    ended = subprocess.run(
        [sys.executable, "-c", command.replace("NUMBER", str(int(signal.SIGTERM)))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (143, "hrvit-command: interrupted\n")


RUN = """
import os, signal, sys
from hrvit_nas.cli import search
from hrvit_nas.execution import ExecutionError
from hrvit_nas.search import run

def struck(*arguments):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        raise ExecutionError("Ray does not answer") from None

run.continue_run = struck
sys.argv = ["hrvit-search", "--space", "heterogeneous_branches", "--data", "none",
            "--executor", "inline", "--output", sys.argv[1]]
search.main()
"""


def test_a_run_whose_ray_was_struck_too_says_how_to_go_on(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", RUN, tmp_path / "run"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (143, "")
    assert ended.stdout.endswith(f"Continue with: hrvit-search --resume {tmp_path / 'run'}\n")
