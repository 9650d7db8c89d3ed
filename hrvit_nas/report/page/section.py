"""What a page is made of: chapters of sections, which are data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..grid import Grid
from ..parallel import ParallelData
from .charts import Chart
from .members import Member, Picture

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of a page.

    Attributes:
        id: Unique on the page.
        title: One line.
        words: Sentences.
        charts: Charts.
        grids: Tables.
        pictures: Drawings side by side.
        members: Rows of the table of architectures.
        parallel: What the script needs to brush the parallel coordinates among the charts.
    """

    id: str
    title: str
    words: Sequence[str] = ()
    charts: Sequence[Chart] = ()
    grids: Sequence[Grid] = ()
    pictures: Sequence[Picture] = ()
    members: Sequence[Member] = ()
    parallel: ParallelData | None = None

    @property
    def headings(self) -> list[str]:
        """Of the table of architectures: every one that any of them has."""
        return list(dict.fromkeys(name for member in self.members for name in member.cells))


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """All sections of one run, or of a comparison of several."""

    id: str
    title: str
    sections: Sequence[Section]


def grid_of(table: Table) -> Grid:
    """A table made for the terminal, for a page."""
    cells = [[str(cell) for cell in column.cells] for column in table.columns]
    return Grid(
        title=str(table.title or ""),
        headings=[str(column.header) for column in table.columns],
        rows=[list(row) for row in zip(*cells, strict=True)],
    )
