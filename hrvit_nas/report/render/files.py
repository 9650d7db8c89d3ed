"""What a run directory keeps of a section."""

from __future__ import annotations

from pathlib import Path

from ..plots import draw_figure
from ..section import Section
from .csv import write_csv


def write_section(section: Section, directory: Path) -> list[str]:
    """Writes the figures of a section as PNG, and its records as CSV, each in one step.

    Returns:
        Names of the files.

    Raises:
        OSError: A file cannot be written.
    """
    names = []
    for figure in section.figures:
        if figure.file:
            names.append(f"{figure.file}.png")
            draw_figure(figure.data, directory / names[-1])
    for records in section.records:
        names.append(f"{records.name}.csv")
        write_csv(records, directory / names[-1])
    return names
