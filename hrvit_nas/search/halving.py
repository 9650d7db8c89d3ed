"""Multi-objective asynchronous successive halving: which architectures are trained on.

Every architecture is trained to the lowest rung, a number of optimiser steps. As soon as a free
worker finds enough scores on a rung, the best of those that are not trained on yet goes on to the
next, from where it was paused. Li et al., "A system for massively parallel hyperparameter tuning",
MLSys 2020; with several objectives, Schmucker et al., "Multi-objective asynchronous successive
halving", 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from .._names import SelectorName
from ..arch import Arch
from ..results import pareto_front
from ..samplers import Values
from .config_parts import Frozen

Floats: TypeAlias = NDArray[np.float64]


def fronts(points: Floats, count: int) -> list[list[int]]:
    """Non-dominated sorting: the frontier, that of the rest, and so on.

    Args:
        points: Array (n, d), a score to be maximised and costs to be minimised.
        count: Fronts come as long as those before have fewer points than these.
    """
    left = list(range(len(points)))
    found: list[list[int]] = []
    while left and len(points) - len(left) < count:
        on = pareto_front(points[left])
        if not on.any():  # with a NaN, none is comparable
            return [*found, left]
        found.append([index for index, is_on in zip(left, on, strict=True) if is_on])
        left = [index for index, is_on in zip(left, on, strict=True) if not is_on]
    return found


def by_crowding(points: Floats) -> list[int]:
    """The points of a front, the lonelier first (Deb et al., NSGA-II, 2002)."""
    distance = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        extent = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if extent > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / extent
    return sorted(range(len(points)), key=lambda index: -distance[index])


def by_epsilon_net(points: Floats) -> list[int]:
    """The points of a front, each as far as can be from those before it; the best score first
    (Salinas et al., "A multi-objective perspective on jointly tuning hardware and
    hyperparameters", 2021).
    """
    extent = np.ptp(points, axis=0)
    scaled = points / np.where(extent > 0, extent, 1.0)
    chosen = [int(np.argmax(points[:, 0]))]
    nearest = np.linalg.norm(scaled - scaled[chosen[0]], axis=1)
    while len(chosen) < len(points):
        nearest[chosen] = -1
        farthest = int(np.argmax(nearest))
        chosen.append(farthest)
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[farthest], axis=1))
    return chosen


_ORDERS: dict[SelectorName, Callable[[Floats], list[int]]] = {
    "nsga2": by_crowding,
    "epsnet": by_epsilon_net,
}


class MoAsha(Frozen):
    """Asynchronous successive halving with several objectives.

    Attributes:
        kind: What it is.
        grace_period: Optimiser steps of the lowest rung, to which every architecture is trained;
            None = those of the highest by the reduction factor.
        reduction_factor: Of the architectures on a rung, one in so many goes on to the next.
        mo_selector: What orders architectures of which none dominates another: `nsga2` by their
            crowding distance, `epsnet` by an epsilon-net.
    """

    kind: Literal["mo_asha"] = "mo_asha"
    grace_period: int | None = Field(default=None, ge=1)
    reduction_factor: int = Field(default=3, ge=2)
    mo_selector: SelectorName = "epsnet"

    def rungs(self, max_t: int) -> tuple[int, ...]:
        """Optimiser steps of each rung, rising: those of the lowest times powers of the reduction
        factor, and `max_t`.

        Raises:
            ValueError: The lowest is not below the highest.
        """
        lowest = self.grace_period or max(1, max_t // self.reduction_factor)
        if lowest >= max_t:
            raise ValueError(
                f"grace_period must be below the {max_t} steps of the highest rung, got {lowest}"
            )
        found = [lowest]
        while found[-1] * self.reduction_factor < max_t:
            found.append(found[-1] * self.reduction_factor)
        return (*found, max_t)

    def best(self, values: Mapping[str, Values]) -> list[str]:
        """Ids of those that are to go on from a rung, the best first: front after front, each as
        the selector orders it.

        Args:
            values: Score and costs of those that have reached the rung, by id, in any order.
        """
        ids = sorted(values)  # so that it does not hang on which ended first
        points = np.array([values[arch_id] for arch_id in ids], np.float64)
        count, select = len(ids) // self.reduction_factor, _ORDERS[self.mo_selector]
        order = (ids[front[at]] for front in fronts(points, count) for at in select(points[front]))
        return list(islice(order, count))


class Rungs:
    """Which architectures have reached which rung of a search, and which goes on next.

    Args:
        scheduler: What decides.
        steps: Optimiser steps of each rung, rising.
    """

    def __init__(self, scheduler: MoAsha, steps: Sequence[int]) -> None:
        self._scheduler, self._steps = scheduler, tuple(steps)
        self._archs: dict[str, Arch] = {}
        self._begun: dict[int, set[str]] = {budget: set() for budget in steps}
        self._values: dict[int, dict[str, Values]] = {budget: {} for budget in steps}
        self._best: dict[int, list[str]] = {budget: [] for budget in steps}

    def begin(self, arch: Arch, budget: int) -> None:
        """An architecture is being trained to a rung."""
        self._begun[budget].add(arch.id)

    def end(self, arch: Arch, budget: int, values: Values | None) -> None:
        """It has reached the rung, with its score and costs; None = it failed."""
        self.begin(arch, budget)
        if values is not None:
            self._archs[arch.id] = arch
            self._values[budget][arch.id] = values
            self._best[budget] = self._scheduler.best(self._values[budget])

    def next(self) -> tuple[Arch, int] | None:
        """What goes on from the highest rung that has such, and to which rung; None if nothing."""
        for rung in range(len(self._steps) - 1, 0, -1):
            below, here = self._steps[rung - 1], self._steps[rung]
            for arch_id in self._best[below]:
                if arch_id not in self._begun[here]:
                    return self._archs[arch_id], rung
        return None
