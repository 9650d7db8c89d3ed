"""What a calibration of a proxy found: at each fidelity, how much of the scores is noise."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from .ranking import (
    Estimate,
    VarianceComponents,
    cross_tau,
    residual_tau,
    seed_tau,
    variance_components,
)
from .records import HistoryPoint, TrialRecord

Criterion = Literal["miou", "averaged_miou", "fw_iou", "boundary_miou", "cross_entropy"]
LESS_IS_BETTER: frozenset[Criterion] = frozenset({"cross_entropy"})
MIN_ARCHITECTURES = 4
"""Fewer say nothing about a ranking."""
MOST_SEEDS = 64


class CalibrationError(ValueError):
    """A calibration cannot be made from these trials; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """How far scores after so many steps can be trusted.

    Attributes:
        steps: Optimiser steps done, of a schedule of the run's own length.
        seconds: Median wall time of a trial up to here.
        components: Spread between architectures and between seeds, in the criterion's unit.
        seed_tau: Kendall's tau between two seeds: the noise ceiling.
        residual_tau: The same after the logarithm of MACs is regressed out.
        final_tau: Kendall's tau with the last fidelity of another seed.
    """

    steps: int
    seconds: float
    components: VarianceComponents
    seed_tau: Estimate
    residual_tau: Estimate
    final_tau: Estimate

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
    """

    criterion: Criterion
    num_architectures: int
    seeds: tuple[int, ...]
    num_left_out: int
    macs: tuple[int, int]
    fidelities: tuple[Fidelity, ...]

    @property
    def final(self) -> Fidelity:
        """The last fidelity: what a search with this recipe scores by."""
        return self.fidelities[-1]

    def recommended(self, tau: float) -> Fidelity | None:
        """The cheapest fidelity whose seeds agree to a tau; None if none does."""
        reached = [f for f in self.fidelities if f.seed_tau.value >= tau]
        return min(reached, key=lambda f: f.seconds, default=None)


def calibrate(records: Iterable[TrialRecord], criterion: Criterion = "miou") -> Calibration:
    """Reads the noise of a proxy off architectures that were trained with several seeds each.

    Args:
        records: Of one run; those of a calibration count.
        criterion: Score to rank by, of those in a trial's history.

    Raises:
        CalibrationError: Fewer than 4 architectures have the score for every one of at least two
            seeds at a common fidelity.
    """
    trials: dict[str, dict[int, TrialRecord]] = {}
    seen: set[str] = set()
    for record in records:
        if record.origin == "calibration":
            seen.add(record.arch_id)
            if record.state == "complete":
                trials.setdefault(record.arch_id, {})[record.seed] = record
    seeds = tuple(sorted({seed for by_seed in trials.values() for seed in by_seed}))
    whole = [by_seed for by_seed in trials.values() if len(by_seed) == len(seeds)]
    tables: dict[int, np.ndarray] = {}
    if len(whole) >= MIN_ARCHITECTURES and len(seeds) >= 2:
        steps = {point.step for point in whole[0][seeds[0]].history}
        for step in sorted(steps):
            rows = [[_score(by_seed[s], step, criterion) for s in seeds] for by_seed in whole]
            if not any(score is None for row in rows for score in row):
                tables[step] = np.array(rows, np.float64)
    if not tables:
        raise CalibrationError(
            f"a calibration needs {criterion} of at least {MIN_ARCHITECTURES} architectures with"
            f" each of at least 2 seeds, got {len(whole)} with each of {len(seeds)}"
        )
    macs = [by_seed[seeds[0]].macs for by_seed in whole]
    final = tables[max(tables)]
    return Calibration(
        criterion=criterion,
        num_architectures=len(whole),
        seeds=seeds,
        num_left_out=len(seen) - len(whole),
        macs=(min(macs), max(macs)),
        fidelities=tuple(
            Fidelity(
                steps=step,
                seconds=median(_seconds(by_seed[s], step) for by_seed in whole for s in seeds),
                components=variance_components(table),
                seed_tau=seed_tau(table),
                residual_tau=residual_tau(table, macs),
                final_tau=cross_tau(table, final),
            )
            for step, table in tables.items()
        ),
    )


def _point(record: TrialRecord, step: int) -> HistoryPoint | None:
    return next((point for point in record.history if point.step == step), None)


def _score(record: TrialRecord, step: int, criterion: Criterion) -> float | None:
    point = _point(record, step)
    value: float | None = getattr(point, criterion) if point else None
    return -value if value is not None and criterion in LESS_IS_BETTER else value


def _seconds(record: TrialRecord, step: int) -> float:
    point = _point(record, step)
    return point.seconds if point and point.seconds is not None else math.nan
