"""A table of text, rendered for a terminal, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)
_MARKDOWN = str.maketrans({"|": r"\|", "\n": " ", "<": "&lt;"})


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Headings and rows of cells, the first column left-aligned, and what is said below them.

    Attributes:
        title: One line; may be empty.
        headings: One a column.
        rows: As many cells each.
        notes: Sentences below the table.
        dim: Numbers of rows that step back, from 0.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    dim: frozenset[int] = frozenset()

    def to_rich(self) -> Table:
        """For a terminal; text is shown as it is, never read as markup."""
        table = Table(title=Text(self.title), title_justify="left")
        for number, heading in enumerate(self.headings):
            table.add_column(
                Text(heading), justify="right" if number else "left", no_wrap=not number
            )
        for number, row in enumerate(self.rows):
            table.add_row(*map(Text, row), style="dim" if number in self.dim else "")
        return table

    def to_markdown(self) -> str:
        """A table in GitHub's Markdown, the notes as a list below it."""
        lines = [
            f"**{_cell(self.title)}**\n" if self.title else "",
            _line(self.headings),
            "|---|" + "---:|" * (len(self.headings) - 1),
            *map(_line, self.rows),
            "",
            *(f"- {_cell(note)}" for note in self.notes),
        ]
        return "\n".join(lines).strip() + "\n"

    def to_latex(self) -> str:
        """A `table` for the package booktabs, with title and notes as its caption."""
        import pandas as pd

        frame = pd.DataFrame([list(row) for row in self.rows], columns=list(self.headings))
        form = "l" + "r" * (len(self.headings) - 1)
        caption = ". ".join(" ".join(text.split()) for text in (self.title, *self.notes) if text)
        text: str = frame.to_latex(
            index=False, escape=True, column_format=form, caption=caption.translate(_LATEX)
        )
        return text


def _cell(text: str) -> str:
    return text.translate(_MARKDOWN)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"
