"""Sections and grids for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..grid import Grid
from ..section import Hint, Section, sentences

FILE_WIDTH = 200
"""Characters of a table's line where it goes to no terminal."""


def print_section(console: Console, section: Section, hints: Mapping[Hint, str]) -> None:
    """Prints the tables and findings of a section, text as it is and lines however long.

    Args:
        console: Where to.
        section: What to show; its figures are for other renderers.
        hints: What is added to findings.
    """
    for grid in section.grids:
        print_grid(console, grid)
    _say(console, sentences(section.findings, hints))


def print_grid(console: Console, grid: Grid) -> None:
    """Prints a table and its notes; a narrow terminal breaks cells, and none is cut."""
    if not console.is_terminal:
        console.width = FILE_WIDTH
    console.print(rich_table(grid))
    _say(console, grid.notes)


def rich_table(grid: Grid) -> Table:
    """A table for rich; text is shown as it is, never read as markup, and names are not broken."""
    table = Table(title=Text(grid.title) if grid.title else None, title_justify="left")
    for number, column in enumerate(grid.columns):
        name = not number and column.align == "left"
        heading = Text(column.heading)
        table.add_column(heading, justify=column.align, no_wrap=name, overflow="fold")
    for number, row in enumerate(grid.rows):
        table.add_row(*map(Text, row), style="dim" if number in grid.dim else "")
    return table


def _say(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
