"""What the scores of a search decide, and what they cannot."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from hrvit_nas.objectives import OBJECTIVES
from hrvit_nas.results import Criterion, RunSummary
from hrvit_nas.results.summary import CORNER

from .section import Finding
from .units import UNITS

if TYPE_CHECKING:
    from hrvit_nas.search.config_parts import ProxyNoise
    from hrvit_nas.search.validity import Validity

ROUGH_BELOW = 12
"""Degrees of freedom below which the error of a standard deviation is over a fifth of it."""
SYNTHETIC = Finding(
    name="synthetic",
    text="nothing was trained: these scores are of a synthetic objective, and mean nothing for any"
    " architecture",
)
"""Of a run by the synthetic objective."""


def search_verdict(
    summary: RunSummary,
    seed: int,
    noise: ProxyNoise | None,
    *,
    validity: Validity | None = None,
    lower: Sequence[Validity] = (),
    outside: Collection[str] = (),
    synthetic: bool = False,
) -> list[Finding]:
    """What the scores of a search can and cannot decide.

    Args:
        summary: Of the search.
        seed: That its architectures were proposed and first trained with.
        noise: Of its scores, from the calibration that it stands on.
        validity: How far its scores rank as long training does; None = unknown.
        lower: The same of scores on lower rungs, by which architectures go on to the next.
        outside: Ids of references that the search's space does not hold.
        synthetic: Whether the scores are of a synthetic objective.
    """
    decided = (
        [
            finding
            for label in summary.reference_labels
            for finding in (_beside(summary, label, outside), *_gain(summary, label))
        ]
        if summary.confirmed
        else [_one_seed(seed, known=bool(noise or summary.noise))]
    )
    return [
        *_failed(summary),
        *(_partly_confirmed(summary) if summary.confirmed else ()),
        *decided,
        *_nothing_told(summary),
        SYNTHETIC if synthetic else _validity(validity, lower),
        _noise(noise, summary.criterion),
    ]


def _failed(summary: RunSummary) -> Iterator[Finding]:
    if summary.num_failed:
        yield Finding(
            name="failed",
            text=f"{summary.num_failed} trials failed",
            facts={"num_trials": summary.num_failed},
        )


def _partly_confirmed(summary: RunSummary) -> Iterator[Finding]:
    if 0 < summary.num_confirmed < len(summary.frontier):
        yield Finding(
            name="partly_confirmed",
            text=f"{summary.num_confirmed} of {len(summary.frontier)} frontier architectures"
            " are confirmed so far: means of confirming seeds and scores of one flattering seed"
            " stand side by side",
            facts={
                "num_confirmed": summary.num_confirmed,
                "num_architectures": len(summary.frontier),
            },
        )
    single = [row for row in summary.frontier if row.confirmed and not row.interval.known]
    if single:
        yield Finding(
            name="one_confirming_seed",
            text=f"{len(single)} frontier architectures have one confirming seed: their intervals"
            " are unknown, and close ones cannot be told apart",
            facts={"num_architectures": len(single)},
        )


def _one_seed(seed: int, *, known: bool) -> Finding:
    spread = "" if known else " the spread between seeds is unknown here,"
    return Finding(
        name="one_seed",
        text=f"every score is of one seed ({seed}):{spread} the winners are partly those that were"
        " lucky, and the order of close architectures cannot be told",
        facts={"seed": seed, "spread_known": known},
        hint="confirm",
    )


def _beside(summary: RunSummary, label: str, outside: Collection[str]) -> Finding:
    """How frontier architectures fare beside a reference's allocation at their cost."""
    compared = [
        (row, *comparison)
        for row in summary.frontier
        if (comparison := summary.against_reference(row, label)) is not None
    ]
    if not compared:
        return Finding(
            name="not_beside_reference",
            text=f"no frontier architecture shares a seed with {label}, so none is compared with"
            " it",
            facts={"label": label},
        )
    verdicts = [difference.verdict for _, _, difference in compared]
    counts = {verdict: verdicts.count(verdict) for verdict in ("higher", "lower", "undecided")}
    gap = max(
        abs(reference.cost(cost) / row.cost(cost) - 1)
        for row, reference, _ in compared
        for cost in summary.costs
    )
    costs = "cost" if len(summary.costs) == 1 else "costs"
    num_outside = sum(reference.arch_id in outside for _, reference, _ in compared)
    beyond = (
        f"; in {num_outside} of them the reference stands outside the space, with choices that the"
        " search did not have"
    )
    return Finding(
        name="beside_reference",
        text=f"of {len(compared)} frontier architectures, beside {label} to within"
        f" {gap:.0%} of their {costs}:"
        f" {counts['higher']} higher, {counts['lower']} lower, {counts['undecided']} undecided"
        f" ({summary.confidence:.0%} intervals, paired by seed, not adjusted for"
        f" {len(compared)} comparisons){beyond if num_outside else ''}",
        facts={"label": label, **counts, "cost_gap": gap, "num_outside": num_outside},
    )


def _gain(summary: RunSummary, label: str) -> Iterator[Finding]:
    """How the whole frontier fares beside a reference's allocation at its costs."""
    gain = summary.hypervolume_gain(label)
    if gain is not None:
        count = sum(row.label == label and row.confirmed for row in summary.references)
        costs = " and ".join(OBJECTIVES[cost].word for cost in summary.costs)
        yield Finding(
            name="hypervolume_gain",
            text=f"hypervolume of the frontier above that of {label} at its costs, in % of the"
            f" latter, paired by seed: {gain.describe(digits=1)} ({len(summary.frontier)} of it"
            f" against {count}, up to mIoU 0 and {CORNER:g} times the greatest"
            f" {costs})",
            facts={"label": label, "gain": gain.interval, "verdict": gain.verdict},
        )


def _nothing_told(summary: RunSummary) -> Iterator[Finding]:
    if summary.tells_nothing:
        chance = summary.scatter_p_value
        costs = " and ".join(OBJECTIVES[cost].word for cost in summary.costs)
        yield Finding(
            name="no_scatter_beyond_noise",
            text=f"beside what {costs} predict, no scatter of the scores beyond the noise of a seed"
            f" is shown (p = {chance:.2f}): which of these architectures are on the frontier cannot"
            " be told from luck",
            facts={"p_value": chance},
            hint="confirm",
        )


def _validity(validity: Validity | None, lower: Sequence[Validity]) -> Finding:
    if validity is None:
        return Finding(
            name="validity_unknown",
            text="whether these scores rank as long training does is unknown: no table of long"
            " training is of such scores, this recipe and data",
            hint="measure_validity",
        )
    name, *_ = UNITS[validity.criterion]
    rungs = "".join(
        f"; after {rung.step}, by which some go on, to {rung.tau.describe()}" for rung in lower
    )
    return Finding(
        name="validity",
        text=f"{name} after {validity.step} of {validity.steps} steps, which this search ranks by,"
        " agrees with mIoU at their end to a Kendall's tau of"
        f" {validity.tau.describe()} ({validity.num_architectures} architectures of"
        f" {validity.space}, {validity.num_seeds} seeds: the table {validity.table!r}; two seeds of"
        f" the end agree to {validity.ceiling.describe()}){rungs}",
        facts={
            "step": validity.step,
            "steps": validity.steps,
            "tau": validity.tau,
            "ceiling": validity.ceiling,
            "num_architectures": validity.num_architectures,
            **{f"tau_{rung.step}": rung.tau for rung in lower},
        },
    )


def _noise(noise: ProxyNoise | None, criterion: Criterion) -> Finding:
    if noise is None:
        return Finding(
            name="noise_unknown",
            text="this search stands on no calibration of its proxy",
            hint="calibrate",
        )
    name, unit, scale = UNITS[noise.criterion]
    if noise.criterion != criterion:  # as versions took it whose calibrations told mIoU alone
        return Finding(
            name="noise_of_another_score",
            text=f"this search ranks by {UNITS[criterion][0]}, and what it took from the"
            f" calibration in {noise.run} is the noise of {name}: how likely an architecture is on"
            " the frontier is unknown until it is taken again",
            facts={"run": noise.run, "criterion": noise.criterion},
            hint="calibrate",
        )
    cheap, dear = (macs / 1e9 for macs in noise.macs)
    what = "a score" if noise.criterion == "miou" else name
    rough = noise.num_free < ROUGH_BELOW
    few = (
        f" (known from {noise.num_free} degrees of freedom only, so that probabilities of"
        " being on the frontier are rough)"
    )
    return Finding(
        name="noise",
        text=f"this search stands on the calibration in {noise.run}: {noise.num_architectures}"
        f" architectures of {cheap:.3g} to {dear:.3g} GMACs, {noise.num_seeds} seeds; beside"
        f" what a seed does to all alike, {what} has a deviation of"
        f" {scale * noise.noise:.2f} {unit}{few if rough else ''}; tau between two"
        f" seeds {noise.seed_tau}, without MACs {noise.residual_tau}",
        facts={"run": noise.run, "noise": noise.noise, "num_free": noise.num_free, "rough": rough},
    )
