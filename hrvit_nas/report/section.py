"""What a report is made of: sections, which are data that renderers of any form can show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hrvit_nas.results import Column

from .drawing import DrawingData
from .grid import Grid

Hint = Literal[
    "confirm",
    "calibrate",
    "measure_validity",
    "measure_long",
    "measure_ranking",
    "shorter_schedule",
    "random_search",
]
"""What a front end may add to a finding, in words of its own: how to come by what is missing."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence of a report, and the data that it rests on.

    Attributes:
        name: What it is about, for programs.
        text: The sentence.
        facts: What it states, by name: numbers (fractions and SI units), estimates, names.
        hint: What a front end may add; None where nothing is missing.
    """

    name: str
    text: str
    facts: Mapping[str, object] = field(default_factory=dict)
    hint: Hint | None = None

    def sentence(self, hints: Mapping[Hint, str]) -> str:
        """The text, and what the front end adds to it.

        Args:
            hints: What it adds, with facts in braces; where a hint is not among them, the text
                stands alone.
        """
        said = hints.get(self.hint, "") if self.hint else ""
        return f"{self.text}; {said.format(**self.facts)}" if said else self.text


def sentences(findings: Iterable[Finding], hints: Mapping[Hint, str]) -> list[str]:
    """Findings in words; see `Finding.sentence`."""
    return [finding.sentence(hints) for finding in findings]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure.

    Attributes:
        name: Unique in its chapter.
        title: One line.
        data: What it shows; renderers choose by its type.
        caption: Data, n and seeds, what marks mean.
        file: Stem of the file that a run keeps of it; empty for none.
    """

    name: str
    title: str
    data: object
    caption: str
    file: str = ""


@dataclass(frozen=True, kw_only=True)
class Records:
    """The numbers behind a section, as a file for other programs holds them.

    Attributes:
        name: Stem of the file.
        columns: Unit and meaning by name, in order.
        rows: By column; what is unknown is empty or absent.
    """

    name: str
    columns: Mapping[str, Column]
    rows: Sequence[Mapping[str, object]]


@dataclass(frozen=True, kw_only=True)
class ReportedArch:
    """One architecture with all that is told of it.

    Attributes:
        arch_id: Its id.
        cells: By heading of the table of architectures.
        gmacs: Multiply-adds an image, in billions, to filter by.
        params: Millions of parameters, to filter by.
        spec: Canonical JSON, to copy.
        drawing: What is drawn of it; None where there are too many.
        branches: Rows of (branch, MMACs, share of them, parameters).
    """

    arch_id: str
    cells: Mapping[str, str]
    gmacs: float
    params: float
    spec: str
    drawing: DrawingData | None
    branches: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of a report.

    Attributes:
        name: Unique in its chapter.
        title: One line.
        findings: What is found, decided and unknown.
        grids: Tables.
        figures: Figures.
        records: The numbers behind them.
        drawings: Drawings of architectures side by side.
        archs: Architectures with their figures, drawings and specifications.
    """

    name: str
    title: str
    findings: Sequence[Finding] = ()
    grids: Sequence[Grid] = ()
    figures: Sequence[Figure] = ()
    records: Sequence[Records] = ()
    drawings: Sequence[DrawingData] = ()
    archs: Sequence[ReportedArch] = ()


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """All sections of one run, or of a comparison of several."""

    name: str
    title: str
    sections: Sequence[Section]
