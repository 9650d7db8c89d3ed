"""Signals that end a program, noted even where the exception that they raise is lost."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Sent by SLURM, Kubernetes, systemd and `timeout`, and by a terminal that is closed."""


class Interrupts:
    """Notes SIGINT, SIGTERM and SIGHUP while the block lasts, and raises KeyboardInterrupt.

    An exception that strikes in a destructor or in a callback of C code is printed or lost, not
    raised; what was noted is not. SIGTERM and SIGHUP go the way of Ctrl-C, whoever has taken that
    over meanwhile, as Ray Tune does to end its trials first.

    Attributes:
        number: The signal that came first; None before any.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    @property
    def seen(self) -> bool:
        """Whether a signal has come."""
        return self.number is not None

    @property
    def status(self) -> int:
        """Exit status, as shells have it: that of Ctrl-C before any signal has come."""
        return 128 + (self.number or signal.SIGINT)

    def __enter__(self) -> Interrupts:
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING)}
        for number, handler in self._before.items():
            # A background job of a shell ignores Ctrl-C, and one of nohup SIGHUP, and goes on
            # ignoring it.
            if handler is not signal.SIG_IGN and handler is not None:
                signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        handler = signal.getsignal(signal.SIGINT)
        if number != signal.SIGINT and callable(handler) and handler != self._note:
            handler(signal.SIGINT, frame)
        else:
            raise KeyboardInterrupt
