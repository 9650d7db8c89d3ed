"""The figure of `forest_data`, drawn with matplotlib."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from ..ablation import Five
from ..figures import BLUE, FAINT, GREY, INK, VERMILION, save_figure
from ..forest import ForestData
from .axes import show_spines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PUBLISHED_AT = 0.46
"""Where the published column begins, as a share of what stands beside the plot."""


def draw_forest(data: ForestData, path: str | Path) -> None:
    """Draws the forest plot.

    Args:
        data: From `forest_data`.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.

    Raises:
        ReportError: The suffix is none of these.
        OSError: The file cannot be written.
    """
    height = 1.1 + 0.34 * len(data.rows)
    save_figure(lambda figure: _draw(figure, data), path, (5.6, height))


def _draw(figure: Figure, data: ForestData) -> None:
    axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=(4.6, 2.8))
    if not math.isnan(data.detectable):
        axes.axvspan(-data.detectable, data.detectable, color="#f1f1f1", linewidth=0)
    axes.axvline(0, color=GREY, linewidth=0.7)
    for position, row in enumerate(data.rows):
        decided = row.verdict != "undecided"
        if row.effect is not None:
            _bar(axes, position - 0.14, row.effect, BLUE if decided else FAINT, "o", filled=True)
        if row.control is not None:
            low, high = row.control[3:]
            color = FAINT if low <= 0 <= high or math.isnan(low) else VERMILION
            _bar(axes, position + 0.16, row.control, color, "s", filled=False)
        for place, word in ((0.0, row.verdict), (PUBLISHED_AT, row.published)):
            beside.text(place, position, word, fontsize=6.5, va="center", color=INK)
    for place, heading in ((0.0, "against\nthe base"), (PUBLISHED_AT, data.published_label)):
        beside.text(place, -0.62, heading, fontsize=6.5, va="bottom", color=GREY)
    beside.set_axis_off()
    axes.set_yticks(range(len(data.rows)), [row.name for row in data.rows], fontsize=7)
    axes.set_ylim(len(data.rows) - 0.5, -0.6)
    axes.set_xlabel(data.x_label, fontsize=7, color=INK)
    axes.tick_params(labelsize=7, color=GREY, labelcolor=INK)
    show_spines(axes, "bottom")
    axes.plot([], [], "o", color=BLUE, markersize=4, label="against the base")
    axes.plot(
        [], [], "s", color=VERMILION, markersize=4, markerfacecolor="white", label="at equal MACs"
    )
    figure.legend(loc="outside lower left", ncols=2, fontsize=6.5, frameon=False)
    figure.suptitle(data.caption, x=0.01, ha="left", fontsize=6.5, color=GREY)


def _bar(
    axes: Axes,
    position: float,
    values: Five,
    color: str,
    marker: str,
    *,
    filled: bool,
) -> None:
    mean, low, high, far_low, far_high = values
    if not math.isnan(low):
        axes.plot([far_low, far_high], [position] * 2, color=color, linewidth=0.8)
        axes.plot([low, high], [position] * 2, color=color, linewidth=2.2, solid_capstyle="butt")
    face = color if filled else "white"
    axes.plot([mean], [position], marker, color=color, markersize=4, markerfacecolor=face, zorder=3)
