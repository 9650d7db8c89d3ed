"""Chapters of sections as one HTML document; it knows no subject."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

import hrvit_nas

from ..drawing import DrawingData, drawing_svg
from ..section import Chapter, Hint, Section, sentences
from .charts import Chart, charts_of


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawing as an image that needs no file.

    Attributes:
        source: A `data:` address.
        text: What it shows, for who does not see it.
        width: Pixels that it is drawn for.
    """

    source: str
    text: str
    width: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section as the template needs it.

    Attributes:
        id: Unique on the page.
        section: What it shows.
        words: Its findings.
        charts: Its figures.
    """

    id: str
    section: Section
    words: Sequence[str]
    charts: Sequence[Chart]

    @property
    def headings(self) -> list[str]:
        """Of the table of architectures: every one that any of them has."""
        return list(dict.fromkeys(name for arch in self.section.archs for name in arch.cells))

    @property
    def brush(self) -> Chart | None:
        """The chart whose lines can be brushed, if there is one."""
        return next((chart for chart in self.charts if chart.brush), None)


def html_page(
    chapters: Sequence[Chapter], *, title: str, live: str, hints: Mapping[Hint, str]
) -> str:
    """Makes the document, which needs no other file and no network.

    Args:
        chapters: What it shows.
        title: One line.
        live: Version of what is shown, where the page is served and refreshes; empty for a file.
        hints: What is added to findings.
    """
    shown = [
        (chapter, [_part(chapter, section, hints) for section in chapter.sections])
        for chapter in chapters
    ]
    parts = [part for _, parts in shown for part in parts]
    data = {
        "charts": {
            chart.id: json.loads(chart.figure.to_json()) for part in parts for chart in part.charts
        },
        "parallels": {part.id: part.brush.brush for part in parts if part.brush},
        "live": live,
    }
    page = _template().render(
        title=title,
        chapters=shown,
        version=hrvit_nas.__version__,
        live=live,
        data=_for_script(data),
        style=_asset("page.css"),
        script=_asset("page.js"),
        plotly=_plotly(),
    )
    return f"{page.strip()}\n"


def _part(chapter: Chapter, section: Section, hints: Mapping[Hint, str]) -> Part:
    return Part(
        id=f"{chapter.name}-{section.name}",
        section=section,
        words=sentences(section.findings, hints),
        charts=[
            chart
            for figure in section.figures
            for chart in charts_of(figure, f"{chapter.name}-{figure.name}")
        ],
    )


def _picture(panel: DrawingData) -> Picture:
    svg = drawing_svg(panel)
    return Picture(
        source=f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}",
        text=_spoken(panel),
        width=96 * panel.num_columns + 120,
    )


def _spoken(panel: DrawingData) -> str:
    """The drawing in words: title, then the cells, branch by branch."""
    cells: Sequence[str] = [
        f"branch {cell.row + 1}, {panel.column_name} {cell.column + 1}: {', '.join(cell.lines)}"
        for cell in sorted(panel.cells, key=lambda cell: (cell.row, cell.column))
    ]
    return f"{' '.join(panel.title.split())}. {'; '.join(cells)}"


def _for_script(data: object) -> str:
    """JSON that ends no script element and holds no NaN."""
    text = json.dumps(_finite(data), separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _finite(data: object) -> object:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["picture"] = _picture
    return environment.from_string(_asset("page.html"))


@cache
def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    return script
