"""Grids in LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

from ..grid import Grid

_ESCAPED = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def latex(grid: Grid, notes: Sequence[str] = ()) -> str:
    """A `table` for the package booktabs, with title and notes as its caption.

    Args:
        grid: The table.
        notes: Further ones.
    """
    # Half a second, which readers in a terminal need not wait for.
    import pandas as pd

    frame = pd.DataFrame([list(row) for row in grid.rows], columns=grid.headings)
    said = (grid.title, *grid.notes, *notes)
    caption = ". ".join(" ".join(text.split()) for text in said if text)
    text: str = frame.to_latex(
        index=False,
        escape=True,
        column_format="".join(column.align[0] for column in grid.columns),
        caption=caption.translate(_ESCAPED),
    )
    return text
