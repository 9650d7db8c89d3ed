"""The figure of `consistency_data`, drawn with matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..consistency import ConsistencyData
from ..figures import GREY, INK, save_figure
from .axes import number, rule

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TEXT, _SMALL = 8.0, 7.0
_NUM_TICKS = 4


def draw_consistency(data: ConsistencyData, path: str | Path) -> None:
    """Draws the figure for one column of a paper (3.5 inches wide, 7 to 8 point text).

    Colours of cost rise evenly in lightness, so the figure survives greyscale printing and
    colour blindness.

    Args:
        data: From `consistency_data`.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.

    Raises:
        ReportError: The suffix is none of these.
        OSError: The file cannot be written.
    """
    save_figure(lambda figure: _draw(figure, data), path, (3.5, 3.1))


def _draw(figure: Figure, data: ConsistencyData) -> None:
    from matplotlib.colors import LogNorm

    axes = figure.add_subplot()
    xs, ys = [p.inherited for p in data.points], [p.score for p in data.points]
    gmacs = [p.gmacs for p in data.points]
    axes.vlines(
        xs,
        [p.low for p in data.points],
        [p.high for p in data.points],
        color=GREY,
        linewidth=0.7,
        zorder=2,
    )
    least, most = min(gmacs), max(gmacs)
    wide = 1.0 if most > least else 1.1  # a scale of colours needs two ends
    dots = axes.scatter(
        xs,
        ys,
        s=4.4**2,
        c=gmacs,
        cmap="cividis",
        norm=LogNorm(least / wide, most * wide),
        edgecolors=INK,
        linewidths=0.5,
        zorder=3,
    )
    bar = figure.colorbar(dots, ax=axes, pad=0.02, aspect=28)
    ticks = np.geomspace(least, most, _NUM_TICKS) if most > least else [least]
    bar.set_ticks(list(ticks), labels=[f"{tick:.3g}" for tick in ticks])
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=_SMALL, color=GREY, labelcolor=INK, width=0.6, length=2)
    bar.set_label("GMACs per image, log scale", fontsize=_SMALL, color=INK)
    bar.outline.set_visible(False)
    _set_axes(axes, data)
    # From the figure's own edge, since beside the axis labels it would be too long.
    figure.suptitle(data.caption, x=0.01, ha="left", fontsize=_SMALL, color=GREY)


def _set_axes(axes: Axes, data: ConsistencyData) -> None:
    number(axes.xaxis)
    number(axes.yaxis)
    axes.margins(x=0.05, y=0.06)
    axes.set_xlabel(data.x_label, fontsize=_TEXT, color=INK)
    axes.set_ylabel(f"{data.y_label}\nmean, lowest to highest seed", fontsize=_TEXT, color=INK)
    rule(axes, _SMALL)
