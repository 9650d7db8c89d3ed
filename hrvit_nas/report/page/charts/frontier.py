"""Charts of scores against cost: of a search, and of published networks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from hrvit_nas.objectives import Objective

from ...figures import BLUE, GREY, VERMILION
from ...pareto import ParetoData, ParetoPanel, ParetoPoint
from ...published import FAMILIES, PublishedData
from .base import DASHES, FAINT, INKS, SYMBOLS, at_least_zero, axes, plain

MOST_POINTS = 3000
"""Points that are drawn one by one; more are counted in bins."""
BINS = (64, 40)


def pareto_figure(data: ParetoData, panel: ParetoPanel) -> go.Figure:
    """Frontier, references, and what was searched, against one cost."""
    figure = axes(panel.x_label.replace("\n", " "), data.y_label)
    score, log = data.score, panel.log_cost
    if len(panel.searched) > MOST_POINTS:
        figure.add_trace(_binned(panel.searched, "searched", score, log=log))
    elif panel.searched:
        name = "score in the search" if data.confirmed else "searched"
        figure.add_trace(_points(panel.searched, name, score, color=FAINT, symbol="circle", size=6))
    if panel.inherited:
        name, mark = "inherited weights", "x-thin-open"
        figure.add_trace(
            _points(panel.inherited, name, score, color=GREY, symbol=mark, size=5)
            if len(panel.inherited) <= MOST_POINTS
            else _binned(panel.inherited, name, score, log=log)
        )
    if panel.staircase:
        xs, ys = zip(*panel.staircase, strict=True)
        line = {"color": "#4a8cc4", "width": 2}
        figure.add_trace(
            go.Scatter(x=xs, y=ys, mode="lines", line=line, hoverinfo="skip", showlegend=False)
        )
    has_bars = any(not math.isnan(point.low) for point in (*panel.frontier, *panel.references))
    bars = f" ({data.confidence:.0%} interval)" if has_bars else ""
    for points, name, color, symbol in (
        (panel.confirmed_dominated, "confirmed, dominated", GREY, "circle-open"),
        (panel.frontier, f"frontier{bars}", BLUE, "circle"),
        (panel.references, f"reference{bars}", VERMILION, "diamond-open"),
    ):
        if points:
            figure.add_trace(
                _points(points, name, score, color=color, symbol=symbol, size=10, bars=True)
            )
    if log:
        figure.update_xaxes(type="log")
    return figure


def published_figure(data: PublishedData) -> go.Figure:
    """Published networks on axes of their own, a mark a family."""
    figure = axes("multiply-adds per image at 512x512 (GMACs, as published)", "mIoU (%)")
    for number, (start, name) in enumerate(FAMILIES.items()):
        mine = [result for result in data.results if result.arch.startswith(start)]
        figure.add_trace(
            go.Scatter(
                x=[r.gmacs for r in mine],
                y=[r.miou for r in mine],
                text=[r.arch + (" (read off a chart)" if r.read_off else "") for r in mine],
                mode="lines+markers",
                name=name,
                line={"color": INKS[number], "dash": DASHES[number], "width": 1},
                marker={"symbol": SYMBOLS[number], "size": 9},
                hovertemplate="%{text}<br>%{x} GMACs<br>mIoU %{y}%<extra></extra>",
            )
        )
    return figure


def _points(
    points: Sequence[ParetoPoint],
    name: str,
    score: Objective,
    *,
    color: str,
    symbol: str,
    size: int,
    bars: bool = False,
) -> go.Scatter:
    """A group of architectures; each is known to the page's script by its id."""
    rows = []
    for p in points:
        interval = "" if math.isnan(p.low) else f" [{p.low:.2f}, {p.high:.2f}]"
        chance = "" if math.isnan(p.probability) else f"<br>P(frontier) {p.probability:.2f}"
        rows.append((p.arch_id, f" {plain(p.label, 40)}" if p.label else "", interval, chance))
    known = bars and any(not math.isnan(p.low) for p in points)
    error = {
        "type": "data",
        "symmetric": False,
        "array": [at_least_zero(p.high - p.score) for p in points],
        "arrayminus": [at_least_zero(p.score - p.low) for p in points],
        "color": color,
        "thickness": 1.2,
    }
    return go.Scatter(
        x=[p.cost for p in points],
        y=[p.score for p in points],
        mode="markers",
        name=name,
        marker={"color": color, "symbol": symbol, "size": size, "line": {"width": 1.2}},
        error_y=error if known else None,
        customdata=rows,
        hovertemplate="%{customdata[0]}%{customdata[1]}<br>cost %{x:.4g}<br>"
        f"{score.word} %{{y:.2f}}{score.level}%{{customdata[2]}}%{{customdata[3]}}<extra></extra>",
    )


def _binned(points: Sequence[ParetoPoint], name: str, score: Objective, *, log: bool) -> go.Heatmap:
    """How many architectures are where, for more than can be drawn one by one."""
    cost = np.array([p.cost for p in points])
    scores = np.array([p.score for p in points])
    x = np.log10(cost) if log else cost
    counts, x_edges, y_edges = np.histogram2d(x, scores, bins=BINS)
    x_middle = (x_edges[:-1] + x_edges[1:]) / 2
    y_middle = (y_edges[:-1] + y_edges[1:]) / 2
    return go.Heatmap(
        x=(10**x_middle if log else x_middle).tolist(),
        y=y_middle.tolist(),
        z=np.where(counts.T > 0, np.log10(np.maximum(counts.T, 1)), np.nan).tolist(),
        text=counts.T.astype(int).tolist(),
        colorscale=[[0, "#e9edf1"], [1, "#5f6f7d"]],
        showscale=False,
        name=f"{name} (counted in bins)",
        showlegend=True,
        hovertemplate="%{text} architectures<br>about %{x:.4g},"
        f" {score.word} %{{y:.2f}}{score.level}<extra></extra>",
    )
