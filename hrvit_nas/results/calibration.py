"""What a calibration of a proxy found: at each fidelity, how much of the scores is noise."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from hrvit_nas.objectives import SCORES

from .estimates import Estimate
from .ranking import cross_tau, residual_tau, seed_tau
from .records import CALIBRATING, Criterion, HistoryPoint, TrialRecord
from .score_noise import VarianceComponents, variance_components

MIN_ARCHITECTURES = 4
"""Fewer say nothing about a ranking."""
MOST_SEEDS = 64


class CalibrationError(ValueError):
    """A calibration cannot be made from these trials; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """How far scores after so many steps can be trusted.

    Attributes:
        steps: Optimiser steps done, on the way through the recipe's schedule.
        seconds: Median wall time of a trial up to here.
        components: Spread between architectures and between seeds, in the criterion's unit.
        seed_tau: Kendall's tau between two seeds: repeatability, which says nothing of validity.
        residual_tau: The same after the logarithm of MACs is regressed out.
        final_tau: Kendall's tau with the target's last fidelity of another seed.
        validity: Kendall's tau with the mIoU of another seed's long training; None where nothing
            was trained long.
    """

    steps: int
    seconds: float
    components: VarianceComponents
    seed_tau: Estimate
    residual_tau: Estimate
    final_tau: Estimate
    validity: Estimate | None = None

    def expected_tau(self, num_seeds: int) -> float:
        """Tau to be expected between two means over so many seeds, for normal scores.

        By Kendall's 2 / pi * arcsin(correlation) from the variance components.
        """
        return 2 / math.pi * math.asin(self.components.reliability_of_mean(num_seeds))

    def seeds_for(self, tau: float) -> int | None:
        """Fewest seeds whose means are expected to reach a tau; None if 64 do not."""
        counts = range(1, MOST_SEEDS + 1)
        return next((n for n in counts if self.expected_tau(n) >= tau), None)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A calibration of a proxy.

    Attributes:
        criterion: The score that was ranked.
        num_architectures: Architectures with a score for every seed.
        seeds: Those seeds.
        num_left_out: Architectures left out, for want of a seed.
        macs: Multiply-adds an image of the cheapest and the dearest of them.
        fidelities: By rising steps.
        long_steps: Optimiser steps of long training; None without any.
        long_tau: Kendall's tau between two seeds of long training: the ceiling of validity.
        num_long: Architectures that were trained long with every seed.
    """

    criterion: Criterion
    num_architectures: int
    seeds: tuple[int, ...]
    num_left_out: int
    macs: tuple[int, int]
    fidelities: tuple[Fidelity, ...]
    long_steps: int | None = None
    long_tau: Estimate | None = None
    num_long: int = 0

    @property
    def final(self) -> Fidelity:
        """The last fidelity: what a search with this recipe scores by."""
        return self.fidelities[-1]

    def recommended(self, tau: float) -> Fidelity | None:
        """The cheapest fidelity that reaches a tau; None if none does.

        Tau is that of validity where something was trained long, else between two seeds.
        """
        reached = [f for f in self.fidelities if (f.validity or f.seed_tau).value >= tau]
        return min(reached, key=lambda f: f.seconds, default=None)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreTable:
    """Scores of every architecture that has one for each seed, more being better.

    Attributes:
        criterion: The score.
        arch_ids: The architectures, in the order of the rows.
        seeds: The seeds, in the order of the columns.
        num_left_out: Architectures left out, for want of a seed.
        macs: (num_architectures,) multiply-adds an image.
        scores: (num_architectures, num_seeds) at each number of steps, by rising steps.
        seconds: Median wall time of a trial up to there; nan where unknown.
    """

    criterion: Criterion
    arch_ids: tuple[str, ...]
    seeds: tuple[int, ...]
    num_left_out: int
    macs: NDArray[np.float64]
    scores: dict[int, NDArray[np.float64]]
    seconds: dict[int, float]

    @property
    def last_step(self) -> int:
        """The highest fidelity."""
        return max(self.scores)


def score_table(
    records: Iterable[TrialRecord], criterion: Criterion = "miou", *, budget: int | None = None
) -> ScoreTable:
    """Gathers the scores of a calibration.

    Args:
        records: Of one run; those that calibrate it count.
        criterion: Score to gather, of those in a trial's history; a cross entropy is negated.
        budget: Optimiser steps of the trials; None = the least, by which the search scores.

    Raises:
        CalibrationError: Fewer than 4 architectures have the score for every one of at least two
            seeds at a common fidelity.
    """
    mine = [r for r in records if r.purpose in CALIBRATING and r.evaluator == "trained"]
    if budget is None:
        budget = min((record.budget for record in mine), default=0)
    trials: dict[str, dict[int, TrialRecord]] = {}
    seen: set[str] = set()
    for record in mine:
        if record.budget == budget:
            seen.add(record.arch_id)
            if record.state == "complete":
                trials.setdefault(record.arch_id, {})[record.seed] = record
    seeds, whole = _fullest(trials)
    scores: dict[int, NDArray[np.float64]] = {}
    seconds: dict[int, float] = {}
    if len(whole) >= MIN_ARCHITECTURES and len(seeds) >= 2:
        first = next(iter(whole.values()))
        for step in sorted({point.step for point in first[seeds[0]].history}):
            points = [[_point(by_seed[s], step) for s in seeds] for by_seed in whole.values()]
            rows = [[point and point.gain(criterion) for point in row] for row in points]
            if not any(score is None for row in rows for score in row):
                scores[step] = np.array(rows, np.float64)
                seconds[step] = median(_seconds(point) for row in points for point in row)
    if not scores:
        raise CalibrationError(
            f"a calibration needs {criterion} of at least {MIN_ARCHITECTURES} architectures with"
            f" each of at least 2 seeds, got {len(whole)} with each of {len(seeds)}"
        )
    macs = [by_seed[seeds[0]].macs for by_seed in whole.values()]
    return ScoreTable(
        criterion=criterion,
        arch_ids=tuple(whole),
        seeds=seeds,
        num_left_out=len(seen) - len(whole),
        macs=np.array(macs, np.float64),
        scores=scores,
        seconds=seconds,
    )


def calibrate(
    records: Iterable[TrialRecord],
    criterion: Criterion = "miou",
    target: Criterion | None = None,
) -> Calibration:
    """Reads the noise of a proxy off architectures that were trained with several seeds each.

    Args:
        records: Of one run; those of a calibration count.
        criterion: Score to rank by, of those in a trial's history.
        target: Score whose last fidelity should be foretold; None = the criterion itself.

    Raises:
        CalibrationError: As `score_table`.
    """
    records = list(records)
    table = score_table(records, criterion)
    aim = score_table(records, target) if target else table
    final = aim.scores[aim.last_step]
    long = _long_scores(records, table)
    return Calibration(
        criterion=criterion,
        num_architectures=len(table.arch_ids),
        seeds=table.seeds,
        num_left_out=table.num_left_out,
        macs=(int(table.macs.min()), int(table.macs.max())),
        fidelities=tuple(
            Fidelity(
                steps=step,
                seconds=table.seconds[step],
                components=variance_components(scores),
                seed_tau=seed_tau(scores),
                residual_tau=residual_tau(scores, table.macs),
                final_tau=cross_tau(scores, final),
                validity=cross_tau(scores[long.rows], long.scores) if long else None,
            )
            for step, scores in table.scores.items()
        ),
        long_steps=long.steps if long else None,
        long_tau=seed_tau(long.scores) if long else None,
        num_long=len(long.rows) if long else 0,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Long:
    """mIoU of long training of some rows of a table, with the table's seeds."""

    steps: int
    rows: NDArray[np.intp]
    scores: NDArray[np.float64]


def _long_scores(records: list[TrialRecord], table: ScoreTable) -> _Long | None:
    """None where fewer than 4 architectures of the table are trained long with its seeds."""
    budgets = {r.budget for r in records if r.purpose == "calibration"}
    if len(budgets) < 2:
        return None
    try:
        long = score_table(records, budget=max(budgets))
    except CalibrationError:
        return None
    places = {arch_id: row for row, arch_id in enumerate(long.arch_ids)}
    rows = [row for row, arch_id in enumerate(table.arch_ids) if arch_id in places]
    if len(rows) < MIN_ARCHITECTURES or long.seeds != table.seeds:
        return None
    at = [places[table.arch_ids[row]] for row in rows]
    return _Long(
        steps=long.last_step,
        rows=np.array(rows, np.intp),
        scores=long.scores[long.last_step][at],
    )


def calibrate_criteria(
    records: Iterable[TrialRecord], target: Criterion
) -> dict[Criterion, Calibration]:
    """`calibrate` for every criterion that the trials were scored by, the target first.

    Raises:
        CalibrationError: There are too few scores of the target.
    """
    records = list(records)
    found = {target: calibrate(records, target)}
    for criterion in SCORES:
        if criterion not in found:
            with suppress(CalibrationError):
                found[criterion] = calibrate(records, criterion, target)
    return found


_BySeed = dict[int, TrialRecord]


def _fullest(trials: dict[str, _BySeed]) -> tuple[tuple[int, ...], dict[str, _BySeed]]:
    """The seeds, and the architectures that have each of them, that leave the most scores.

    A further seed that only some architectures have so far thus takes nothing away.
    """
    counts = Counter(seed for by_seed in trials.values() for seed in by_seed)
    order = sorted(counts, key=lambda seed: (-counts[seed], seed))

    def whole(num: int) -> dict[str, _BySeed]:
        return {arch: row for arch, row in trials.items() if set(order[:num]) <= row.keys()}

    def worth(num: int) -> tuple[bool, int]:
        arches = len(whole(num))
        return num >= 2 and arches >= MIN_ARCHITECTURES, num * arches

    best = max(range(len(order) + 1), key=worth)
    return tuple(sorted(order[:best])), whole(best)


def _point(record: TrialRecord, step: int) -> HistoryPoint | None:
    return next((point for point in record.history if point.step == step), None)


def _seconds(point: HistoryPoint | None) -> float:
    return point.seconds if point and point.seconds is not None else math.nan
