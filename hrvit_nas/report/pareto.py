"""What the Pareto figure shows; `plots.pareto` draws it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hrvit_nas.objectives import OBJECTIVES, Objective
from hrvit_nas.results import ArchSummary, RunSummary, TrialRecord

from .figures import ReportError

_TIMES = "\N{MULTIPLICATION SIGN}"
LOG_SPAN = 8.0
"""Costs that span more than this factor are drawn on a logarithmic axis."""


@dataclass(frozen=True, kw_only=True)
class ParetoPoint:
    """One architecture in the units of the axes.

    Attributes:
        arch_id: Its id.
        label: Name to show beside it; may be empty.
        cost: Cost in the unit of the x axis.
        score: Score in the unit of the y axis; the mean where there are several seeds.
        low: Lower end of the interval of that mean; NaN where unknown.
        high: Upper end.
        probability: Probability of being on the frontier; NaN where unknown.
    """

    arch_id: str
    label: str
    cost: float
    score: float
    low: float
    high: float
    probability: float = math.nan


@dataclass(frozen=True, kw_only=True)
class ParetoPanel:
    """The score against one cost, in the units of the axes.

    Attributes:
        cost: In a title.
        searched: Every architecture that the search scored, at that score. Where the frontier is
            confirmed, those on it appear here too, at the score they were selected for.
        inherited: Every architecture that was scored with the weights of a supernet, at that score.
        frontier: Frontier architectures by rising first cost.
        confirmed_dominated: Confirmed architectures that are not on the frontier.
        references: Reference architectures.
        staircase: Corners of the frontier drawn as steps: the best score to be had for at most
            that cost, as far as the dearest architecture; empty where there are several costs.
        log_cost: Whether the x axis is logarithmic.
        x_label: Label of the x axis, with its unit.
    """

    cost: str
    searched: tuple[ParetoPoint, ...]
    inherited: tuple[ParetoPoint, ...]
    frontier: tuple[ParetoPoint, ...]
    confirmed_dominated: tuple[ParetoPoint, ...]
    references: tuple[ParetoPoint, ...]
    staircase: tuple[tuple[float, float], ...]
    log_cost: bool
    x_label: str


@dataclass(frozen=True, kw_only=True)
class ParetoData:
    """Everything that the figure shows.

    Attributes:
        panels: A panel a cost: the frontier is of all of them, and each shows one side of it.
        score: What the frontier is of beside its costs.
        confirmed: Whether frontier and references are means over confirming seeds.
        confidence: Coverage of the intervals.
        y_label: Label of the y axis, with its unit.
        caption: Data set, numbers of architectures and seeds, steps, what the frontier is of.
    """

    panels: tuple[ParetoPanel, ...]
    score: Objective
    confirmed: bool
    confidence: float
    y_label: str
    caption: str


def pareto_data(
    summary: RunSummary, *, dataset: str = "", image_size: tuple[int, int] | None = None
) -> ParetoData:
    """Turns a run's summary into what the figure shows.

    Architectures without a cost (a latency never measured) are left out.

    Args:
        summary: From `hrvit_nas.results.summarise`.
        dataset: Name of the data set, for the caption.
        image_size: (height, width) that costs are counted at, for the axis label.

    Raises:
        ReportError: No architecture has both a score and the costs.
    """
    score = OBJECTIVES[summary.frontier_criterion]
    with_costs = [row for row in summary.rows if row.has(summary.costs)]
    rows = [r for r in with_costs if score.name == "miou" or r.search_score is not None]
    inherited = [
        record
        for record in summary.inherited
        if record.score(score.name) is not None
        and all(getattr(record, cost) is not None for cost in summary.costs)
    ]
    if not rows and not inherited:
        what = "no trial is complete"
        if summary.rows:
            missing = score.name if with_costs else " and ".join(summary.costs)
            what = f"no complete trial has {missing}"
        elif summary.num_failed:
            what += f" ({summary.num_failed} failed)"
        raise ReportError(f"there is nothing to draw: {what}")
    return ParetoData(
        panels=tuple(
            _panel(summary, OBJECTIVES[cost], rows, inherited, image_size) for cost in summary.costs
        ),
        score=score,
        confirmed=summary.confirmed and score.name == "miou",
        confidence=summary.confidence,
        y_label=score.axis,
        caption=_caption(summary, dataset),
    )


def _panel(
    summary: RunSummary,
    cost: Objective,
    rows: Sequence[ArchSummary],
    inherited: Sequence[TrialRecord],
    image_size: tuple[int, int] | None,
) -> ParetoPanel:
    """The rows and the inherited scores against one cost."""
    score = OBJECTIVES[summary.frontier_criterion]

    def point(row: ArchSummary) -> ParetoPoint:
        chance = summary.probabilities.get(row.arch_id, math.nan)
        return replace(_point(row, score, cost), probability=chance)

    scored = tuple(
        ParetoPoint(
            arch_id=record.arch_id,
            label="",
            cost=getattr(record, cost.name) * cost.scale,
            score=score.scale * score.gain(record.score(score.name) or 0.0),
            low=math.nan,
            high=math.nan,
        )
        for record in inherited
    )
    frontier = tuple(point(row) for row in rows if row.on_frontier)
    costs = [row.cost(cost.name) * cost.scale for row in rows] + [p.cost for p in scored]
    at = "" if image_size is None else f" at {image_size[0]}{_TIMES}{image_size[1]}"
    return ParetoPanel(
        cost="cost" if len(summary.costs) == 1 else cost.word,
        searched=tuple(
            _point(row, score, cost, before=True)
            for row in rows
            if row.searched and row.search_miou is not None
        ),
        inherited=scored,
        frontier=frontier,
        confirmed_dominated=tuple(
            point(row)
            for row in rows
            if row.confirmed and not row.on_frontier and not row.reference
        ),
        references=tuple(_point(row, score, cost) for row in rows if row.reference),
        # From one side, a frontier of several costs is no staircase.
        staircase=_staircase(frontier, max(costs)) if len(summary.costs) == 1 else (),
        log_cost=min(costs) > 0 and max(costs) / min(costs) > LOG_SPAN,
        x_label=cost.axis.format(at=at),
    )


def _point(
    row: ArchSummary, score: Objective, cost: Objective, *, before: bool = False
) -> ParetoPoint:
    interval = row.interval
    value, low, high = interval.mean, interval.low, interval.high
    if score.name != "miou":
        assert row.search_score is not None
        value, low, high = score.gain(row.search_score), math.nan, math.nan
    elif before and row.confirmed:
        assert row.search_miou is not None
        value, low, high = row.search_miou, math.nan, math.nan
    return ParetoPoint(
        arch_id=row.arch_id,
        label=row.label,
        cost=row.cost(cost.name) * cost.scale,
        score=score.scale * value,
        low=score.scale * low,
        high=score.scale * high,
    )


def _staircase(
    frontier: tuple[ParetoPoint, ...], dearest: float
) -> tuple[tuple[float, float], ...]:
    corners: list[tuple[float, float]] = []
    for point in frontier:
        if corners:
            corners.append((point.cost, corners[-1][1]))
        corners.append((point.cost, point.score))
    if corners and dearest > corners[-1][0]:
        corners.append((dearest, corners[-1][1]))
    return tuple(corners)


def _caption(summary: RunSummary, dataset: str) -> str:
    searched = [row for row in summary.rows if row.searched]
    unmeasured = sum(not row.has(summary.costs) for row in searched)
    words = " or ".join(OBJECTIVES[cost].word for cost in summary.costs)
    want = f", {unmeasured} of them not drawn, for want of a {words}"
    parts = [dataset] if dataset else []
    if summary.inherited:
        parts.append(f"{len(summary.inherited):,} scored with inherited weights")
    parts.append(
        _count(len(searched), "architecture")
        + (" trained" if summary.inherited else "")
        + (want if unmeasured else "")
    )
    if not summary.rows:
        return " · ".join(parts)
    if summary.confirmed:
        confirmed = [row for row in summary.rows if row.confirmed]
        parts.append(_seeds(confirmed, "confirming seed"))
    else:
        parts.append(_seeds(searched or summary.rows, "seed"))
    if summary.steps:
        steps = _span(summary.steps)
        parts.append(f"{steps} step" if steps == "1" else f"{steps} steps")
    score, costs = OBJECTIVES[summary.frontier_criterion], summary.costs
    if len(costs) > 1:
        words = " and ".join(OBJECTIVES[cost].word for cost in costs)
        parts.append(f"one frontier of {score.word}, {words}, seen from {len(costs)} sides")
    elif score.name != "miou":
        parts.append(f"frontier by {score.word}")
    return " · ".join(parts)


def _seeds(rows: Iterable[ArchSummary], noun: str) -> str:
    counts = sorted({len(row.scores) for row in rows})
    return f"{_span(counts)} {noun}" + ("" if counts == [1] else "s")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _span(numbers: Iterable[int]) -> str:
    ordered = sorted(numbers)
    low, high = ordered[0], ordered[-1]
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
