"""One row an architecture, made from the records of a run: what the tables and figures show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, TypeAlias

from .frontier import frontier_probability, pareto_front
from .intervals import Interval, PairedDifference, mean_interval, paired_difference
from .records import CALIBRATING, Criterion, TrialRecord
from .score_noise import MIN_FOR_LINE, pooled_noise, score_draw_batches

if TYPE_CHECKING:
    import pandas as pd

CostName: TypeAlias = str
"""Name of an objective that is a cost: see `hrvit_nas.objectives`."""
MIN_FREE = 4
"""Degrees of freedom below which a spread between seeds is not worth using."""
MOST_DRAWS, LEAST_DRAWS, MOST_DRAWN = 4000, 200, 2_000_000
"""Draws behind a probability: at most, at least, and the most scores that are drawn at once."""


@dataclass(frozen=True, kw_only=True)
class ArchSummary:
    """What a run found out about one architecture.

    Attributes:
        arch_id: Its id.
        arch: Its canonical JSON.
        label: Name to show; empty for most.
        reference: Whether it was placed beside the search, to compare with.
        searched: Whether the search proposed it; one that is a reference too may be both.
        confirmed: Whether `scores` are those of confirming seeds.
        scores: mIoU (fraction) by seed, the scores that the mean is made of.
        interval: Mean of `scores` and its interval.
        all_scores: mIoU (fraction) by seed, those before confirmation and of calibrating seeds
            included; without those of long training, which are not of one kind with the rest.
        inherited_miou: mIoU (fraction) with the weights of a supernet; `None` if there is none.
        search_miou: mIoU before confirmation (mean, if there were several seeds); `None` if
            it was only trained to confirm.
        search_score: The same of the score that the search ranks by, more being better.
        macs: Multiply-adds an image, as executed.
        published_macs: Multiply-adds an image of the published form.
        params: Parameters.
        peak_activation_bytes: Peak bytes of activations an image.
        latency_ms: Mean measured latency; `None` if never measured.
        on_frontier: Whether it is on the frontier (see `summarise`).
    """

    arch_id: str
    arch: str
    label: str
    reference: bool
    searched: bool
    confirmed: bool
    scores: dict[int, float]
    interval: Interval
    all_scores: dict[int, float]
    inherited_miou: float | None
    search_miou: float | None
    search_score: float | None
    macs: int
    published_macs: int
    params: int
    peak_activation_bytes: int
    latency_ms: float | None
    on_frontier: bool

    def cost(self, name: CostName) -> float:
        """The cost of that name; NaN where a latency was never measured."""
        value: float | None = getattr(self, name)
        return math.nan if value is None else float(value)


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """The architectures of a run, by rising cost.

    Attributes:
        rows: One row for each architecture with a complete trial.
        cost: The cost that the frontier weighs against mIoU.
        confidence: Coverage of the intervals.
        num_failed: Failed trials, which have no row.
        steps: Numbers of optimiser steps that the complete trials were trained for.
        calibrated_noise: Standard deviation of one score between seeds (fraction of mIoU), from a
            calibration; None without one.
        inherited: Complete scores with the weights of a supernet, which have no rows of their own.
        criterion: Score that the search ranks by, whose frontier it is until it is confirmed.
        finalists: How many members of the search's frontier are to be confirmed; None = all.
    """

    rows: tuple[ArchSummary, ...]
    cost: CostName
    confidence: float
    num_failed: int
    steps: tuple[int, ...]
    calibrated_noise: float | None = None
    inherited: tuple[TrialRecord, ...] = ()
    criterion: Criterion = "miou"
    finalists: int | None = None

    @cached_property
    def noise(self) -> float | None:
        """Standard deviation of one score between seeds (fraction of mIoU), as far as known.

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
        effect. The noise counts as known, however few seeds it comes from. Empty where the noise
        is unknown, fewer than 4 architectures were searched, or the frontier is of another score
        than `all_scores`: by another criterion, or of long training.
        """
        of_another = any(
            row.confirmed and not row.scores.items() <= row.all_scores.items() for row in self.rows
        )
        if of_another or self.criterion != "miou":
            return {}
        rows = [row for row in self.rows if row.searched and not math.isnan(row.cost(self.cost))]
        if self.noise is None or len(rows) < MIN_FOR_LINE:
            return {}
        effects, _, _ = self._seed_fit
        means = [fmean(v - effects[s] for s, v in row.all_scores.items()) for row in rows]
        costs = [row.cost(self.cost) for row in rows]
        seeds = [len(row.all_scores) for row in rows]
        # Of a large run, a few draws at a time and fewer in all keep memory and time in bounds.
        at_once = min(MOST_DRAWS, max(1, MOST_DRAWN // len(rows)))
        draws = MOST_DRAWS if at_once == MOST_DRAWS else LEAST_DRAWS
        batches = score_draw_batches(means, seeds, costs, self.noise, draws, at_once)
        parts = [frontier_probability(batch, costs) for batch in batches]
        found = [fmean(shares) for shares in zip(*parts, strict=True)]
        return {row.arch_id: float(p) for row, p in zip(rows, found, strict=True)}

    @cached_property
    def _seed_fit(self) -> tuple[dict[int, float], float, int]:
        return pooled_noise(
            (row.arch_id, seed, score)
            for row in self.rows
            for seed, score in row.all_scores.items()
        )

    @cached_property
    def frontier(self) -> tuple[ArchSummary, ...]:
        """Frontier members by rising cost."""
        return tuple(row for row in self.rows if row.on_frontier)

    @cached_property
    def references(self) -> tuple[ArchSummary, ...]:
        """Reference architectures by rising cost."""
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
        """Whether a frontier member is confirmed, all of them once confirming is done."""
        return self.num_confirmed > 0

    @cached_property
    def num_confirmed(self) -> int:
        """Frontier members that are confirmed."""
        return sum(row.confirmed for row in self.frontier)

    @property
    def best(self) -> ArchSummary | None:
        """The frontier member with the highest mean score; None without a frontier."""
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
            rows=_with_frontier(rows, self.cost, self.finalists),
            calibrated_noise=self.noise,  # what dear architectures say of it holds for all
            inherited=tuple(record for record in self.inherited if record.arch_id in left),
        )

    def rivals(self, row: ArchSummary) -> tuple[tuple[ArchSummary, PairedDifference], ...]:
        """Compares a row with every other one that was trained under its conditions.

        These are confirmed where it is, and share a seed with it. References are among them: one
        may be better than all that was found. The intervals are not adjusted for their number.

        Args:
            row: What is compared.

        Returns:
            Each rival, the highest mean first, and the difference (row minus rival, fraction of
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
        """Frontier, confirmed architectures and references by rising cost, to look at.

        One row an architecture, by its id; units stand in the names of the columns. The ends of
        an interval are NaN for one seed. Latency and probability have a column only where there
        is one.
        """
        import pandas as pd

        shown = self.shown
        frame = pd.DataFrame(
            {
                "architecture": row.arch_id,
                "label": row.label,
                "on frontier": row.on_frontier,
                "GMACs": row.macs / 1e9,
                "params M": row.params / 1e6,
                "peak MiB": row.peak_activation_bytes / 2**20,
                "latency ms": row.cost("latency_ms"),
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
        """Compares a row with the reference of a name nearest to it in cost, seed by seed.

        Both must have been trained under the same conditions, so a confirmed row is compared
        with a confirmed reference only.

        Args:
            row: What is compared.
            label: Name of the reference.

        Returns:
            The reference, and the difference (row minus reference, fraction of mIoU); `None`
            if the row is a reference itself or no reference shares a seed with it.
        """
        rivals = [
            reference
            for reference in self.references
            if reference.label == label
            and reference.confirmed == row.confirmed
            and reference.scores.keys() & row.scores.keys()
        ]
        if row.reference or not rivals:
            return None
        here = row.cost(self.cost)
        nearest = min(rivals, key=lambda rival: abs(rival.cost(self.cost) - here))
        return nearest, paired_difference(row.scores, nearest.scores, self.confidence)


def summarise(
    records: Iterable[TrialRecord],
    *,
    cost: CostName = "macs",
    confidence: float = 0.95,
    noise: float | None = None,
    criterion: Criterion = "miou",
    finalists: int | None = None,
) -> RunSummary:
    """Gathers the complete trials of each architecture and finds the frontier.

    The seed that an architecture was selected with flatters it: of many noisy scores the
    search picks the highest, so the winners' scores are too high on average. Where an
    architecture has confirming seeds, its mean and interval are therefore over those alone,
    and the score of the search stands beside them. For the same reason, once every member of the
    search's frontier is confirmed that is to be, the frontier is drawn among the confirmed ones
    only: a flattered score of one seed must not dominate an honest mean. Until then it is the
    search's.

    References do not belong to the frontier, unless the search found them too, and neither do
    members that only calibrate beside a search. Scores with inherited weights are another quantity
    than those of training alone: they stand beside these, and decide nothing here.

    Args:
        records: Records of one run; failed trials are counted and otherwise passed over.
        cost: The cost that the frontier weighs against mIoU.
        confidence: Coverage of the intervals.
        noise: Standard deviation of one score between seeds, from a calibration.
        criterion: Score that the search ranks by, and its frontier is drawn by; what confirms is
            compared by mIoU all the same.
        finalists: How many members of the search's frontier are to be confirmed; None = all.
    """
    groups: dict[str, list[TrialRecord]] = {}
    failed = 0
    steps: set[int] = set()
    inherited: dict[str, TrialRecord] = {}
    records = list(records)
    least = min((record.budget for record in records if record.evaluator == "trained"), default=0)
    for record in records:
        if record.state == "failed":
            failed += 1
        elif record.evaluator == "inherited":
            inherited[record.arch_id] = record
        elif record.budget > least and record.purpose in CALIBRATING:
            continue  # it judges scores, and is none that anything is compared by
        else:
            groups.setdefault(record.arch_id, []).append(record)
            steps.add(record.steps)
    rows = [
        _summarise_arch(group, inherited.get(arch_id), confidence, criterion, least)
        for arch_id, group in groups.items()
    ]
    return RunSummary(
        rows=_with_frontier(rows, cost, finalists),
        cost=cost,
        confidence=confidence,
        num_failed=failed,
        steps=tuple(sorted(steps)),
        calibrated_noise=noise,
        inherited=tuple(inherited.values()),
        criterion=criterion,
        finalists=finalists,
    )


def _with_frontier(
    rows: Iterable[ArchSummary], cost: CostName, finalists: int | None
) -> tuple[ArchSummary, ...]:
    """The rows by rising cost, with those on their frontier marked (see `summarise`)."""
    rows = list(rows)
    searched = any(row.searched for row in rows)
    candidates = [row for row in rows if (row.searched if searched else not row.reference)]
    members = _front(candidates, cost, lambda row: row.search_score)
    confirmed = [row for row in candidates if row.confirmed]
    wanted = len(members) if finalists is None else min(finalists, len(members))
    if sum(row.arch_id in members for row in confirmed) >= wanted:
        members = _front(confirmed, cost, lambda row: row.interval.mean)
    marked = [
        row if row.on_frontier == on else replace(row, on_frontier=on)
        for row in rows
        for on in [row.arch_id in members]
    ]
    marked.sort(key=lambda row: (row.cost(cost), row.interval.mean, row.arch_id))
    return tuple(marked)


def _front(
    rows: list[ArchSummary], cost: CostName, score: Callable[[ArchSummary], float | None]
) -> set[str]:
    """Ids of the rows that no other beats; a row without a score is not among them."""
    scores = [math.nan if (value := score(row)) is None else value for row in rows]
    points = [(value, row.cost(cost)) for value, row in zip(scores, rows, strict=True)]
    return {row.arch_id for row, on in zip(rows, pareto_front(points), strict=True) if on}


def _mious(records: Iterable[TrialRecord]) -> dict[int, float]:
    return {record.seed: record.miou for record in records if record.miou is not None}


def _summarise_arch(
    records: list[TrialRecord],
    inherited: TrialRecord | None,
    confidence: float,
    criterion: Criterion,
    proxy_budget: int,
) -> ArchSummary:
    first = records[0]
    confirming = [r for r in records if r.purpose == "confirmation"]
    scoring = [r for r in records if r.purpose != "confirmation" and r.budget == proxy_budget]
    confirm, before = _mious(confirming), _mious(scoring)
    # Further seeds of those that calibrate, too, would move the frontier that confirming starts
    # from, and flatter or cut down some members alone.
    calibrating = {r.seed for r in scoring if r.purpose in CALIBRATING}
    calibrating -= {r.seed for r in scoring if r.purpose in ("search", "reference")}
    search = {seed: miou for seed, miou in before.items() if seed not in calibrating} or before
    scores = confirm or search
    by_criterion = [
        score
        for r in scoring
        if r.seed in search
        for score in [r.score(criterion)]
        if score is not None
    ]
    latencies = [r.latency_ms for r in records if r.latency_ms is not None]
    return ArchSummary(
        arch_id=first.arch_id,
        arch=first.arch,
        label=next((r.label for r in records if r.label), ""),
        # One that the search had trained before is known by the label of its confirming seeds.
        reference=any(r.purpose == "reference" for r in records)
        or any(r.label for r in confirming),
        searched=any(r.purpose == "search" for r in records),
        confirmed=bool(confirm),
        scores=scores,
        interval=mean_interval(scores.values(), confidence),
        all_scores={**before, **_mious(r for r in confirming if r.budget == proxy_budget)},
        inherited_miou=inherited.miou if inherited else None,
        search_miou=fmean(search.values()) if search else None,
        search_score=fmean(by_criterion) if by_criterion else None,
        macs=first.macs,
        published_macs=first.published_macs,
        params=first.params,
        peak_activation_bytes=first.peak_activation_bytes,
        latency_ms=fmean(latencies) if latencies else None,
        on_frontier=False,
    )
