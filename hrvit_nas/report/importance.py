"""Importance of genes for the score and for cheapness: what the figure shows, what is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hrvit_nas.objectives import OBJECTIVES
from hrvit_nas.results import Importance, gene_importance

from .figures import ReportError
from .run import ReportedRun
from .section import Finding

MOST_GENES = 12
"""Genes that a figure has room for."""


@dataclass(frozen=True, kw_only=True)
class ImportancePanel:
    """One target.

    Attributes:
        target: What the best are best in.
        importance: Of the genes.
        x_label: Label of the x axis.
    """

    target: str
    importance: Importance
    x_label: str


@dataclass(frozen=True, kw_only=True)
class ImportanceData:
    """Everything that the figure shows.

    Attributes:
        targets: By what the best are best in: importance of the genes.
        x_label: Label of the x axis.
        caption: Data, numbers of architectures and seeds, what the marks mean.
        findings: What is above chance.
    """

    targets: Mapping[str, Importance]
    x_label: str
    caption: str
    findings: tuple[Finding, ...]

    @property
    def panels(self) -> tuple[ImportancePanel, ...]:
        """A panel a target."""
        return tuple(
            ImportancePanel(target=name, importance=found, x_label=self.x_label)
            for name, found in self.targets.items()
        )


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
        findings=tuple(_finding(name, importance) for name, importance in targets.items()),
    )


def _finding(target: str, found: Importance) -> Finding:
    sure = [gene for gene in found.genes if gene.above_chance]
    text = (
        f"{target}: above chance:"
        f" {', '.join(f'{gene.gene} (towards {gene.favoured})' for gene in sure)}; the order of the"
        " others cannot be told"
        if sure
        else f"{target}: no gene is above what chance gives the largest of {len(found.genes)};"
        " their order cannot be told"
    )
    return Finding(
        name="above_chance",
        text=text,
        facts={"target": target, "genes": {gene.gene: gene.favoured for gene in sure}},
    )
