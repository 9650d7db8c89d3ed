"""Trials that failed, handed out again."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable

from ..results import Trial, TrialKey, TrialResult
from .base import TrialSource

MOST_LOST = 10
"""Deaths of nodes that are nobody's fault; a trial that has seen more may be their cause."""

_log = logging.getLogger(__name__)


class Retries:
    """A source of trials that hands out those that failed again, before any other.

    Args:
        source: Where trials come from.
        on_end: Called with what came of a trial in the end.
        most: How often a trial is tried again, beside what a node's death has cost.
    """

    def __init__(
        self, source: TrialSource, on_end: Callable[[Trial, TrialResult], None], most: int
    ) -> None:
        self._source, self._on_end, self._most = source, on_end, most
        self._again: deque[Trial] = deque()
        self._failures: Counter[TrialKey] = Counter()
        self._lost: Counter[TrialKey] = Counter()

    @property
    def finished(self) -> bool:
        """See `TrialSource`."""
        return self._source.finished

    def next(self) -> Trial | None:
        """See `TrialSource`."""
        return self._again.popleft() if self._again else self._source.next()

    def ended(self, trial: Trial, result: TrialResult) -> None:
        """Takes what came of a trial; one that failed is tried again, if it may be."""
        if result.state == "failed":
            self._failures[trial.key] += 1
        attempts = trial.attempts + self._failures[trial.key] + (result.state == "complete")
        if result.state == "failed" and attempts <= self._most:
            _log.warning(
                "trial %d failed and is tried again (%d of %d): %s",
                *(trial.number, attempts, self._most, result.error),
            )
            self._again.append(trial)
            return
        self._on_end(trial, result.model_copy(update={"attempts": attempts}))

    def lost(self, trial: Trial) -> None:
        """Takes back a trial whose node is gone, which is not its own fault, up to a limit."""
        self._lost[trial.key] += 1
        if self._lost[trial.key] > MOST_LOST:
            self.ended(trial, TrialResult.failed(f"its node was lost {MOST_LOST + 1} times"))
        else:
            self._again.append(trial)
