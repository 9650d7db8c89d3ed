"""One row an architecture, made from the trials of a run, and which rows are its frontier."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TypeAlias

from .frontier import pareto_front
from .intervals import Interval, mean_interval
from .records import CALIBRATING, Criterion, TrialRecord

CostName: TypeAlias = str
"""Name of an objective that is a cost: see `hrvit_nas.objectives`."""


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
        all_scores: Score that the search ranks by, more being better, by seed: those before
            confirmation and of calibrating seeds included; without those of long training, which
            are not of one kind with the rest.
        inherited_miou: mIoU (fraction) with the weights of a supernet; `None` if there is none.
        search_miou: mIoU before confirmation (mean, if there were several seeds); `None` if
            it was only trained to confirm.
        search_score: The same of the score that the search ranks by, more being better.
        macs: Multiply-adds an image, as executed.
        published_macs: Multiply-adds an image of the published form.
        params: Parameters.
        peak_activation_bytes: Peak bytes of activations an image.
        predicted_latency_ms: Latency predicted from a table; `None` in a run without one.
        latency_ms: Mean measured latency; `None` if never measured.
        on_frontier: Whether it is on the frontier (see `with_frontier`).
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
    predicted_latency_ms: float | None
    latency_ms: float | None
    on_frontier: bool

    def cost(self, name: CostName) -> float:
        """The cost of that name; NaN where a latency was never measured or predicted."""
        value: float | None = getattr(self, name)
        return math.nan if value is None else float(value)

    def costs(self, names: Sequence[CostName]) -> tuple[float, ...]:
        """The costs of those names, each as `cost`."""
        return tuple(map(self.cost, names))

    def has(self, names: Sequence[CostName]) -> bool:
        """Whether all costs of those names are known."""
        return not any(map(math.isnan, self.costs(names)))


def row_of(
    records: Sequence[TrialRecord],
    inherited: TrialRecord | None,
    confidence: float,
    criterion: Criterion,
    proxy_budget: int,
) -> ArchSummary:
    """The row of one architecture, not yet on a frontier.

    Args:
        records: Its complete trials, trained alone.
        inherited: Its trial with the weights of a supernet.
        confidence: Coverage of the interval.
        criterion: Score that the search ranks by.
        proxy_budget: Optimiser steps of what was not trained long.
    """
    first = records[0]
    confirming = [r for r in records if r.purpose == "confirmation"]
    scoring = [r for r in records if r.purpose != "confirmation" and r.budget == proxy_budget]
    before = _by_seed(scoring, "miou")
    # Further seeds of those that calibrate, too, would move the frontier that confirming starts
    # from, and flatter or cut down some architectures alone.
    calibrating = {r.seed for r in scoring if r.purpose in CALIBRATING}
    calibrating -= {r.seed for r in scoring if r.purpose in ("search", "reference")}
    search = {seed: miou for seed, miou in before.items() if seed not in calibrating} or before
    ranked = _by_seed(scoring, criterion)
    in_search = [score for seed, score in ranked.items() if seed in search]
    again = _by_seed((r for r in confirming if r.budget == proxy_budget), criterion)
    confirmed = _by_seed(confirming, "miou")
    scores = confirmed or search
    latencies = [r.latency_ms for r in records if r.latency_ms is not None]
    return ArchSummary(
        arch_id=first.arch_id,
        arch=first.arch,
        label=next((r.label for r in records if r.label), ""),
        # One that the search had trained before is known by the label of its confirming seeds.
        reference=any(r.purpose == "reference" for r in records)
        or any(r.label for r in confirming),
        searched=any(r.purpose == "search" for r in records),
        confirmed=bool(confirmed),
        scores=scores,
        interval=mean_interval(scores.values(), confidence),
        all_scores=ranked | again,
        inherited_miou=inherited.miou if inherited else None,
        search_miou=fmean(search.values()) if search else None,
        search_score=fmean(in_search) if in_search else None,
        macs=first.macs,
        published_macs=first.published_macs,
        params=first.params,
        peak_activation_bytes=first.peak_activation_bytes,
        predicted_latency_ms=first.predicted_latency_ms,
        latency_ms=fmean(latencies) if latencies else None,
        on_frontier=False,
    )


def with_frontier(
    rows: Iterable[ArchSummary], costs: Sequence[CostName], finalists: int | None
) -> tuple[ArchSummary, ...]:
    """The rows by rising first cost, with those on their frontier marked.

    It is of the score that the search ranks by against all costs. Once every architecture that is
    to be confirmed is, it is drawn among the confirmed ones only, by the mean mIoU of their seeds:
    see `summary.summarise`.

    Args:
        rows: All of a run, or those within a budget.
        costs: What the frontier weighs the score against.
        finalists: How many architectures of the search's frontier are to be confirmed; None = all.
    """
    rows = list(rows)
    searched = any(row.searched for row in rows)
    candidates = [row for row in rows if (row.searched if searched else not row.reference)]
    on_front = _front(candidates, costs, lambda row: row.search_score)
    confirmed = [row for row in candidates if row.confirmed]
    wanted = len(on_front) if finalists is None else min(finalists, len(on_front))
    if sum(row.arch_id in on_front for row in confirmed) >= wanted:
        on_front = _front(confirmed, costs, lambda row: row.interval.mean)
    marked = [
        row if row.on_frontier == on else replace(row, on_frontier=on)
        for row in rows
        for on in [row.arch_id in on_front]
    ]
    marked.sort(key=lambda row: (*row.costs(costs), row.interval.mean, row.arch_id))
    return tuple(marked)


def _front(
    rows: Sequence[ArchSummary],
    costs: Sequence[CostName],
    score: Callable[[ArchSummary], float | None],
) -> set[str]:
    """Ids of the rows that no other beats; a row without a score is not among them."""
    scores = [math.nan if (value := score(row)) is None else value for row in rows]
    points = [(value, *row.costs(costs)) for value, row in zip(scores, rows, strict=True)]
    return {row.arch_id for row, on in zip(rows, pareto_front(points), strict=True) if on}


def _by_seed(records: Iterable[TrialRecord], criterion: Criterion) -> dict[int, float]:
    """A score by seed, more being better, as far as there is one."""
    scores = {record.seed: record.score(criterion) for record in records}
    return {seed: score for seed, score in scores.items() if score is not None}
