"""The figure of `confusion_data`, drawn with matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..evaluation import ConfusionData
from ..figures import GREY, INK, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_WRITTEN = 40
"""Classes up to which the share is written into each cell."""
_CELL, _SMALL_CELL, _MARGIN = 0.34, 0.115, 1.9
"""Inches a cell, where shares are written and where not; and of names and scale."""
_LEAST_WRITTEN, _DARK = 0.005, 0.45


def draw_confusion(data: ConfusionData, path: str | Path) -> None:
    """Draws a confusion matrix, truth in rows, large enough for the name of every class.

    Shades grow with the square root of the share, or the few per cent of most confusions would be
    white. Rows of classes that truth lacks are grey.

    Args:
        data: From `confusion_data`.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.

    Raises:
        ReportError: The suffix is none of these.
        OSError: The file cannot be written.
    """
    count = len(data.names)
    side = count * (_CELL if count <= MOST_WRITTEN else _SMALL_CELL)
    size = max(side, 1.5) + _MARGIN
    save_figure(lambda figure: _draw(figure, data), path, (size + 0.5, size))


def _draw(figure: Figure, data: ConfusionData) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    count = len(data.names)
    written = count <= MOST_WRITTEN
    size = 7.0 if written else 5.5
    axes = figure.add_subplot()
    shades = colormaps["Blues"].with_extremes(bad="#dddddd")
    norm = PowerNorm(0.5, 0, 1)
    shares = np.ma.masked_invalid(data.shares)
    image = axes.imshow(shares, cmap=shades, norm=norm, aspect="equal", interpolation="nearest")
    axes.set_xticks(range(count), data.names, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(range(count), data.names, fontsize=size, parse_math=False)
    axes.tick_params(length=0, labelcolor=INK, pad=2)
    axes.set_xlabel("predicted class", fontsize=8, color=INK)
    axes.set_ylabel("true class", fontsize=8, color=INK)
    for side in axes.spines.values():
        side.set_linewidth(0.5)
        side.set_color(GREY)
    if written:
        for truth, found in np.argwhere(np.nan_to_num(data.shares) >= _LEAST_WRITTEN):
            share = data.shares[truth, found]
            axes.text(
                found,
                truth,
                f"{100 * share:.0f}",
                ha="center",
                va="center",
                fontsize=6,
                color="white" if share > _DARK else INK,
            )
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=40, shrink=0.7)
    bar.set_ticks(
        [0, 0.01, 0.05, 0.1, 0.25, 0.5, 1], labels=["0", "1", "5", "10", "25", "50", "100"]
    )
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=6.5, color=GREY, labelcolor=INK, width=0.6, length=2)
    bar.set_label("of the true class's pixels, %", fontsize=7, color=INK)
    bar.outline.set_visible(False)
    figure.suptitle(data.caption, x=0.01, ha="left", fontsize=7, color=GREY)
