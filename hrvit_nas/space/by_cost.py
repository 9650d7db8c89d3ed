"""Architectures of a space chosen by what they cost.

Uniform draws crowd around the middle of the cost range, where most architectures are, and leave a
small number of them without a cheap or a dear one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from hrvit_nas.arch import ArchSpec

from .genes import SpaceError
from .space import Space

CostOf = Callable[[ArchSpec], float]
"""Cost of an architecture, above 0."""

STARTS = 64
CLIMBS = 3


def spread_archs(
    space: Space, count: int, cost: CostOf, rng: Random, *, draws: int
) -> list[ArchSpec]:
    """Picks, of uniform draws, those nearest to even steps of the logarithm of the cost.

    Args:
        space: Where from.
        count: How many; fewer come back where the draws hold fewer architectures.
        cost: What to spread over.
        rng: Of the draws.
        draws: Architectures drawn; the more, the wider the range and the evener the steps.

    Returns:
        Architectures by rising target cost, none twice.
    """
    archs = {spec: math.log(cost(spec)) for spec in (space.sample(rng) for _ in range(draws))}
    low, high = min(archs.values()), max(archs.values())
    chosen = []
    for step in range(min(count, len(archs))):
        target = low + (high - low) * step / max(1, count - 1)
        nearest = min(archs, key=lambda spec: abs(archs[spec] - target))
        del archs[nearest]
        chosen.append(nearest)
    return chosen


def extreme_arch(space: Space, cost: CostOf, rng: Random, *, largest: bool) -> ArchSpec:
    """The dearest or the cheapest architecture that a climb finds, within the space's limits.

    The climb starts from the best of some draws and changes a gene at a time, as long as that
    helps. Where every gene raises the cost on its own it finds the extreme itself; limits and
    constraints can stop it short.

    Args:
        space: Where from.
        cost: What is extreme.
        rng: Of the draws.
        largest: Whether the dearest is looked for, or the cheapest.
    """
    sign = 1 if largest else -1

    def height(spec: ArchSpec) -> float:
        return sign * cost(spec)

    starts = sorted((space.sample(rng) for _ in range(STARTS)), key=height, reverse=True)
    return max((_climbed(space, start, height, rng) for start in starts[:CLIMBS]), key=height)


def _climbed(space: Space, spec: ArchSpec, height: CostOf, rng: Random) -> ArchSpec:
    best, climbs = height(spec), True
    while climbs:
        climbs = False
        for gene in space.genes:
            for choice in gene.choices:
                values = space.genes_of(spec)
                if values[gene.name] in (None, choice):
                    continue
                try:
                    there = space.nearest({**values, gene.name: choice}, rng)
                except SpaceError:  # nothing within the limits is near
                    continue
                if height(there) > best:
                    spec, best, climbs = there, height(there), True
    return spec


class CostStrata:
    """Draws architectures evenly over the logarithm of their cost.

    The range of costs is cut into strata of equal width. A draw takes a stratum, all alike, and an
    architecture of it. Strata that uniform draws of the space miss are filled by varying
    architectures until their costs fall there, so that the small end is not starved.

    Args:
        space: Where from.
        cost: What to be even in.
        ends: A cheap and a dear architecture, which are between them the range.
        rng: Of the architectures that fill the strata.
        strata: Number of strata.
        archs: Architectures of each, where so many are found.
    """

    def __init__(
        self,
        space: Space,
        cost: CostOf,
        ends: tuple[ArchSpec, ArchSpec],
        rng: Random,
        *,
        strata: int = 16,
        archs: int = 64,
    ) -> None:
        low, high = (math.log(cost(end)) for end in ends)
        found: list[dict[ArchSpec, None]] = [{} for _ in range(strata)]

        def put(spec: ArchSpec) -> None:
            share = (math.log(cost(spec)) - low) / (high - low) if high > low else 0.0
            stratum = found[min(strata - 1, max(0, int(share * strata)))]
            if len(stratum) < archs:
                stratum[spec] = None

        for end in ends:
            put(end)
        for _ in range(strata * archs // 2):
            put(space.sample(rng))
        for _ in range(strata * archs):
            # Steps from thin strata, most of which lead back towards the middle.
            thin = min((s for s in found if s), key=lambda stratum: len(stratum))
            put(space.mutate(rng.choice(list(thin)), rng))
        self._strata = [tuple(stratum) for stratum in found if stratum]

    def sample(self, rng: Random) -> ArchSpec:
        """Draws an architecture."""
        return rng.choice(rng.choice(self._strata))
