"""The figure of `pareto_data`, drawn with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..figures import BLUE, FAINT, GREY, INK, VERMILION, one_line, save_figure
from ..pareto import ParetoData, ParetoPanel, ParetoPoint
from .axes import number, rule, write_in_full
from .labels import place_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

_STEPS = "#86b8e0"
_LABEL_LENGTH = 32
_TEXT, _SMALL = 8.0, 7.0
_MANY_POINTS = 300
_MIN_SPAN = 0.02
_CAPTION_WIDTH = 46
_CLOSE, _ASIDE_POINTS = 0.01, 3.5
_MOST_AVOIDED = 2000
_LINE_BEYOND = 9.0
"""Points between mark and name beyond which a line joins them."""


def draw_pareto(data: ParetoData, path: str | Path) -> None:
    """Draws the figure, a column of a paper a panel (3.5 inches wide, 7 to 8 point text).

    Groups differ in marker and lightness, not in hue alone, so the figure survives greyscale
    printing and colour blindness.

    Args:
        data: From `pareto_data`.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.

    Raises:
        ReportError: The suffix is none of these.
        OSError: The file cannot be written.
    """
    save_figure(lambda figure: _draw(figure, data), path, (3.5 * len(data.panels), 3.1))


def _draw(figure: Figure, data: ParetoData) -> None:
    num = len(data.panels)
    panels = figure.subplots(1, num, sharey=True, squeeze=False)[0]
    for axes, panel in zip(panels, data.panels, strict=True):
        _draw_searched(axes, data, panel)
        _draw_marks(axes, data, panel)
        _set_axes(axes, data, panel)
    panels[0].set_title(
        fill(one_line(data.caption, 120 * num), _CAPTION_WIDTH * num).replace("\n· ", "\n"),
        loc="left",
        fontsize=_SMALL,
        color=GREY,
        parse_math=False,
    )
    marks, labels = panels[0].get_legend_handles_labels()
    legend = figure.legend(
        marks,
        labels,
        loc="outside lower center",
        ncols=num if _is_shaded(data.panels[0]) else 2,
        fontsize=_SMALL,
        frameon=False,
        labelcolor=INK,
        handletextpad=0.4,
        columnspacing=1.4,
        labelspacing=0.3,
        borderpad=0,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    for axes, panel in zip(panels, data.panels, strict=True):
        _label_references(figure, axes, panel)


def _draw_searched(axes: Axes, data: ParetoData, panel: ParetoPanel) -> None:
    """What was scored, without intervals, and the steps of the frontier."""
    many = len(panel.searched) > _MANY_POINTS
    if panel.inherited:
        axes.scatter(
            [p.cost for p in panel.inherited],
            [p.score for p in panel.inherited],
            s=7,
            marker="x",
            color=FAINT,
            linewidths=0.6,
            zorder=0.8,
            label="inherited weights",
        )
    if panel.searched:
        axes.scatter(
            [p.cost for p in panel.searched],
            [p.score for p in panel.searched],
            s=4 if many else 13,
            color=FAINT,
            alpha=0.6 if many else 0.9,
            linewidths=0,
            zorder=1,
            rasterized=many,
            label="score in the search" if data.confirmed else "searched",
        )
    if panel.staircase:
        xs, ys = zip(*panel.staircase, strict=True)
        axes.plot(xs, ys, color=_STEPS, linewidth=1.6, zorder=2)


def _draw_marks(axes: Axes, data: ParetoData, panel: ParetoPanel) -> None:
    """The groups with intervals and outlines."""
    has_bars = any(not math.isnan(point.low) for point in (*panel.frontier, *panel.references))
    bars = f" ({data.confidence:.0%} interval)" if has_bars else ""
    likely = ", darker = likelier" if _is_shaded(panel) else ""
    for points, marker, colour, edge, label, zorder in (
        (panel.confirmed_dominated, "o", "white", GREY, "confirmed, dominated", 3),
        (panel.frontier, "o", BLUE, BLUE, f"frontier{bars}{likely}", 5),
        (
            panel.references,
            "D",
            "white",
            VERMILION,
            f"{_common_name(panel) or 'reference'}{bars}",
            6,
        ),
    ):
        where = _aside(axes, points, panel.frontier if points is panel.references else ())
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


def _common_name(panel: ParetoPanel) -> str:
    """The name that several references share, which the legend then says once."""
    names = {point.label for point in panel.references}
    name = names.pop() if len(panel.references) > 1 and len(names) == 1 else ""
    return "" if name.startswith("_") else one_line(name, _LABEL_LENGTH)  # which legends leave out


def _is_shaded(panel: ParetoPanel) -> bool:
    return any(not math.isnan(point.probability) for point in panel.frontier)


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
    xs, ys = [p.cost for p in points], [p.score for p in points]
    barred = [p for p in points if not math.isnan(p.low)]
    if barred:
        axes.errorbar(
            [p.cost for p in barred],
            [p.score for p in barred],
            yerr=[[p.score - p.low for p in barred], [p.high - p.score for p in barred]],
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


def _set_axes(axes: Axes, data: ParetoData, panel: ParetoPanel) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    if panel.log_cost:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        write_in_full(axes.xaxis)
    else:
        number(axes.xaxis)
    number(axes.yaxis)
    axes.margins(x=0.05, y=0.08)
    # Around one point, or several that agree, the automatic limits would magnify nothing.
    low, high = axes.get_ylim()
    if high - low < (least := _MIN_SPAN * data.score.scale):
        middle = (low + high) / 2
        axes.set_ylim(middle - least / 2, middle + least / 2)
    drawn = (*panel.inherited, *panel.searched, *panel.frontier, *panel.references)
    costs = {point.cost for point in drawn}
    if len(costs) == 1 and max(costs) > 0:
        axes.set_xlim(0, 2 * max(costs))
    axes.set_xlabel(panel.x_label, fontsize=_TEXT, color=INK)
    if panel is data.panels[0]:
        axes.set_ylabel(data.y_label, fontsize=_TEXT, color=INK)
    rule(axes, _SMALL)
    axes.tick_params(which="minor", color=GREY, width=0.4, length=1.5)


def _label_references(figure: Figure, axes: Axes, panel: ParetoPanel) -> None:
    """Writes the references' names where they hide neither marks nor each other."""
    from matplotlib.patheffects import withStroke

    named = [point for point in panel.references if point.label]
    if not named or _common_name(panel):
        return
    where = _aside(axes, panel.references, panel.frontier)
    texts = [
        axes.annotate(
            one_line(point.label, _LABEL_LENGTH),
            (point.cost, point.score),
            xycoords=where,
            xytext=(0, 0),
            textcoords="offset points",
            ha="left",
            va="bottom",
            fontsize=_SMALL,
            color=VERMILION,
            parse_math=False,
            path_effects=[withStroke(linewidth=2, foreground="white")],
            zorder=7,
            in_layout=False,
        )
        for point in named
    ]
    figure.draw_without_rendering()  # settles the layout, without which there are no positions
    pixels = figure.dpi / 72
    sizes = [np.divide(text.get_window_extent().size, pixels) for text in texts]
    anchors = where.transform([(p.cost, p.score) for p in named]) / pixels
    marked = [(p.cost, p.score) for p in (*panel.frontier, *panel.confirmed_dominated)]
    marks = axes.transData.transform(np.reshape(marked, (-1, 2))) / pixels
    references = where.transform([(p.cost, p.score) for p in panel.references]) / pixels
    others = axes.transData.transform(_others(panel)) / pixels
    frame = axes.get_window_extent()
    places = place_labels(
        anchors,
        sizes,
        marks=np.concatenate([marks, references]),
        others=others,
        frame=(frame.x0 / pixels, frame.y0 / pixels, frame.x1 / pixels, frame.y1 / pixels),
    )
    for text, anchor, size, place in zip(texts, anchors, sizes, places, strict=True):
        corner = np.array(place.corner) - anchor
        text.set_position(tuple(corner))
        if place.gap > _LINE_BEYOND:
            axes.annotate(
                "",
                text.xy,
                xycoords=where,
                xytext=tuple(np.clip(0, corner, corner + size)),
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": VERMILION, "linewidth": 0.5, "shrinkA": 0},
                zorder=5.5,
                in_layout=False,
            )


def _others(panel: ParetoPanel) -> NDArray[np.float64]:
    """(num, 2) positions that stand for what else is drawn, in data units."""
    small = (*panel.searched, *panel.inherited)
    points = [(p.cost, p.score) for p in small[:: 1 + len(small) // _MOST_AVOIDED]]
    for point in (*panel.frontier, *panel.confirmed_dominated, *panel.references):
        if not math.isnan(point.low):
            span = point.high - point.low
            points += [(point.cost, point.low + span * step / 60) for step in range(61)]
    for (x0, y0), (x1, y1) in pairwise(panel.staircase):
        points += [(x0 + (x1 - x0) * t / 60, y0 + (y1 - y0) * t / 60) for t in range(61)]
    return np.reshape(points, (-1, 2))
