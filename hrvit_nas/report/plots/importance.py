"""The figure of `importance_data`, drawn with matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hrvit_nas.results import Importance

from ..figures import BLUE, FAINT, GREY, INK, VERMILION, save_figure
from ..importance import MOST_GENES, ImportanceData
from .axes import show_spines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_importance(data: ImportanceData, path: str | Path) -> None:
    """Draws a panel a target, for one column of a paper.

    Args:
        data: From `importance_data`.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.

    Raises:
        ReportError: The suffix is none of these.
        OSError: The file cannot be written.
    """
    most = max((len(i.genes[:MOST_GENES]) for i in data.targets.values()), default=0)
    size = (3.5, 1.1 + len(data.targets) * (0.35 + 0.15 * max(1, most)))
    save_figure(lambda figure: _draw(figure, data), path, size)


def _draw(figure: Figure, data: ImportanceData) -> None:
    panels = figure.subplots(len(data.targets), 1, squeeze=False)[:, 0]
    for axes, (name, found) in zip(panels, data.targets.items(), strict=True):
        _draw_target(axes, name, found)
    panels[-1].set_xlabel(data.x_label, fontsize=7, color=INK)
    words = data.caption.split("; ")
    lines = ["; ".join(words[:2]), "; ".join(words[2:])]
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=5.4, color=GREY)


def _draw_target(axes: Axes, name: str, found: Importance) -> None:
    genes = found.genes[:MOST_GENES]
    for number, gene in enumerate(genes):
        color = BLUE if gene.above_chance else FAINT
        axes.barh(number, gene.value, height=0.6, color=color)
        axes.plot([gene.low, gene.high], [number, number], color=INK, linewidth=0.9)
    if genes:
        axes.axvline(found.threshold, color=VERMILION, linestyle="--", linewidth=0.9)
    axes.set_yticks(range(len(genes)), [gene.gene for gene in genes], fontsize=6.5, color=INK)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)  # names come from users
    axes.invert_yaxis()
    axes.set_title(f"for {name}", loc="left", fontsize=7.5, color=INK)
    axes.tick_params(axis="x", labelsize=6.5, color=GREY, labelcolor=INK)
    show_spines(axes, "left", "bottom")
