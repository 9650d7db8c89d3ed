"""Ctrl-C is noted even where its exception is lost."""

import os
import signal

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
