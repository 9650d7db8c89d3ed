"""How the architectures of a frontier differ from those that they dominate, branch by branch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from hrvit_nas.arch import ArchSpec

from .intervals import Interval, Verdict, verdict_of

TRAITS: Mapping[str, str] = {
    "width": "width (channels)",
    "blocks": "blocks (sum over modules)",
    "strip_width": "strip width (tokens)",
    "expansion_ratio": "expansion ratio",
}
"""What is compared of a branch: the field, and its name with its unit."""


@dataclass(frozen=True, kw_only=True)
class TraitDifference:
    """One trait of one branch: frontier members beside the rest.

    Attributes:
        trait: One of `TRAITS`.
        branch: Branch, from 1 (the finest).
        frontier_mean: Mean over frontier members, in the unit of the trait.
        other_mean: Mean over the others.
        difference: Of the means, with an interval adjusted for all differences of the comparison;
            unknown where a group has one member, or neither varies.
        verdict: `higher` or `lower` (of the frontier), or `undecided`.
    """

    trait: str
    branch: int
    frontier_mean: float
    other_mean: float
    difference: Interval
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """How the allocation over branches of a frontier differs from that of the others.

    Attributes:
        differences: By trait, then branch; those that vary nowhere are left out.
        num_frontier: Frontier members.
        num_others: Architectures that they were compared with.
        confidence: Coverage of all intervals together.
    """

    differences: tuple[TraitDifference, ...]
    num_frontier: int
    num_others: int
    confidence: float


def branch_traits(spec: ArchSpec) -> dict[tuple[str, int], float]:
    """Traits of an architecture by (trait, branch from 1).

    A branch has its width, strip width and expansion ratio averaged over the modules that it is in,
    and its blocks added up. What a branch has nowhere (strips) is left out.
    """
    found: dict[tuple[str, int], list[float]] = {}
    for _, branch, part in spec.walk():
        for trait in TRAITS:
            value = getattr(part, trait)
            if value is not None:
                found.setdefault((trait, branch + 1), []).append(float(value))
    return {
        key: math.fsum(values) if key[0] == "blocks" else math.fsum(values) / len(values)
        for key, values in found.items()
    }


def compare_allocation(
    frontier: Iterable[ArchSpec], others: Iterable[ArchSpec], confidence: float = 0.95
) -> Allocation:
    """Compares the traits of two groups of architectures.

    Intervals are Welch's, adjusted for the number of traits compared (Bonferroni). Members are
    taken as independent draws, and membership as certain, which a frontier of noisy scores is not;
    a frontier spans all costs, so that this is no comparison at equal cost.

    Args:
        frontier: Members of the frontier.
        others: Architectures that are not on it.
        confidence: Coverage of all intervals together.
    """
    mine = [branch_traits(spec) for spec in frontier]
    rest = [branch_traits(spec) for spec in others]
    keys = sorted(
        {key for traits in (*mine, *rest) for key in traits},
        key=lambda key: (list(TRAITS).index(key[0]), key[1]),
    )
    groups = [
        (
            key,
            [traits[key] for traits in mine if key in traits],
            [traits[key] for traits in rest if key in traits],
        )
        for key in keys
    ]
    varying = [(key, a, b) for key, a, b in groups if a and b and len({*a, *b}) > 1]
    tail = (1 - confidence) / 2 / max(1, len(varying))
    differences = []
    for (trait, branch), a, b in varying:
        difference = _welch(a, b, tail, confidence)
        differences.append(
            TraitDifference(
                trait=trait,
                branch=branch,
                frontier_mean=math.fsum(a) / len(a),
                other_mean=math.fsum(b) / len(b),
                difference=difference,
                verdict=verdict_of(difference),
            )
        )
    return Allocation(
        differences=tuple(differences),
        num_frontier=len(mine),
        num_others=len(rest),
        confidence=confidence,
    )


def _welch(a: Sequence[float], b: Sequence[float], tail: float, confidence: float) -> Interval:
    """Difference of two means, with the interval that leaves `tail` on each side."""
    means = [math.fsum(values) / len(values) for values in (a, b)]
    half = math.nan
    if min(len(a), len(b)) > 1:
        parts = [
            math.fsum((x - mean) ** 2 for x in values) / (len(values) - 1) / len(values)
            for values, mean in zip((a, b), means, strict=True)
        ]
        # Two groups without spread say nothing of how they would vary.
        if sum(parts) > 0:
            free = sum(parts) ** 2 / math.fsum(
                part**2 / (len(values) - 1) for part, values in zip(parts, (a, b), strict=True)
            )
            half = float(stdtrit(free, 1 - tail)) * math.sqrt(sum(parts))
    mean = means[0] - means[1]
    return Interval(
        mean=mean,
        low=mean - half,
        high=mean + half,
        num_values=len(a) + len(b),
        confidence=confidence,
    )
