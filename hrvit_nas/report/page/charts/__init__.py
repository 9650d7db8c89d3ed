"""Charts of a page, drawn with Plotly from the data that the static figures show too.

Marks differ in shape or dash and in lightness as well as in hue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from ...allocation import AllocationPanel
from ...consistency import ConsistencyData
from ...forest import ForestData
from ...hypervolume_history import HistoryPanel
from ...importance import ImportancePanel
from ...learning import LearningData
from ...parallel import ParallelData
from ...pareto import ParetoData
from ...published import PublishedData
from ...section import Figure
from .comparisons import consistency_figure, forest_figure
from .curves import history_figure, learning_figure
from .frontier import pareto_figure, published_figure
from .genes import allocation_figure, importance_figure, parallel_figure

AXIS_WIDTH = 62
"""Pixels that an axis of parallel coordinates wants."""
_DRAWERS: Mapping[type, Callable[[Any], go.Figure]] = {
    AllocationPanel: allocation_figure,
    ForestData: forest_figure,
    HistoryPanel: history_figure,
    ImportancePanel: importance_figure,
    LearningData: learning_figure,
    ParallelData: parallel_figure,
    PublishedData: published_figure,
    ConsistencyData: consistency_figure,
}


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart of a page.

    Attributes:
        id: Unique on the page.
        title: One line.
        figure: What Plotly draws.
        caption: Data, n and seeds, what marks mean, what can be done with it.
        kind: What the page's script does with it beside drawing: `frontier`, `parallel` or nothing.
        min_width: Pixels below which it is scrolled sideways instead of squeezed.
        brush: What the script needs to brush its lines; None where there are none.
    """

    id: str
    title: str
    figure: go.Figure
    caption: str
    kind: str = ""
    min_width: int = 0
    brush: Mapping[str, object] | None = None


def charts_of(figure: Figure, id: str) -> list[Chart]:
    """Draws a figure, whatever it shows: a chart, or of a frontier one a cost.

    Args:
        figure: Of a section.
        id: Unique on the page.

    Raises:
        KeyError: There is no chart of such data.
    """
    data = figure.data
    if isinstance(data, ParetoData):
        return [
            Chart(
                id=f"{id}{number or ''}",
                title=f"{data.score.word} against {panel.cost}",
                figure=pareto_figure(data, panel),
                caption=figure.caption,
                kind="frontier",
            )
            for number, panel in enumerate(data.panels)
        ]
    drawn = _DRAWERS[type(data)](data)
    if isinstance(data, ParallelData):
        return [_parallel_chart(figure, data, drawn, id)]
    return [Chart(id=id, title=figure.title, figure=drawn, caption=figure.caption)]


def _parallel_chart(figure: Figure, data: ParallelData, drawn: go.Figure, id: str) -> Chart:
    return Chart(
        id=id,
        title=figure.title,
        figure=drawn,
        caption=f"{figure.caption}. Drag along an axis to brush, click on it to clear; or use the"
        " form below",
        kind="parallel",
        min_width=AXIS_WIDTH * len(data.axes),
        brush={
            "axes": [
                {"name": axis.name, "values": axis.values, "choices": axis.choices}
                for axis in data.axes
            ],
            "archIds": data.arch_ids,
        },
    )
