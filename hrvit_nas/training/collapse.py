"""Collapse of a supernet's training: how it shows, and the state that training returns to."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from .progress import StepLoss, SupernetProgress, TrainingFailedError

GOOD_STEPS = 50
"""Steps between two states that a collapsed training can return to; the last but one is taken."""
CLIFF_STEPS = 16
"""Steps whose mean loss is compared with the lowest such mean so far."""
CLIFF_LOSS = 2.0
"""Times the lowest mean loss at which training counts as collapsed."""
CLIFF_MIOU = 0.5
"""Share of the best mIoU of the largest subnet below which training counts as collapsed."""
MAX_RETURNS = 3
RETURN_RATE = 0.5
"""Factor of the learning rate after each return."""

State = dict[str, Any]
"""Model, optimiser and progress, as plain data."""


class CollapseGuard:
    """Sees a training collapse and takes it back, with a lower rate, other batches and subnets."""

    def __init__(self) -> None:
        self._good: State = {}
        self._candidate: State = {}

    @staticmethod
    def rate(returns: int) -> float:
        """Factor of the learning rate after so many returns."""
        return RETURN_RATE**returns

    @staticmethod
    def has_collapsed(progress: SupernetProgress) -> bool:
        """Whether the last step's losses, or scores had after it, say so."""
        return _losses_jumped(progress.losses) or _scores_fell(progress)

    def start(self, state: State) -> None:
        """Returns to this state until there is a later one."""
        self._good = self._candidate = deepcopy(state)

    def keep(self, step: int, state: Callable[[], State]) -> None:
        """Keeps the state after some step, where it is time to."""
        if step % GOOD_STEPS == 0:
            # What was taken last may already be on its way down.
            self._good, self._candidate = self._candidate, deepcopy(state())

    def take_back(self, progress: SupernetProgress) -> State:
        """The state to go on from after a collapse at the last step; it is the caller's own.

        Raises:
            TrainingFailedError: Training has collapsed too often.
        """
        step = progress.step - 1
        if len(progress.returns) == MAX_RETURNS:
            raise TrainingFailedError(step, progress.losses[-1].largest, math.nan)
        # A copy: what is trained on goes on changing.
        state = deepcopy(self._good)
        state["progress"]["returns"] = [*progress.returns, step]
        return state

    def state_dict(self) -> dict[str, State]:
        """The states that it holds."""
        return {"good": self._good, "candidate": self._candidate}

    def load_state_dict(self, states: dict[str, State]) -> None:
        """Puts back what `state_dict` gave."""
        self._good, self._candidate = states["good"], states["candidate"]


def _losses_jumped(steps: list[StepLoss]) -> bool:
    losses = [loss.largest for loss in steps]
    if not math.isfinite(losses[-1]):
        return True
    if len(losses) < 2 * CLIFF_STEPS:
        return False
    means = [
        sum(losses[i : i + CLIFF_STEPS]) / CLIFF_STEPS
        for i in range(0, len(losses) - CLIFF_STEPS, CLIFF_STEPS)
    ]
    return sum(losses[-CLIFF_STEPS:]) / CLIFF_STEPS > CLIFF_LOSS * min(means)


def _scores_fell(progress: SupernetProgress) -> bool:
    checks = progress.checks
    if not checks or checks[-1].step != progress.step:
        return False
    best = max(check.largest_miou for check in checks)
    return checks[-1].largest_miou < CLIFF_MIOU * best
