"""A table as data: columns with units and alignment, cells of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Align = Literal["left", "right"]


@dataclass(frozen=True, kw_only=True)
class GridColumn:
    """One column.

    Attributes:
        name: What its cells are.
        unit: That they are in; empty for names, texts, ratios and counts.
        detail: What else its heading says, such as the coverage of intervals.
        align: Side that its cells stand at.
    """

    name: str
    unit: str = ""
    detail: str = ""
    align: Align = "right"

    @property
    def heading(self) -> str:
        """Name, unit and detail in one line."""
        unit = f", {self.unit}" if self.unit and " " in self.name else self.unit
        between = "" if unit.startswith(",") or not unit else " "
        detail = f" {self.detail}" if self.detail else ""
        return f"{self.name}{between}{unit}{detail}"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Columns and rows of cells, and what is said below them.

    Attributes:
        title: One line; may be empty.
        columns: From left to right.
        rows: As many cells each.
        notes: Sentences below the table.
        dim: Numbers of rows that step back, from 0.
    """

    title: str
    columns: Sequence[GridColumn]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    dim: frozenset[int] = frozenset()

    @property
    def headings(self) -> list[str]:
        """One a column."""
        return [column.heading for column in self.columns]

    def records(self) -> list[dict[str, str]]:
        """Rows by heading; where two columns share one, the last counts."""
        return [dict(zip(self.headings, row, strict=True)) for row in self.rows]


def named(first: str, *names: str) -> list[GridColumn]:
    """Columns without units: names of rows at the left, then cells at the right."""
    return [GridColumn(name=first, align="left"), *(GridColumn(name=name) for name in names)]
