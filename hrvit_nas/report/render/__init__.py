"""Renderers of sections and grids; none knows what they are about."""

from .csv import print_csv, write_csv
from .files import write_section
from .latex import latex
from .markdown import markdown
from .terminal import print_grid, print_section, rich_table

__all__ = [
    "latex",
    "markdown",
    "print_csv",
    "print_grid",
    "print_section",
    "rich_table",
    "write_csv",
    "write_section",
]
