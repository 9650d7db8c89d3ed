"""How the architectures of a frontier differ from those that they dominate, branch by branch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrvit_nas.arch import ArchSpec

from .intervals import Interval, Verdict, verdict_of

Floats = NDArray[np.float64]
SHUFFLINGS = 2000

TRAITS: Mapping[str, str] = {
    "width": "width (channels)",
    "blocks": "blocks (sum over modules)",
    "strip_width": "strip width (tokens)",
    "expansion_ratio": "expansion ratio",
}
"""What is compared of a branch: the field, and its name with its unit."""


@dataclass(frozen=True, kw_only=True)
class TraitDifference:
    """One trait of one branch: frontier architectures beside the rest.

    Attributes:
        trait: One of `TRAITS`.
        branch: Branch, from 1 (the finest).
        frontier_mean: Mean over frontier architectures, in the unit of the trait.
        other_mean: Mean over the others.
        difference: Of the means, with an interval adjusted for all differences of the comparison.
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
        num_frontier: Frontier architectures.
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
    frontier: Iterable[ArchSpec],
    others: Iterable[ArchSpec],
    confidence: float = 0.95,
    seed: int = 0,
) -> Allocation:
    """Compares the traits of two groups of architectures.

    Traits have few values and a frontier few architectures, so no spread within a group can be
    relied on. Who belongs to the frontier is shuffled instead: a difference is decided where it
    exceeds, in units of the trait's spread over all, what the largest of all traits' differences
    stays below in `confidence` of the shufflings (Westfall and Young, Resampling-Based Multiple
    Testing, 1993). Intervals take a difference to shift all architectures alike. Membership is
    taken as certain, which that of a frontier of noisy scores is not; and a frontier spans all
    costs, so that this is no comparison at equal cost.

    Args:
        frontier: Architectures of the frontier.
        others: Architectures that are not on it.
        confidence: Coverage of all intervals together.
        seed: Of the shuffling.
    """
    mine = [branch_traits(spec) for spec in frontier]
    rest = [branch_traits(spec) for spec in others]
    everyone = [*mine, *rest]
    keys = sorted(
        {key for traits in everyone for key in traits},
        key=lambda key: (list(TRAITS).index(key[0]), key[1]),
    )
    table = np.array([[traits.get(key, np.nan) for key in keys] for traits in everyone])
    table = table.reshape(len(everyone), len(keys))
    belongs = np.arange(len(everyone)) < len(mine)
    differences: list[TraitDifference] = []
    if mine and rest:
        varies = [np.unique(column[~np.isnan(column)]).size > 1 for column in table.T]
        keys = [key for key, varying in zip(keys, varies, strict=True) if varying]
        table = table[:, varies]
        means, others_means, errors = _two_means(table, belongs)
        rng = np.random.default_rng(seed)
        largest = np.empty(SHUFFLINGS)
        for number in range(SHUFFLINGS):
            first, second, scale = _two_means(table, rng.permutation(belongs))
            largest[number] = np.nanmax(np.abs(first - second) / scale, initial=0.0)
        limit = float(np.quantile(largest, confidence, method="higher"))
        for (trait, branch), mean, other, error in zip(
            keys, means, others_means, errors, strict=True
        ):
            if np.isnan(mean - other):
                continue  # one of the groups has nothing of this trait
            # What equals the limit but for rounding does not exceed it.
            half = limit * float(error) * (1 + 1e-9)
            difference = Interval(
                mean=float(mean - other),
                low=float(mean - other) - half,
                high=float(mean - other) + half,
                num_values=len(everyone),
                confidence=confidence,
            )
            differences.append(
                TraitDifference(
                    trait=trait,
                    branch=branch,
                    frontier_mean=float(mean),
                    other_mean=float(other),
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


def _two_means(table: Floats, belongs: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Means of both groups by trait, and the error of their difference from the spread over all."""
    known = ~np.isnan(table)
    counts = [(known & group[:, None]).sum(0) for group in (belongs, ~belongs)]
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = (
            np.where(group[:, None] & known, table, 0.0).sum(0) / count
            for group, count in zip((belongs, ~belongs), counts, strict=True)
        )
        error = np.nanstd(table, axis=0, ddof=1) * np.sqrt(1 / counts[0] + 1 / counts[1])
    return first, second, error
