"""What the scores of a search decide, and what they cannot, in sentences."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from hrvit_nas.results import ArchSummary, PairedDifference, RunSummary

from .calibration import UNITS

if TYPE_CHECKING:
    from hrvit_nas.search.config_parts import ProxyNoise
    from hrvit_nas.search.validity import Validity

ROUGH_BELOW = 12
"""Degrees of freedom below which the error of a standard deviation is over a fifth of it."""


def search_verdict(
    summary: RunSummary,
    seed: int,
    noise: ProxyNoise | None,
    *,
    validity: Validity | None = None,
    outside: Collection[str] = (),
) -> list[str]:
    """What the scores of a search can and cannot decide, in words.

    Args:
        summary: Of the search.
        seed: That its architectures were proposed and first trained with.
        noise: Of its scores, from the calibration that it stands on.
        validity: How far its scores rank as long training does; None = unknown.
        outside: Ids of references that the search's space does not hold.
    """
    failed = [f"{summary.num_failed} trials failed"] if summary.num_failed else []
    partly = (
        [
            f"{summary.num_confirmed} of {len(summary.frontier)} frontier members are confirmed so"
            " far: means of confirming seeds and scores of one flattering seed stand side by side"
        ]
        if 0 < summary.num_confirmed < len(summary.frontier)
        else []
    )
    single = [row for row in summary.frontier if row.confirmed and not row.interval.known]
    if single:
        partly.append(
            f"{len(single)} frontier members have one confirming seed: their intervals are unknown,"
            " and close ones cannot be told apart"
        )
    if not summary.confirmed:
        known = noise or summary.noise
        spread = "" if known else " the spread between seeds is unknown here,"
        return [
            *failed,
            f"every score is of one seed ({seed}):{spread} the winners are partly those that were"
            " lucky, and the order of close members cannot be told; --resume with --confirm N"
            " trains them with N further seeds",
            _validity(validity),
            _noise(noise),
        ]
    return [
        *failed,
        *partly,
        *(_beside(summary, label, outside) for label in summary.reference_labels),
        _validity(validity),
        _noise(noise),
    ]


def _beside(summary: RunSummary, label: str, outside: Collection[str]) -> str:
    """How the frontier's members fare beside a reference's allocation at their cost."""
    compared = [
        (row, *comparison)
        for row in summary.frontier
        if (comparison := summary.against_reference(row, label)) is not None
    ]
    if not compared:
        return f"no frontier member shares a seed with {label}, so none is compared with it"
    verdicts = [difference.verdict for _, _, difference in compared]
    counts = {verdict: verdicts.count(verdict) for verdict in ("higher", "lower", "undecided")}
    gaps = [
        abs(reference.cost(cost) / row.cost(cost) - 1)
        for row, reference, _ in compared
        for cost in summary.costs
    ]
    costs = "cost" if len(summary.costs) == 1 else "costs"
    return (
        f"of {len(compared)} frontier members, beside {label} to within"
        f" {max(gaps):.0%} of their {costs}:"
        f" {counts['higher']} higher, {counts['lower']} lower, {counts['undecided']} undecided"
        f" ({summary.confidence:.0%} intervals, paired by seed, not adjusted for"
        f" {len(compared)} comparisons){_outside(compared, outside)}"
    )


def _outside(
    compared: Sequence[tuple[ArchSummary, ArchSummary, PairedDifference]], outside: Collection[str]
) -> str:
    count = sum(reference.arch_id in outside for _, reference, _ in compared)
    if not count:
        return ""
    return (
        f"; in {count} of them the reference stands outside the space, with choices that the search"
        " did not have"
    )


def _validity(validity: Validity | None) -> str:
    if validity is None:
        return (
            "whether these scores rank as long training does is unknown: no table of long training"
            " is of such scores, this recipe and data; --calibrate-proxy N --long-steps M measures"
            " it for training alone"
        )
    name, *_ = UNITS[validity.criterion]
    return (
        f"{name} after {validity.step} of {validity.steps} steps, which this search ranks by,"
        " agrees with mIoU at their end to a Kendall's tau of"
        f" {validity.tau.describe()} ({validity.num_architectures} architectures of"
        f" {validity.space}, {validity.num_seeds} seeds: the table {validity.table!r}; two seeds of"
        f" the end agree to {validity.ceiling.describe()})"
    )


def _noise(noise: ProxyNoise | None) -> str:
    if noise is None:
        return (
            "this search stands on no calibration of its proxy; --calibrate-proxy N makes one, and"
            " --calibration names it, also with --resume"
        )
    cheap, dear = (macs / 1e9 for macs in noise.macs)
    name, unit, scale = UNITS[noise.criterion]
    what = "a score" if noise.criterion == "miou" else name
    rough = (
        f" (known from {noise.num_free} degrees of freedom only, so that probabilities of"
        " being on the frontier are rough)"
        if noise.num_free < ROUGH_BELOW
        else ""
    )
    return (
        f"this search stands on the calibration in {noise.run}: {noise.num_architectures}"
        f" architectures of {cheap:.3g} to {dear:.3g} GMACs, {noise.num_seeds} seeds; beside"
        f" what a seed does to all alike, {what} has a deviation of"
        f" {scale * noise.noise:.2f} {unit}{rough}; tau between two"
        f" seeds {noise.seed_tau}, without MACs {noise.residual_tau}"
    )
