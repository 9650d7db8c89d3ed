"""Members of a space spread evenly over its cost range."""

from __future__ import annotations

import math
from random import Random

from ..arch import ArchSpec
from ..cost import estimate_cost
from ..space import Space
from .config import SearchConfig


def spread_members(
    space: Space, count: int, config: SearchConfig, rng: Random, *, draws: int
) -> list[ArchSpec]:
    """Picks, of uniform draws, those nearest to even steps of the logarithm of the cost.

    Uniform draws crowd around the middle of the cost range, where most members are, and leave a
    small number of them without a cheap or a dear architecture.

    Args:
        space: Where from.
        count: How many; fewer come back where the draws hold fewer members.
        config: Whose cost and image size count; a latency counts as multiply-adds.
        rng: Of the draws.
        draws: Members drawn; the more, the wider the range and the evener the steps.

    Returns:
        Members by rising target cost, none twice.
    """
    metric = "params" if config.cost == "params" else "macs"

    def log_cost(spec: ArchSpec) -> float:
        return math.log(getattr(estimate_cost(spec, config.image_size), metric))

    members = {spec: log_cost(spec) for spec in (space.sample(rng) for _ in range(draws))}
    low, high = min(members.values()), max(members.values())
    chosen = []
    for step in range(min(count, len(members))):
        target = low + (high - low) * step / max(1, count - 1)
        nearest = min(members, key=lambda spec: abs(members[spec] - target))
        del members[nearest]
        chosen.append(nearest)
    return chosen
