"""Work that grows with the trials done, kept within a share of the time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

GROWING_SHARE = 0.02

T = TypeVar("T")


class TimeShare:
    """Keeps work that is done again and again within a share of the time.

    Args:
        share: Above 0.
    """

    def __init__(self, share: float = GROWING_SHARE) -> None:
        self._share = share
        self._due = -math.inf

    def do(self, work: Callable[[], T]) -> T | None:
        """Does the work, unless it took too much of the time lately; None if it was not done."""
        begun = time.monotonic()
        if begun < self._due:
            return None
        done = work()
        now = time.monotonic()
        self._due = now + (now - begun) / self._share
        return done
