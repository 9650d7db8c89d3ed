"""The sampler of a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..space import Space
from ..space.by_cost import CostOf
from .base import Sampler, SamplerError, SamplerName
from .ehvi_sampler import EhviSampler
from .optuna_sampler import OptunaSampler


def make_sampler(
    space: Space,
    cost: CostOf,
    *,
    name: SamplerName,
    costs: Sequence[CostOf | None],
    work: CostOf,
    **others: Any,
) -> Sampler:
    """Makes a sampler.

    Args:
        space: Where from.
        cost: What a first generation is spread over.
        name: Which.
        costs: What the score is weighed against, each a function of the architecture; None for one
            that is measured.
        work: What a score takes to have, in any unit; for samplers that weigh it.
        others: See `OptunaSampler`.

    Raises:
        SamplerError: The storage cannot be used, or a cost is not known where it must be.
    """
    if name != "ehvi":
        return OptunaSampler(space, cost, name=name, num_costs=len(costs), **others)
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        raise SamplerError("sampler ehvi needs costs that are computed, not measured")
    return EhviSampler(space, known, work=work, name=name, **others)
