"""Grids in GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from ..grid import Grid

_ESCAPED = str.maketrans({"|": r"\|", "\n": " ", "<": "&lt;"})
_RULES = {"left": "---", "right": "---:"}


def markdown(grid: Grid, notes: Sequence[str] = ()) -> str:
    """A table, and below it its notes as a list.

    Args:
        grid: The table.
        notes: Further ones.
    """
    lines = [
        f"**{_cell(grid.title)}**\n" if grid.title else "",
        _line(grid.headings),
        f"|{'|'.join(_RULES[column.align] for column in grid.columns)}|",
        *map(_line, grid.rows),
        "",
        *(f"- {_cell(note)}" for note in (*grid.notes, *notes)),
    ]
    return "\n".join(lines).strip() + "\n"


def _cell(text: str) -> str:
    return text.translate(_ESCAPED)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"
