"""What a search begins with, before there is anything to learn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from ..arch import ArchSpec, get_hrvit
from ..space import Space
from ..space.allocation import scaled_arch
from ..space.by_cost import CostOf, spread_archs

DRAWS = 64
PRESET_COSTS = 3
"""Costs that the allocation of a preset is scaled to."""


def first_generation(
    space: Space, cost: CostOf, count: int, presets: Sequence[str], rng: Random, *, spread: bool
) -> list[ArchSpec]:
    """Architectures spread evenly over the logarithm of the cost, after presets' allocations.

    Uniform draws crowd around the middle of the cost range, where most architectures are, and leave
    a small budget without a cheap or a dear one to start from. Those of middling cost come first,
    which is worth more to a search that has trained but one or two (docs/benchmarks.md).

    Args:
        space: Where from.
        cost: What to spread over.
        count: Architectures; more where presets alone are more, or leave no room for both ends.
        presets: Each comes in at several costs, as far as the space holds its allocation there.
        rng: Of the draws.
        spread: Whether any but those of presets are wanted.

    Returns:
        Architectures, none twice: those of presets by rising cost, then from the middle outwards.
    """
    if not spread and not presets:
        return []
    drawn = spread_archs(space, count, cost, rng, draws=DRAWS)
    low, high = (math.log(cost(drawn[end])) for end in (0, -1))
    first: list[ArchSpec] = []
    for name in presets:
        for place in range(PRESET_COSTS):
            target = math.exp(low + (place + 0.5) / PRESET_COSTS * (high - low))
            found = scaled_arch(space, get_hrvit(name), cost, target)
            if found is not None and space.contains(found):
                first.append(found)
    first = list(dict.fromkeys(first))
    if spread:
        # As many as there is room for, the ends among them.
        room = max(2, count - len(first))
        outwards = sorted(range(room), key=lambda n: abs(2 * n - (room - 1)))
        first += [drawn[round(n * (len(drawn) - 1) / (room - 1))] for n in outwards]
    return list(dict.fromkeys(first))
