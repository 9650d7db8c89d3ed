"""Ctrl-C, noted even where the exception that it raises is lost."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import NoReturn


class Interrupts:
    """Notes SIGINT while the block lasts, and raises KeyboardInterrupt as Python does.

    An exception that strikes in a destructor or in a callback of C code is printed or lost, not
    raised; what was noted is not.

    Attributes:
        seen: Whether the signal has come.
    """

    def __init__(self) -> None:
        self.seen = False

    def __enter__(self) -> Interrupts:
        # A background job of a shell ignores the signal, and goes on ignoring it.
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if signal.getsignal(signal.SIGINT) == self._note:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG002
        self.seen = True
        raise KeyboardInterrupt
