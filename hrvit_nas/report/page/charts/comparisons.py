"""Charts of comparisons: inherited scores with those of training alone, changes with a base."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import plotly.graph_objects as go

from ...ablation import Five
from ...consistency import ConsistencyData
from ...figures import BLUE, GREY, INK, VERMILION
from ...forest import ForestData, ForestRow
from .base import FAINT, at_least_zero, axes, plain


def consistency_figure(data: ConsistencyData) -> go.Figure:
    """Inherited scores against those of training alone."""
    figure = axes(data.x_label, data.y_label)
    points = data.points
    figure.add_trace(
        go.Scatter(
            x=[p.inherited for p in points],
            y=[p.score for p in points],
            mode="markers",
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [p.high - p.score for p in points],
                "arrayminus": [p.score - p.low for p in points],
                "color": GREY,
                "thickness": 1,
            },
            marker={
                "size": 9,
                "color": [p.gmacs for p in points],
                "colorscale": "Cividis",
                "showscale": True,
                "colorbar": {"title": {"text": "GMACs"}, "thickness": 12},
                "line": {"color": INK, "width": 1},
            },
            text=[p.arch_id for p in points],
            hovertemplate="%{text}<br>inherited %{x:.3f}<br>alone %{y:.3f}<extra></extra>",
            showlegend=False,
        )
    )
    return figure


def forest_figure(data: ForestData) -> go.Figure:
    """Differences with their intervals, and those against controls of equal multiply-adds."""
    figure = axes(data.x_label, "")
    rows = data.rows[::-1]
    for offset, name, pick, color, symbol in (
        (0.12, "against the base", lambda row: row.effect, BLUE, "circle"),
        (-0.18, "at equal multiply-adds", lambda row: row.control, VERMILION, "diamond-open"),
    ):
        for trace in _comparison(rows, offset, name, pick, color, symbol):
            figure.add_trace(trace)
    figure.add_vline(x=0, line={"color": INK, "width": 1})
    if not math.isnan(data.detectable):
        figure.add_vrect(
            x0=-data.detectable, x1=data.detectable, fillcolor=FAINT, opacity=0.2, line_width=0
        )
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=[plain(row.name, 32) for row in rows]
    )
    figure.update_layout(height=140 + 44 * len(rows))
    return figure


def _comparison(
    rows: Sequence[ForestRow],
    offset: float,
    name: str,
    pick: Callable[[ForestRow], Five | None],
    color: str,
    symbol: str,
) -> Iterator[go.Scatter]:
    """Thin and thick bars, and the means upon them, of one kind of difference."""
    found = [(n + offset, row, five) for n, row in enumerate(rows) if (five := pick(row))]
    if not found:
        return
    ys, means = [y for y, _, _ in found], [five[0] for _, _, five in found]
    for low, high, width in ((3, 4, 1.2), (1, 2, 4.0)):
        yield go.Scatter(
            x=means,
            y=ys,
            mode="markers",
            marker={"size": 1, "color": color},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [at_least_zero(five[high] - five[0]) for _, _, five in found],
                "arrayminus": [at_least_zero(five[0] - five[low]) for _, _, five in found],
                "color": color,
                "thickness": width,
                "width": 0,
            },
            hoverinfo="skip",
            showlegend=False,
        )
    yield go.Scatter(
        x=means,
        y=ys,
        mode="markers",
        name=name,
        marker={"symbol": symbol, "size": 9, "color": color},
        text=[
            f"{plain(row.name)}: {five[0]:+.3g} [{five[3]:+.3g}, {five[4]:+.3g}]"
            + (f", {row.verdict}" if five is row.effect else "")
            for _, row, five in found
        ],
        hovertemplate="%{text}<extra></extra>",
    )
