"""Parallel coordinates of a search: one line an architecture, one axis a gene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from .figures import ReportError
from .run import ReportedRun

MOST_LINES = 1000


@dataclass(frozen=True, kw_only=True)
class ParallelAxis:
    """One axis.

    Attributes:
        name: Of the gene or figure, with its unit.
        values: One a line: numbers, or places in `choices`.
        choices: Texts of the choices, in order; empty for numbers.
    """

    name: str
    values: tuple[float, ...]
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ParallelData:
    """Everything that the figure shows.

    Attributes:
        axes: Genes that vary, then multiply-adds and mIoU.
        arch_ids: The architecture of each line.
        miou: mIoU (%) of each line in the search, before confirmation.
        caption: Data, numbers of lines and seeds.
    """

    axes: tuple[ParallelAxis, ...]
    arch_ids: tuple[str, ...]
    miou: tuple[float, ...]
    caption: str


def parallel_data(run: ReportedRun) -> ParallelData:
    """Genes of the searched architectures.

    Raises:
        ReportError: Nothing was searched, or the run's space is not there any more.
    """
    shown = dict(islice(run.genes.items(), MOST_LINES))  # the frontier comes first
    rows = [row for row in run.summary.rows if row.arch_id in shown and row.search_miou is not None]
    if not rows:
        raise ReportError(f"{run.directory}: no searched architecture is complete")
    genes = [shown[row.arch_id] for row in rows]
    assert run.space is not None
    axes = []
    for gene in run.space.genes:
        values = [values[gene.name] for values in genes]
        present = [choice for choice in gene.choices if choice in values]
        if len(set(values)) < 2:
            continue
        choices: Sequence[object] = [*present, *([None] if None in values else [])]
        places = {choice: float(place) for place, choice in enumerate(choices)}
        axes.append(
            ParallelAxis(
                name=gene.name,
                values=tuple(places[value] for value in values),
                choices=tuple("inactive" if c is None else str(c) for c in choices),
            )
        )
    # Of some there are confirmed means too, which flatter less: one axis holds one kind.
    miou = tuple(100 * (row.search_miou or 0.0) for row in rows)
    axes += [
        ParallelAxis(name="GMACs", values=tuple(row.macs / 1e9 for row in rows)),
        ParallelAxis(name="mIoU in the search (%)", values=miou),
    ]
    searched = sum(row.searched for row in run.summary.rows)
    part = "" if len(rows) == searched else f" of {searched:,}, the frontier among them"
    return ParallelData(
        axes=tuple(axes),
        arch_ids=tuple(row.arch_id for row in rows),
        miou=miou,
        caption=f"{run.dataset}, n = {len(rows):,} architectures{part}; scores of the search, seed"
        f" {run.search_seeds}, before confirmation; genes that do not vary are left out",
    )
