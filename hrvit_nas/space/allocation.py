"""An allocation over branches at a wanted cost, as an architecture of a space.

A search is compared with the published allocation at equal cost. The comparison is of allocations
alone where both sides are in one space: `arch.scale_to_cost` takes any width, this takes the
space's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

from hrvit_nas.arch import ArchError, ArchSpec, scale_widths

from .by_cost import CostOf
from .genes import Gene, SpaceError, Value
from .space import Space

CLOSE = 0.01
"""Share of the wanted cost within which it counts as met."""
WIDTHS = frozenset({"stem_width", "head_width", "width", "head_dim"})
"""Fields that an allocation keeps in proportion; every other field it keeps as it is."""
FACTORS = (1 / 16, 4.0)
HALVINGS = 40
NEAREST, MOST_MIXTURES = 4, 20_000
"""Choices of each width that are looked at, nearest to proportional first, and ways to mix them."""


def scaled_arch(space: Space, spec: ArchSpec, cost: CostOf, target: float) -> ArchSpec | None:
    """An architecture of a space with another one's allocation that costs a target, to within 1%.

    Blocks, strip widths, ratios and kinds stay; stem, head, branches and head dim take choices of
    the space. Of the architectures within 1% of the target the one whose widths are most nearly
    proportional is returned. Limits of the space are not looked at.

    Args:
        space: Where from.
        spec: Whose allocation.
        cost: Rises with widths, such as multiply-adds.
        target: Cost wanted, in the unit of `cost`.

    Returns:
        The architecture; None where the space has none, since it lacks a choice of the allocation,
        or no widths come that close.

    Raises:
        ArchError: The target is not positive.
    """
    if target <= 0:
        raise ArchError(f"a target cost must be positive, got {target}")
    wanted = _values(space, spec)
    if wanted is None:
        return None
    factor = _factor(spec, cost, target)
    scaled = {
        gene.name: factor * value
        for gene, value in wanted.items()
        if _is_width(gene) and isinstance(value, int)
    }
    for values in _mixtures(space, wanted, scaled):
        try:
            codes = [_code(gene, values[gene.name]) for gene in space.genes]
            arch = space.decode(codes)
        except (SpaceError, ArchError):
            continue
        if abs(cost(arch) / target - 1) <= CLOSE:
            return arch
    return None


def _is_width(gene: Gene) -> bool:
    return gene.field.split(".")[-1] in WIDTHS


def _values(space: Space, spec: ArchSpec) -> dict[Gene, Value | None] | None:
    """What an architecture has for each gene; None where a gene cannot say it."""
    values: dict[Gene, Value | None] = {}
    for gene in space.genes:
        try:
            found = {target.of(spec) for target in gene.targets(space.base)}
        except IndexError:  # it has fewer modules or branches
            return None
        if len(found) != 1:
            return None
        value = found.pop()
        if not _is_width(gene) and value is not None and value not in gene.choices:
            return None
        values[gene] = value
    return values


def _factor(spec: ArchSpec, cost: CostOf, target: float) -> float:
    """The multiple of all widths whose cost comes nearest to the target, by bisection."""
    low, high = (math.log(factor) for factor in FACTORS)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if cost(scale_widths(spec, math.exp(middle))) < target:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def _mixtures(
    space: Space, wanted: dict[Gene, Value | None], scaled: dict[str, float]
) -> Iterator[dict[str, Value | None]]:
    """Assignments of widths near the proportional ones, the most nearly proportional first."""
    nearest = max(1, min(NEAREST, int(MOST_MIXTURES ** (1 / max(1, len(scaled))))))
    options: dict[str, list[tuple[float, int]]] = {}
    for gene in space.genes:
        if gene.name in scaled:
            gaps = [
                (abs(math.log(choice / scaled[gene.name])), choice)
                for choice in gene.choices
                if isinstance(choice, int)
            ]
            options[gene.name] = sorted(gaps)[:nearest]
    mixtures = sorted(
        product(*options.values()), key=lambda mixture: sum(gap**2 for gap, _ in mixture)
    )
    fixed = {gene.name: value for gene, value in wanted.items() if gene.name not in scaled}
    for mixture in mixtures:
        yield fixed | {name: choice for name, (_, choice) in zip(options, mixture, strict=True)}


def _code(gene: Gene, value: Value | None) -> int:
    return -1 if value is None else gene.choices.index(value)
