"""What each change of an architecture does, with intervals that count how much was compared.

Scores are taken as architecture + seed + noise, the two-way layout of `ranking`. An effect is the
mean over seeds of the difference to the base (or to a control of equal cost), so that what a seed
gives to all alike cancels. Three seeds of one difference say little about its spread, so the noise
is pooled over all architectures of the run, which takes it to be alike for all; with A
architectures and S seeds it has (A - 1)(S - 1) degrees of freedom, and an effect the standard error
noise * sqrt(2 / S). Beside each 95% interval stands one that is adjusted for the number of
comparisons (Bonferroni: all of a run's hold together with at least that probability, whatever
their dependence), and the verdict is by the adjusted one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import scipy  # whose parts load when they are first used

from hrvit_nas.objectives import OBJECTIVES

from .intervals import Interval, Verdict, mean_interval, verdict_of
from .records import Criterion, TrialRecord
from .score_noise import pooled_noise

ArmRole = Literal["base", "arm"]
EQUAL_COST = 0.01
"""Share of its multiply-adds within which an arm is as dear as the base."""


@dataclass(frozen=True, kw_only=True)
class ArmScores:
    """One architecture of an ablation, and what its seeds gave.

    Attributes:
        arch_id: Its id.
        scores: By seed, in the unit of the criterion; cross entropy is not negated here.
        latencies_ms: Measured latency by round; all architectures were timed in each.
        macs: Multiply-adds an image.
        params: Parameters.
        peak_activation_bytes: Peak bytes of activations an image.
        mean: Mean score and the interval of the mean from these seeds alone; None without any.
    """

    arch_id: str
    scores: Mapping[int, float]
    latencies_ms: Mapping[int, float]
    macs: int
    params: int
    peak_activation_bytes: int
    mean: Interval | None


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A difference of scores, first minus second, over the seeds that both have.

    Attributes:
        interval: Its interval, for this comparison alone.
        adjusted: Its interval, adjusted for all comparisons of the run.
        verdict: `higher`, `lower`, or `undecided` where the adjusted interval holds 0 or is
            unknown.
    """

    interval: Interval
    adjusted: Interval
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class AblationRow:
    """One change.

    Attributes:
        name: Of the change.
        arm: The changed architecture.
        control: The base at its multiply-adds; None where the base itself is as dear.
        effect: Changed less base; None while they have no seed in common.
        beside_control: Changed less control, the base being its own where there is no other: what
            the change does at equal multiply-adds. None where there is nothing of its cost.
    """

    name: str
    arm: ArmScores
    control: ArmScores | None
    effect: Effect | None
    beside_control: Effect | None


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What an ablation found.

    Attributes:
        criterion: The score.
        base: The base.
        rows: The changes, in the order of the plan.
        noise: Standard deviation of one score beside what its architecture and seed explain, in
            the unit of the criterion; NaN while unknown.
        free: Degrees of freedom that it is known from.
        num_comparisons: Effects that the adjustment counts.
        detectable: Half-width of the adjusted interval with all seeds: the least difference that
            can be told; NaN while unknown.
        confidence: Coverage asked for.
        seeds: Seeds of any complete trial.
        steps: Optimiser steps of the trials.
        num_failed: Failed trials.
        inherited: Whether scores are with the weights of a supernet, one a seed.
    """

    criterion: Criterion
    base: ArmScores
    rows: tuple[AblationRow, ...]
    noise: float
    free: int
    num_comparisons: int
    detectable: float
    confidence: float
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    num_failed: int
    inherited: bool


@dataclass(frozen=True, kw_only=True)
class ArmCost:
    """Which architecture, and what it costs: what is known before anything is trained."""

    arch_id: str
    macs: int
    params: int
    peak_activation_bytes: int


def ablate(
    base: ArmCost,
    changes: Sequence[tuple[str, ArmCost, ArmCost | None]],
    records: Iterable[TrialRecord],
    criterion: Criterion = "miou",
    latencies_ms: Mapping[str, Sequence[float]] | None = None,
    confidence: float = 0.95,
) -> Ablation:
    """Compares the arms of an ablation with its base, and with their controls.

    Args:
        base: The base.
        changes: Name, changed architecture and control (None: the base is one) of each change.
        records: Of the run, in any order; those of other architectures are passed over.
        criterion: Score to compare by.
        latencies_ms: By architecture and round, where they were measured.
        confidence: Coverage of the intervals.

    Raises:
        ValueError: The confidence is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, both excluded, got {confidence}")
    costs = {arm.arch_id: arm for arm in (base, *(a for _, *arms in changes for a in arms if a))}
    mine = sorted(
        (record for record in records if record.arch_id in costs),
        key=lambda record: (record.arch_id, record.seed),
    )
    complete = [record for record in mine if record.state == "complete"]
    scores: dict[str, dict[int, float]] = {arch_id: {} for arch_id in costs}
    latencies = latencies_ms or {}
    for record in complete:
        value = record.score(criterion)
        if value is not None:
            scores[record.arch_id][record.seed] = OBJECTIVES[criterion].gain(value)
    arms = {
        arch_id: ArmScores(
            arch_id=arch_id,
            scores=scores[arch_id],
            latencies_ms=dict(enumerate(latencies.get(arch_id, ()))),
            macs=cost.macs,
            params=cost.params,
            peak_activation_bytes=cost.peak_activation_bytes,
            mean=mean_interval(scores[arch_id].values(), confidence) if scores[arch_id] else None,
        )
        for arch_id, cost in costs.items()
    }
    _, noise, free = pooled_noise(
        (arch_id, seed, value) for arch_id, row in scores.items() for seed, value in row.items()
    )
    inherited = any(record.evaluator == "inherited" for record in complete)
    count = len(changes) + sum(control is not None for _, _, control in changes)
    of_base = arms[base.arch_id]
    rows = []
    for name, changed, control in changes:
        arm = arms[changed.arch_id]
        effect = _effect(arm, of_base, noise, free, count, confidence)
        beside = None
        if control is not None:
            beside = _effect(arm, arms[control.arch_id], noise, free, count, confidence)
        elif abs(changed.macs / base.macs - 1) <= EQUAL_COST:
            beside = effect
        rows.append(
            AblationRow(
                name=name,
                arm=arm,
                control=None if control is None else arms[control.arch_id],
                effect=effect,
                beside_control=beside,
            )
        )
    seeds = tuple(sorted({record.seed for record in complete}))
    return Ablation(
        criterion=criterion,
        base=of_base,
        rows=tuple(rows),
        noise=noise,
        free=free,
        num_comparisons=count,
        detectable=_half_width(noise, free, len(seeds), 1 - (1 - confidence) / count),
        confidence=confidence,
        seeds=seeds,
        steps=tuple(sorted({record.steps for record in complete})),
        num_failed=len(mine) - len(complete),
        inherited=inherited,
    )


def _half_width(noise: float, free: int, num_seeds: int, confidence: float) -> float:
    """Of the interval of a difference over so many seeds, from the pooled noise."""
    if not num_seeds or free < 1:
        return math.nan
    quantile = float(scipy.special.stdtrit(free, (1 + confidence) / 2))
    return quantile * noise * math.sqrt(2 / num_seeds)


def _effect(
    first: ArmScores, second: ArmScores, noise: float, free: int, count: int, confidence: float
) -> Effect | None:
    seeds = sorted(first.scores.keys() & second.scores.keys())
    if not seeds:
        return None
    mean = fmean(first.scores[seed] - second.scores[seed] for seed in seeds)

    def interval(coverage: float) -> Interval:
        half = _half_width(noise, free, len(seeds), coverage)
        return Interval(
            mean=mean,
            low=mean - half,
            high=mean + half,
            num_values=len(seeds),
            confidence=confidence,
        )

    adjusted = interval(1 - (1 - confidence) / count)
    return Effect(interval=interval(confidence), adjusted=adjusted, verdict=verdict_of(adjusted))
