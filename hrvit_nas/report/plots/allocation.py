"""The figure of `allocation_data`, drawn with matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..allocation import AllocationData, AllocationPanel
from ..figures import BLUE, FAINT, GREY, INK, save_figure
from .axes import show_spines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_allocation(data: AllocationData, path: str | Path) -> None:
    """Draws a panel a trait, for one column of a paper.

    Args:
        data: From `allocation_data`.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.

    Raises:
        ReportError: The suffix is none of these.
        OSError: The file cannot be written.
    """
    size = (3.5, 0.6 + 0.95 * max(1, len(data.panels)))
    save_figure(lambda figure: _draw(figure, data), path, size)


def _draw(figure: Figure, data: AllocationData) -> None:
    panels = figure.subplots(max(1, len(data.panels)), 1, squeeze=False)[:, 0]
    for axes, panel in zip(panels, data.panels, strict=False):
        _draw_trait(axes, panel)
    if not data.panels:
        panels[0].set_axis_off()
    else:
        panels[-1].set_xlabel("branch (1 is the finest)", fontsize=7, color=INK)
        panels[0].legend(fontsize=6, frameon=False, loc="upper left", ncols=2)
    head, _, tail = data.caption.partition("; intervals")
    lines = f"{head}\nstars: decided; intervals{tail}"
    figure.suptitle(lines, x=0.01, ha="left", fontsize=5.4, color=GREY)


def _draw_trait(axes: Axes, panel: AllocationPanel) -> None:
    for number, item in enumerate(panel.differences):
        known = item.difference.known
        half = (item.difference.high - item.difference.low) / 2 if known else 0.0
        axes.bar(
            item.branch - 0.19,
            item.frontier_mean,
            width=0.34,
            color=BLUE,
            yerr=half or None,
            ecolor=INK,
            capsize=2,
            error_kw={"linewidth": 0.8},
            label="frontier" if not number else None,
        )
        axes.bar(
            item.branch + 0.19,
            item.other_mean,
            width=0.34,
            color=FAINT,
            hatch="///",
            edgecolor="white",
            label="others" if not number else None,
        )
        if item.verdict != "undecided":
            top = max(item.frontier_mean + half, item.other_mean)
            axes.text(item.branch, top, "*", ha="center", va="bottom", fontsize=9, color=INK)
    branches = sorted({item.branch for item in panel.differences})
    axes.set_xticks(branches, [str(branch) for branch in branches], fontsize=6.5)
    axes.set_ylabel(panel.label.replace(" (", "\n("), fontsize=6.5, color=INK)
    axes.margins(y=0.25)
    axes.tick_params(axis="y", labelsize=6.5, color=GREY, labelcolor=INK)
    show_spines(axes, "left", "bottom")
