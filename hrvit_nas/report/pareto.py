"""The Pareto figure: what it shows (tested data) and how it is drawn (matplotlib, on demand)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from hrvit_nas.objectives import OBJECTIVES
from hrvit_nas.results import ArchSummary, CostName, RunSummary

from .calibration import UNITS
from .figures import BLUE, FAINT, GREY, INK, VERMILION, ReportError, one_line, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

LOG_SPAN = 8.0
"""Costs that span more than this factor are drawn on a logarithmic axis."""


@dataclass(frozen=True, kw_only=True)
class ParetoPoint:
    """One architecture in the units of the axes.

    Attributes:
        arch_id: Its id.
        label: Name to show beside it; may be empty.
        cost: Cost in the unit of the x axis.
        miou: mIoU in percent; the mean where there are several seeds.
        low: Lower end of the interval of the mean, in percent; NaN where unknown.
        high: Upper end.
        probability: Probability of being on the frontier; NaN where unknown.
    """

    arch_id: str
    label: str
    cost: float
    miou: float
    low: float
    high: float
    probability: float = math.nan


@dataclass(frozen=True, kw_only=True)
class ParetoData:
    """Everything that the figure shows, in the units of its axes.

    Attributes:
        searched: Every architecture that the search scored, at that score. Where the frontier is
            confirmed, its members appear here too, at the score they were selected for.
        inherited: Every architecture that was scored with the weights of a supernet, at that score.
        frontier: Frontier members by rising cost.
        confirmed_dominated: Confirmed architectures that are not on the frontier.
        references: Reference architectures.
        staircase: Corners of the frontier drawn as steps: the best mIoU to be had for at most
            that cost, as far as the dearest architecture.
        confirmed: Whether frontier and references are means over confirming seeds.
        confidence: Coverage of the intervals.
        log_cost: Whether the x axis is logarithmic.
        x_label: Label of the x axis, with its unit.
        y_label: Label of the y axis, with its unit.
        caption: Data set, numbers of architectures and seeds, steps.
    """

    searched: tuple[ParetoPoint, ...]
    inherited: tuple[ParetoPoint, ...]
    frontier: tuple[ParetoPoint, ...]
    confirmed_dominated: tuple[ParetoPoint, ...]
    references: tuple[ParetoPoint, ...]
    staircase: tuple[tuple[float, float], ...]
    confirmed: bool
    confidence: float
    log_cost: bool
    x_label: str
    y_label: str
    caption: str


def pareto_data(
    summary: RunSummary, *, dataset: str = "", image_size: tuple[int, int] | None = None
) -> ParetoData:
    """Turns a run's summary into what the figure shows.

    Architectures without the cost (a latency never measured) are left out.

    Args:
        summary: From `hrvit_nas.results.summarise`.
        dataset: Name of the data set, for the caption.
        image_size: (height, width) that costs are counted at, for the axis label.

    Raises:
        ReportError: No architecture has both a score and the cost.
    """
    rows = [row for row in summary.rows if not math.isnan(row.cost(summary.cost))]
    inherited = tuple(
        ParetoPoint(
            arch_id=record.arch_id,
            label="",
            cost=getattr(record, summary.cost) * OBJECTIVES[summary.cost].scale,
            miou=100 * record.miou,
            low=math.nan,
            high=math.nan,
        )
        for record in summary.inherited
        if record.miou is not None and getattr(record, summary.cost) is not None
    )
    if not rows and not inherited:
        what = "no trial is complete"
        if summary.rows:
            what = f"no complete trial has {summary.cost}"
        elif summary.num_failed:
            what += f" ({summary.num_failed} failed)"
        raise ReportError(f"there is nothing to draw: {what}")
    frontier = tuple(_member(row, summary) for row in rows if row.on_frontier)
    costs = [row.cost(summary.cost) * OBJECTIVES[summary.cost].scale for row in rows]
    costs += [point.cost for point in inherited]
    return ParetoData(
        searched=tuple(
            _point(row, summary.cost, before=True)
            for row in rows
            if row.searched and row.search_miou is not None
        ),
        inherited=inherited,
        frontier=frontier,
        confirmed_dominated=tuple(
            _member(row, summary)
            for row in rows
            if row.confirmed and not row.on_frontier and not row.reference
        ),
        references=tuple(_point(row, summary.cost) for row in rows if row.reference),
        # A frontier by another score need not rise in mIoU, and is no staircase of it.
        staircase=()
        if summary.criterion != "miou" and not summary.confirmed
        else _staircase(frontier, max(costs)),
        confirmed=summary.confirmed,
        confidence=summary.confidence,
        log_cost=min(costs) > 0 and max(costs) / min(costs) > LOG_SPAN,
        x_label=_x_label(summary.cost, image_size),
        y_label="mIoU (%)",
        caption=_caption(summary, dataset),
    )


def draw_pareto(data: ParetoData, path: str | Path) -> None:
    """Draws the figure for one column of a paper (3.5 inches wide, 7 to 8 point text).

    Groups differ in marker and lightness, not in hue alone, so the figure survives greyscale
    printing and colour blindness.

    Args:
        data: From `pareto_data`.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.

    Raises:
        ReportError: The suffix is none of these.
        OSError: The file cannot be written.
    """
    save_figure(lambda figure: _draw(figure, data), path, (3.5, 3.1))


def _point(row: ArchSummary, cost: CostName, *, before: bool = False) -> ParetoPoint:
    interval = row.interval
    miou, low, high = interval.mean, interval.low, interval.high
    if before and row.confirmed:
        assert row.search_miou is not None
        miou, low, high = row.search_miou, math.nan, math.nan
    return ParetoPoint(
        arch_id=row.arch_id,
        label=row.label,
        cost=row.cost(cost) * OBJECTIVES[cost].scale,
        miou=100 * miou,
        low=100 * low,
        high=100 * high,
    )


def _member(row: ArchSummary, summary: RunSummary) -> ParetoPoint:
    probability = summary.probabilities.get(row.arch_id, math.nan)
    return replace(_point(row, summary.cost), probability=probability)


def _staircase(
    frontier: tuple[ParetoPoint, ...], dearest: float
) -> tuple[tuple[float, float], ...]:
    corners: list[tuple[float, float]] = []
    for point in frontier:
        if corners:
            corners.append((point.cost, corners[-1][1]))
        corners.append((point.cost, point.miou))
    if corners and dearest > corners[-1][0]:
        corners.append((dearest, corners[-1][1]))
    return tuple(corners)


def _x_label(cost: CostName, image_size: tuple[int, int] | None) -> str:
    at = "" if image_size is None else f" at {image_size[0]}{_TIMES}{image_size[1]}"
    return OBJECTIVES[cost].axis.format(at=at)


def _caption(summary: RunSummary, dataset: str) -> str:
    searched = [row for row in summary.rows if row.searched]
    unmeasured = sum(math.isnan(row.cost(summary.cost)) for row in searched)
    want = f", {unmeasured} of them not drawn, for want of a {OBJECTIVES[summary.cost].word}"
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
    if summary.criterion != "miou" and not summary.confirmed:
        parts.append(f"frontier by {UNITS[summary.criterion][0]}")
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


_TIMES = "\N{MULTIPLICATION SIGN}"
_STEPS = "#86b8e0"
_LABEL_LENGTH = 32
_TEXT, _SMALL = 8.0, 7.0
_MANY_POINTS = 300
_MIN_MIOU_SPAN = 2.0
_CAPTION_WIDTH = 46
_CLOSE, _ASIDE_POINTS = 0.01, 3.5
_LABEL_OFFSETS = (
    *((5, -5), (-5, -5), (5, 5), (-5, 5), (0, -8), (0, 8)),
    *((5, -16), (-5, -16), (0, -22), (0, -36), (0, -50), (0, 22), (0, 36)),
)


def _draw(figure: Figure, data: ParetoData) -> None:
    axes = figure.add_subplot()
    many = len(data.searched) > _MANY_POINTS
    if data.inherited:
        axes.scatter(
            [p.cost for p in data.inherited],
            [p.miou for p in data.inherited],
            s=7,
            marker="x",
            color=FAINT,
            linewidths=0.6,
            zorder=0.8,
            label="inherited weights",
        )
    if data.searched:
        axes.scatter(
            [p.cost for p in data.searched],
            [p.miou for p in data.searched],
            s=4 if many else 13,
            color=FAINT,
            alpha=0.6 if many else 0.9,
            linewidths=0,
            zorder=1,
            rasterized=many,
            label="score in the search" if data.confirmed else "searched",
        )
    if data.staircase:
        xs, ys = zip(*data.staircase, strict=True)
        axes.plot(xs, ys, color=_STEPS, linewidth=1.6, zorder=2)
    has_bars = any(not math.isnan(point.low) for point in (*data.frontier, *data.references))
    bars = f" ({data.confidence:.0%} interval)" if has_bars else ""
    sure = any(not math.isnan(point.probability) for point in data.frontier)
    likely = ", darker = likelier" if sure else ""
    for points, marker, colour, edge, label, zorder in (
        (data.confirmed_dominated, "o", "white", GREY, "confirmed, dominated", 3),
        (data.frontier, "o", BLUE, BLUE, f"frontier{bars}{likely}", 5),
        (data.references, "D", "white", VERMILION, f"reference{bars}", 6),
    ):
        where = _aside(axes, points, data.frontier if points is data.references else ())
        _draw_points(
            axes,
            points,
            where=where,
            marker=marker,
            colour=colour,
            edge=edge,
            label=label,
            zorder=zorder,
        )
    _set_axes(axes, data)
    axes.set_title(
        fill(one_line(data.caption, 120), _CAPTION_WIDTH).replace("\n· ", "\n"),
        loc="left",
        fontsize=_SMALL,
        color=GREY,
        parse_math=False,
    )
    figure.legend(
        loc="outside lower center",
        ncols=1 if likely else 2,
        fontsize=_SMALL,
        frameon=False,
        labelcolor=INK,
        handletextpad=0.4,
        columnspacing=1.4,
        labelspacing=0.3,
        borderpad=0,
    )
    _label_references(figure, axes, data)


def _aside(axes: Axes, points: Sequence[ParetoPoint], others: Sequence[ParetoPoint]) -> Transform:
    """Where points are drawn: a little to the right where bars would hide those of others."""
    from matplotlib.transforms import ScaledTranslation

    close = any(
        abs(point.cost - other.cost) <= _CLOSE * other.cost
        for point in points
        for other in others
        if not math.isnan(point.low) and not math.isnan(other.low)
    )
    figure = axes.get_figure()
    if not close or figure is None:
        return axes.transData
    return axes.transData + ScaledTranslation(_ASIDE_POINTS / 72, 0, figure.dpi_scale_trans)


def _draw_points(
    axes: Axes,
    points: tuple[ParetoPoint, ...],
    *,
    where: Transform,
    marker: str,
    colour: str,
    edge: str,
    label: str,
    zorder: float,
) -> None:
    if not points:
        return
    xs, ys = [p.cost for p in points], [p.miou for p in points]
    barred = [p for p in points if not math.isnan(p.low)]
    if barred:
        axes.errorbar(
            [p.cost for p in barred],
            [p.miou for p in barred],
            yerr=[[p.miou - p.low for p in barred], [p.high - p.miou for p in barred]],
            fmt="none",
            ecolor=edge,
            elinewidth=0.9,
            capsize=1.8,
            capthick=0.9,
            zorder=zorder - 0.5,
            transform=where,
        )
    axes.scatter(
        xs,
        ys,
        s=(4.2 if marker == "o" else 4.6) ** 2,
        marker=marker,
        facecolors=[_shade(colour, point.probability) for point in points],
        edgecolors=edge,
        linewidths=1.0,
        zorder=zorder,
        label=label,
        transform=where,
    )


def _shade(color: str, probability: float) -> tuple[float, ...]:
    """A colour mixed with white by what is missing to certainty."""
    from matplotlib.colors import to_rgb

    share = 1.0 if math.isnan(probability) else probability
    return tuple(share * part + (1 - share) for part in to_rgb(color))


def _set_axes(axes: Axes, data: ParetoData) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    nice = [1, 2, 2.5, 5, 10]
    if data.log_cost:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=nice))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=nice))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    axes.margins(x=0.05, y=0.08)
    # Around one point, or several that agree, the automatic limits would magnify nothing.
    low, high = axes.get_ylim()
    if high - low < _MIN_MIOU_SPAN:
        middle = (low + high) / 2
        axes.set_ylim(middle - _MIN_MIOU_SPAN / 2, middle + _MIN_MIOU_SPAN / 2)
    costs = {
        point.cost for point in (*data.inherited, *data.searched, *data.frontier, *data.references)
    }
    if len(costs) == 1 and max(costs) > 0:
        axes.set_xlim(0, 2 * max(costs))
    axes.set_xlabel(data.x_label, fontsize=_TEXT, color=INK)
    axes.set_ylabel(data.y_label, fontsize=_TEXT, color=INK)
    axes.tick_params(labelsize=_SMALL, color=GREY, labelcolor=INK, width=0.6, length=3)
    axes.tick_params(which="minor", color=GREY, width=0.4, length=1.5)
    axes.grid(visible=True, which="major", color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)
        spine.set_linewidth(0.6)


def _label_references(figure: Figure, axes: Axes, data: ParetoData) -> None:
    """Writes the references' names where they hide least of what is drawn."""
    import numpy as np
    from matplotlib.patheffects import withStroke

    figure.draw_without_rendering()  # settles the layout, without which there are no positions
    drawn = axes.transData.transform(_drawn_points(data))
    frame = axes.get_window_extent()
    for point in data.references:
        if not point.label:
            continue
        choices = []
        for x, y in _LABEL_OFFSETS:
            text = axes.annotate(
                one_line(point.label, _LABEL_LENGTH),
                (point.cost, point.miou),
                xytext=(x, y),
                textcoords="offset points",
                ha="left" if x > 0 else "right" if x < 0 else "center",
                va="top" if y < 0 else "bottom",
                fontsize=_SMALL,
                color=VERMILION,
                parse_math=False,
                path_effects=[withStroke(linewidth=2, foreground="white")],
                zorder=7,
                in_layout=False,
            )
            box = text.get_window_extent()
            inside = ((drawn >= box.min) & (drawn <= box.max)).all(axis=1)
            outside = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0
            hidden = np.count_nonzero(inside) + abs(y) + 1000 * outside
            choices.append((hidden, len(choices), text, box))
        best = min(choices, key=lambda choice: choice[:2])
        for choice in choices:
            if choice is not best:
                choice[2].remove()
        # The next name must not cover this one.
        corners = np.linspace(best[3].min, best[3].max, 20)
        drawn = np.concatenate([drawn, np.repeat(corners, 10, axis=0)])


def _drawn_points(data: ParetoData) -> list[tuple[float, float]]:
    """Positions (in data units) that stand for all that is drawn, the weightiest most often."""
    points = [(point.cost, point.miou) for point in data.searched]
    marked = (*data.frontier, *data.confirmed_dominated, *data.references)
    for point in marked:
        points += [(point.cost, point.miou)] * 80
        if not math.isnan(point.low):
            span = point.high - point.low
            points += [(point.cost, point.low + span * step / 60) for step in range(61)]
    for (x0, y0), (x1, y1) in pairwise(data.staircase):
        points += [(x0 + (x1 - x0) * t / 60, y0 + (y1 - y0) * t / 60) for t in range(61)]
    return points
