"""Importance of genes for the score and for cheapness: what the figure shows, how it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hrvit_nas.objectives import OBJECTIVES
from hrvit_nas.results import Importance, gene_importance

from .figures import BLUE, FAINT, GREY, INK, VERMILION, ReportError, save_figure
from .run import ReportedRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_GENES = 12
"""Genes that a figure has room for."""


@dataclass(frozen=True, kw_only=True)
class ImportanceData:
    """Everything that the figure shows.

    Attributes:
        targets: By what the best are best in: importance of the genes.
        x_label: Label of the x axis.
        caption: Data, numbers of architectures and seeds, what the marks mean.
        words: What is above chance, in sentences.
    """

    targets: Mapping[str, Importance]
    x_label: str
    caption: str
    words: tuple[str, ...]


def importance_data(run: ReportedRun) -> ImportanceData:
    """Measures which genes have to do with what the search ranks by, and which with low costs.

    Raises:
        ReportError: The run has no space, or too few architectures were searched.
    """
    genes = run.genes
    scored = [
        (row, row.search_score)
        for row in run.summary.rows
        if row.arch_id in run.drawn and row.search_score is not None
    ]
    word = OBJECTIVES[run.summary.criterion].word
    assert run.space is not None
    by_gene = {
        gene.name: [genes[row.arch_id][gene.name] for row, _ in scored] for gene in run.space.genes
    }
    try:
        targets = {word: gene_importance(by_gene, [score for _, score in scored])}
        for cost in run.summary.costs:
            cheapness = [-row.cost(cost) for row, _ in scored]
            targets[OBJECTIVES[cost].little] = gene_importance(by_gene, cheapness)
    except ValueError as error:
        raise ReportError(f"{run.directory}: {error}") from error
    found = targets[word]
    return ImportanceData(
        targets=targets,
        x_label="Pearson divergence of choices,\nbest quarter from all",
        caption=f"{run.dataset}, {found.num_architectures:,} searched architectures"
        f"{run.of_how_many},"
        f" the best {found.num_best}; {word} of one seed each, seed"
        f" {run.search_seeds}; the first {min(MOST_GENES, len(found.genes))} of"
        f" {len(found.genes)} genes; lines: {found.confidence:.0%} bootstrap; dashed: largest by"
        f" chance in {found.confidence:.0%} of shufflings",
        words=tuple(_words(name, importance) for name, importance in targets.items()),
    )


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


def _words(target: str, found: Importance) -> str:
    sure = [f"{gene.gene} (towards {gene.favoured})" for gene in found.genes if gene.above_chance]
    if not sure:
        return (
            f"{target}: no gene is above what chance gives the largest of {len(found.genes)}; their"
            " order cannot be told"
        )
    return f"{target}: above chance: {', '.join(sure)}; the order of the others cannot be told"


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
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)
