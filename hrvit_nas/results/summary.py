"""What a run found: its architectures as rows, its frontier, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING

from hrvit_nas.objectives import OBJECTIVES

from .frontier import frontier_probability, hypervolume
from .intervals import PairedDifference, paired_difference
from .records import Criterion, TrialRecord
from .rows import ArchSummary, CostName, with_frontier
from .score_noise import MIN_FOR_LINE, pooled_noise, scatter_p_value, score_draw_batches

if TYPE_CHECKING:
    import pandas as pd

MIN_FREE = 4
"""Degrees of freedom below which a spread between seeds is not worth using."""
SHOWN_BELOW = 0.05
"""p-value below which scores are said to scatter by more than their noise."""
CORNER = 1.1
"""Times the greatest cost compared: where a hypervolume beside a reference ends; at mIoU 0."""
MOST_DRAWS, LEAST_DRAWS, MOST_DRAWN = 4000, 200, 2_000_000
"""Draws behind a probability: at most, at least, and the most scores that are drawn at once."""


_ALWAYS_SHOWN = ("macs", "params", "peak_activation_bytes", "latency_ms")
"""Costs of which a table of architectures has a column whatever the frontier is of."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """The architectures of a run, by rising first cost.

    Attributes:
        rows: One row for each architecture with a complete trial.
        costs: What the frontier weighs the score against.
        confidence: Coverage of the intervals.
        num_failed: Failed trials, which have no row.
        steps: Numbers of optimiser steps that the complete trials were trained for.
        calibrated_noise: Standard deviation of one score between seeds, in the unit of `criterion`,
            from a calibration; None without one.
        inherited: Complete scores with the weights of a supernet, which have no rows of their own.
        criterion: Score that the search ranks by, whose frontier it is until it is confirmed.
        finalists: How many architectures of the search's frontier are to be confirmed; None = all.
    """

    rows: tuple[ArchSummary, ...]
    costs: tuple[CostName, ...]
    confidence: float
    num_failed: int
    steps: tuple[int, ...]
    calibrated_noise: float | None = None
    inherited: tuple[TrialRecord, ...] = ()
    criterion: Criterion = "miou"
    finalists: int | None = None

    @cached_property
    def noise(self) -> float | None:
        """Standard deviation of one score between seeds, in the unit of `criterion`, if known.

        That of the calibration; without one, what architectures with several seeds show, if
        they leave at least 4 degrees of freedom.
        """
        if self.calibrated_noise:
            return self.calibrated_noise
        _, noise, free = self._seed_fit
        return noise if free >= MIN_FREE and noise > 0 else None

    @cached_property
    def probabilities(self) -> dict[str, float]:
        """Probability of being on the frontier, by id of each searched architecture.

        From all scores of an architecture, its searching seed included: luck is accounted for by
        drawing scores towards what their cost predicts, the more the noisier they are (see
        `score_noise.score_draws`). A seed's effect on all alike is taken off; the few architectures
        that were confirmed were lucky with the searching seed, part of which is booked as its
        effect. The noise counts as known, however few seeds it comes from. Empty where
        `scatter_p_value` is None, or so large that scores tell nothing.
        """
        if self.scatter_p_value is None or self.tells_nothing:
            return {}
        assert self.noise is not None
        ids, means, seeds, costs = self._seen
        # Of a large run, a few draws at a time and fewer in all keep memory and time in bounds.
        at_once = min(MOST_DRAWS, max(1, MOST_DRAWN // len(ids)))
        draws = MOST_DRAWS if at_once == MOST_DRAWS else LEAST_DRAWS
        batches = score_draw_batches(means, seeds, costs, self.noise, draws, at_once)
        parts = [frontier_probability(batch, costs) for batch in batches]
        found = [fmean(shares) for shares in zip(*parts, strict=True)]
        return dict(zip(ids, found, strict=True))

    @cached_property
    def scatter_p_value(self) -> float | None:
        """How likely noise alone would scatter the searched architectures' scores as far from what
        their costs predict (see `score_noise.scatter_p_value`).

        None where the noise is unknown, fewer than 4 architectures were searched (5 with two
        costs), or the frontier is of another score than `all_scores`: of long training, or of mIoU
        once it is confirmed, where the search ranks by something else.
        """
        of_another = any(
            row.confirmed and not row.scores.items() <= row.all_scores.items() for row in self.rows
        )
        ids, means, seeds, costs = self._seen
        if of_another or self.noise is None or len(ids) < MIN_FOR_LINE + len(self.costs) - 1:
            return None
        _, _, free = self._seed_fit
        num_free = math.inf if self.calibrated_noise else free
        return scatter_p_value(means, seeds, costs, self.noise, num_free)

    @property
    def tells_nothing(self) -> bool:
        """Whether no scatter beyond noise is shown, so that which architectures are on the frontier
        cannot be told from luck.
        """
        return self.scatter_p_value is not None and self.scatter_p_value > SHOWN_BELOW

    @cached_property
    def _seen(self) -> tuple[list[str], list[float], list[int], list[tuple[float, ...]]]:
        """Of each searched architecture: id, mean score, seeds behind it, costs."""
        rows = [row for row in self.rows if row.searched and row.all_scores and row.has(self.costs)]
        effects, _, _ = self._seed_fit
        means = [fmean(v - effects[s] for s, v in row.all_scores.items()) for row in rows]
        seeds = [len(row.all_scores) for row in rows]
        return [row.arch_id for row in rows], means, seeds, [row.costs(self.costs) for row in rows]

    @cached_property
    def _seed_fit(self) -> tuple[dict[int, float], float, int]:
        return pooled_noise(
            (row.arch_id, seed, score)
            for row in self.rows
            for seed, score in row.all_scores.items()
        )

    @cached_property
    def frontier(self) -> tuple[ArchSummary, ...]:
        """Frontier architectures by rising first cost."""
        return tuple(row for row in self.rows if row.on_frontier)

    @cached_property
    def references(self) -> tuple[ArchSummary, ...]:
        """Reference architectures by rising first cost."""
        return tuple(row for row in self.rows if row.reference)

    @cached_property
    def reference_labels(self) -> tuple[str, ...]:
        """Names of the reference architectures, each of which may be there at several costs."""
        return tuple(sorted({row.label for row in self.references}))

    @cached_property
    def shown(self) -> tuple[ArchSummary, ...]:
        """What a table shows: the frontier, the references, and what was confirmed beside them."""
        return tuple(row for row in self.rows if row.on_frontier or row.reference or row.confirmed)

    @property
    def confirmed(self) -> bool:
        """Whether a frontier architecture is confirmed, all of them once confirming is done."""
        return self.num_confirmed > 0

    @cached_property
    def frontier_criterion(self) -> Criterion:
        """Score that the frontier is of: the search's, or mIoU once what is confirmed makes it."""
        all_confirmed = self.frontier and self.num_confirmed == len(self.frontier)
        return "miou" if all_confirmed else self.criterion

    @cached_property
    def num_confirmed(self) -> int:
        """Frontier architectures that are confirmed."""
        return sum(row.confirmed for row in self.frontier)

    @property
    def best(self) -> ArchSummary | None:
        """The frontier architecture with the highest mean score; None without a frontier."""
        return max(self.frontier, key=lambda row: row.interval.mean, default=None)

    def within(
        self,
        *,
        macs: float | None = None,
        params: float | None = None,
        peak_activation_bytes: float | None = None,
        latency_ms: float | None = None,
    ) -> RunSummary:
        """The same run as far as a budget reaches, with the frontier of what is left.

        Args:
            macs: Most multiply-adds an image; None = any.
            params: Most parameters; None = any.
            peak_activation_bytes: Most peak bytes of activations; None = any.
            latency_ms: Longest measured latency; what was never measured is then left out. None =
                any.

        Raises:
            ValueError: A budget is not a number above 0.
        """
        budgets = {
            "macs": macs,
            "params": params,
            "peak_activation_bytes": peak_activation_bytes,
            "latency_ms": latency_ms,
        }
        given = {name: most for name, most in budgets.items() if most is not None}
        for name, most in given.items():
            if not most > 0:
                raise ValueError(f"a budget of {name} must be above 0, got {most:g}")
        rows = [
            row for row in self.rows if all(row.cost(name) <= most for name, most in given.items())
        ]
        left = {row.arch_id for row in rows}
        return replace(
            self,
            rows=with_frontier(rows, self.costs, self.finalists),
            calibrated_noise=self.noise,  # what dear architectures say of it holds for all
            inherited=tuple(record for record in self.inherited if record.arch_id in left),
        )

    def alternatives(self, row: ArchSummary) -> tuple[tuple[ArchSummary, PairedDifference], ...]:
        """Compares a row with every other one that was trained under its conditions.

        These are confirmed where it is, and share a seed with it. References are among them: one
        may be better than all that was found. The intervals are not adjusted for their number.

        Args:
            row: What is compared.

        Returns:
            Each, the highest mean first, and the difference (row minus it, fraction of
            mIoU).
        """
        others = [
            other
            for other in self.rows
            if other.arch_id != row.arch_id
            and other.confirmed == row.confirmed
            and other.scores.keys() & row.scores.keys()
        ]
        others.sort(key=lambda other: -other.interval.mean)
        return tuple(
            (other, paired_difference(row.scores, other.scores, self.confidence))
            for other in others
        )

    def to_frame(self) -> pd.DataFrame:
        """Frontier, confirmed architectures and references by rising first cost, to look at.

        One row an architecture, by its id; units stand in the names of the columns. The ends of
        an interval are NaN for one seed. Latency and probability have a column only where there
        is one, and further costs where the frontier is of them.
        """
        import pandas as pd

        shown = self.shown
        further = [OBJECTIVES[name] for name in self.costs if name not in _ALWAYS_SHOWN]
        frame = pd.DataFrame(
            {
                "architecture": row.arch_id,
                "label": row.label,
                "on frontier": row.on_frontier,
                "GMACs": row.macs / 1e9,
                "params M": row.params / 1e6,
                "peak MiB": row.peak_activation_bytes / 2**20,
                "latency ms": row.cost("latency_ms"),
                **{
                    f"{cost.word} {cost.unit}": row.cost(cost.name) * cost.scale for cost in further
                },
                "mIoU %": 100 * row.interval.mean,
                "low": 100 * row.interval.low,
                "high": 100 * row.interval.high,
                "seeds": ", ".join(map(str, sorted(row.scores))),
                "in search %": math.nan if row.search_miou is None else 100 * row.search_miou,
                "P(frontier)": self.probabilities.get(row.arch_id, math.nan),
            }
            for row in shown
        )
        if not shown:
            return frame
        frame = frame.set_index("architecture")
        unknown = [name for name in ("latency ms", "P(frontier)") if frame[name].isna().all()]
        return frame.drop(columns=unknown)

    def against_reference(
        self, row: ArchSummary, label: str
    ) -> tuple[ArchSummary, PairedDifference] | None:
        """Compares a row with the reference of a name nearest to it in the first cost, by seed.

        Both must have been trained under the same conditions, so a confirmed row is compared
        with a confirmed reference only.

        Args:
            row: What is compared.
            label: Name of the reference.

        Returns:
            The reference, and the difference (row minus reference, fraction of mIoU); `None`
            if the row is a reference itself or no reference shares a seed with it.
        """
        others = [
            reference
            for reference in self.references
            if reference.label == label
            and reference.confirmed == row.confirmed
            and reference.scores.keys() & row.scores.keys()
        ]
        if row.reference or not others:
            return None
        cost = self.costs[0]
        nearest = min(others, key=lambda other: abs(other.cost(cost) - row.cost(cost)))
        return nearest, paired_difference(row.scores, nearest.scores, self.confidence)

    def hypervolume_gain(self, label: str) -> PairedDifference | None:
        """Compares the hypervolume of the frontier with that of a reference at its costs, by seed.

        Both are of the confirming seeds that every architecture of either side was trained with, up
        to mIoU 0 and 1.1 times the greatest cost of either side.

        Args:
            label: Name of the reference.

        Returns:
            Frontier minus reference, as a share of the reference's mean; `None` before every
            frontier architecture is confirmed, and where no seed is common to all.
        """
        found = [row for row in self.frontier if row.confirmed and row.has(self.costs)]
        beside = [row for row in self.references if row.label == label and row.confirmed]
        beside = [row for row in beside if row.has(self.costs)]
        if not found or not beside or self.num_confirmed < len(self.frontier):
            return None
        seeds = set.intersection(*(set(row.scores) for row in (*found, *beside)))
        corner = [
            0.0,
            *(CORNER * max(row.cost(cost) for row in (*found, *beside)) for cost in self.costs),
        ]

        def volumes(rows: Sequence[ArchSummary]) -> dict[int, float]:
            return {
                seed: hypervolume(
                    [(row.scores[seed], *row.costs(self.costs)) for row in rows], corner
                )
                for seed in seeds
            }

        theirs = volumes(beside)
        unit = fmean(theirs.values()) if theirs else 0.0
        if not unit > 0:
            return None
        first, second = (
            {seed: volume / unit for seed, volume in side.items()}
            for side in (volumes(found), theirs)
        )
        return paired_difference(first, second, self.confidence)
