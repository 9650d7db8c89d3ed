"""Charts of a page, drawn with Plotly from the same data as the static figures.

Marks differ in shape or dash and in lightness as well as in hue. Names come from users: Plotly
reads texts as markup, so each goes through `plain`.
"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hrvit_nas.objectives import Objective

from ..allocation import AllocationData
from ..figures import BLUE, GREY, INK, VERMILION, one_line
from ..forest import ForestData
from ..growth import GrowthCurve, GrowthData
from ..importance import MOST_GENES, ImportanceData
from ..learning import LearningData
from ..parallel import ParallelData
from ..pareto import ParetoData, ParetoPanel, ParetoPoint
from ..published import FAMILIES, PublishedResult
from ..trust import TrustData

MOST_POINTS = 3000
"""Points that are drawn one by one; more are counted in bins."""
BINS = (64, 40)
LONGEST_NAME = 60
AXIS_TITLE = 26
"""Characters of a line of an axis' title that a phone has room for."""
_DARKER = [[0, "#7f9bb5"], [1, "#062a4d"]]
"""A scale on which more is darker, and nothing is lost on white."""
FAINT = "#7d8b98"
"""For what steps back, and still is three times as dark as white."""
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_INKS = (BLUE, VERMILION, INK, GREY, "#3d7ab0", "#b0702a")


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart of a page.

    Attributes:
        id: Unique on the page.
        title: One line.
        figure: What Plotly draws.
        caption: Data, n and seeds, what marks mean.
        kind: What the page's script does with it beside drawing: `frontier`, `parallel` or nothing.
        min_width: Pixels below which it is scrolled sideways instead of squeezed.
    """

    id: str
    title: str
    figure: go.Figure
    caption: str
    kind: str = ""
    min_width: int = 0


def plain(text: str, length: int = LONGEST_NAME) -> str:
    """A text as Plotly shows it literally: one line, not too long, no markup."""
    return html.escape(one_line(text, length), quote=False)


def pareto_figure(data: ParetoData, panel: ParetoPanel) -> go.Figure:
    """Frontier, references, and what was searched, against one cost."""
    figure = _figure(panel.x_label.replace("\n", " "), data.y_label)
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


def published_figure(results: Iterable[PublishedResult]) -> go.Figure:
    """Published networks on axes of their own, a mark a family."""
    figure = _figure("multiply-adds per image at 512x512 (GMACs, as published)", "mIoU (%)")
    results = tuple(results)
    for number, (start, name) in enumerate(FAMILIES.items()):
        mine = [result for result in results if result.arch.startswith(start)]
        figure.add_trace(
            go.Scatter(
                x=[r.gmacs for r in mine],
                y=[r.miou for r in mine],
                text=[r.arch + (" (read off a chart)" if r.read_off else "") for r in mine],
                mode="lines+markers",
                name=name,
                line={"color": _INKS[number], "dash": _DASHES[number], "width": 1},
                marker={"symbol": _SYMBOLS[number], "size": 9},
                hovertemplate="%{text}<br>%{x} GMACs<br>mIoU %{y}%<extra></extra>",
            )
        )
    return figure


def growth_figure(curves: Sequence[GrowthCurve], data: GrowthData, x_label: str) -> go.Figure:
    """Hypervolume as it grew, a line a sampler, with the interval of its mean."""
    figure = _figure(x_label, data.y_label)
    for number, curve in enumerate(curves):
        color = _INKS[number % len(_INKS)]
        name = f"{plain(curve.label)} (n={len(curve.seeds)})"
        if len(curve.seeds) > 1:
            # Two edges, each a staircase: one polygon would run back over the wrong corners.
            for edge, fill in ((curve.low, None), (curve.high, "tonexty")):
                figure.add_trace(
                    go.Scatter(
                        x=curve.x,
                        y=[max(0.0, value) for value in edge],
                        mode="lines",
                        fill=fill,
                        fillcolor=_faded(color, 0.15),
                        line={"width": 0, "shape": "hv"},
                        hoverinfo="skip",
                        showlegend=False,
                    )
                )
        figure.add_trace(
            go.Scatter(
                x=curve.x,
                y=curve.mean,
                mode="lines+markers" if len(curve.x) < 40 else "lines",
                name=name,
                line={"color": color, "dash": _DASHES[number % len(_DASHES)], "shape": "hv"},
                marker={"symbol": _SYMBOLS[number % len(_SYMBOLS)], "size": 5},
                meta=[name],
                hovertemplate=f"%{{meta[0]}}<br>%{{x:.4g}}: %{{y:.2f}}{data.unit}<extra></extra>",
            )
        )
    figure.update_yaxes(rangemode="tozero")
    return figure


def parallel_figure(data: ParallelData) -> go.Figure:
    """Parallel coordinates: one line an architecture, to be brushed."""
    dimensions = []
    for axis in data.axes:
        dimension: dict[str, Any] = {"label": plain(axis.name, 24), "values": list(axis.values)}
        if axis.choices:
            dimension["tickvals"] = list(range(len(axis.choices)))
            dimension["ticktext"] = [plain(choice, 16) for choice in axis.choices]
            dimension["range"] = [-0.2, max(1, len(axis.choices) - 1) + 0.2]
        dimensions.append(dimension)
    figure = go.Figure(
        go.Parcoords(
            dimensions=dimensions,
            labelangle=-30,
            labelside="top",
            unselected={"line": {"color": FAINT, "opacity": 0.08}},
            line={
                "color": list(data.miou),
                "colorscale": _DARKER,
                "colorbar": {"title": {"text": "mIoU (%)"}, "thickness": 12},
                "showscale": True,
            },
        ),
    )
    figure.update_layout(_layout(), height=460, margin={"l": 70, "r": 20, "t": 110, "b": 30})
    return figure


def importance_figure(data: ImportanceData, target: str) -> go.Figure:
    """Importance of genes for one target, with the threshold of chance."""
    found = data.targets[target]
    genes = found.genes[:MOST_GENES][::-1]
    figure = _figure(data.x_label.replace("\n", " "), "")
    figure.add_trace(
        go.Bar(
            x=[gene.value for gene in genes],
            y=[plain(gene.gene, 30) for gene in genes],
            orientation="h",
            marker={
                "color": [BLUE if gene.above_chance else FAINT for gene in genes],
                "pattern": {"shape": ["" if gene.above_chance else "/" for gene in genes]},
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [max(0.0, gene.high - gene.value) for gene in genes],
                "arrayminus": [max(0.0, gene.value - gene.low) for gene in genes],
                "color": INK,
                "thickness": 1.2,
            },
            text=[
                ("above chance" if gene.above_chance else "not above chance")
                + f", the best have more of {plain(gene.favoured, 20)}"
                for gene in genes
            ],
            textposition="none",
            hovertemplate="%{y}: %{x:.3f}<br>%{text}<extra></extra>",
            showlegend=False,
        )
    )
    if genes:
        line = {"color": VERMILION, "dash": "dash", "width": 1.5}
        figure.add_vline(x=found.threshold, line=line)
    figure.update_layout(height=120 + 26 * max(4, len(genes)))
    return figure


def allocation_figure(data: AllocationData, trait: str, label: str) -> go.Figure:
    """One trait, branch by branch: the frontier beside the rest."""
    rows = data.of(trait)
    figure = _figure("branch (1 is the finest)", label)
    half = [
        (row.difference.high - row.difference.low) / 2 if row.difference.known else 0.0
        for row in rows
    ]
    branches = [str(row.branch) for row in rows]
    verdicts = [row.verdict for row in rows]
    figure.add_trace(
        go.Bar(
            x=branches,
            y=[row.frontier_mean for row in rows],
            name="frontier",
            marker={"color": BLUE},
            error_y={"type": "data", "array": half, "color": INK, "thickness": 1.2},
            text=["*" if verdict != "undecided" else "" for verdict in verdicts],
            customdata=verdicts,
            textposition="outside",
            hovertemplate="branch %{x}: %{y:.3g} on the frontier, %{customdata}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Bar(
            x=branches,
            y=[row.other_mean for row in rows],
            name="others",
            marker={"color": FAINT, "pattern": {"shape": "/"}},
            hovertemplate="branch %{x}: %{y:.3g} among the others<extra></extra>",
        )
    )
    figure.update_layout(barmode="group", height=300)
    figure.update_xaxes(type="category")
    return figure


def learning_figure(data: LearningData) -> go.Figure:
    """mIoU against steps: the middle of all trials as a band, chosen architectures as lines."""
    figure = _figure("optimiser steps", "mIoU (%)")
    steps = list(data.steps)
    if data.low:
        figure.add_trace(
            go.Scatter(
                x=[*steps, *steps[::-1]],
                y=[*data.high, *data.low[::-1]],
                mode="lines",
                fill="toself",
                fillcolor=_faded(GREY, 0.18),
                line={"width": 0},
                name="all trials, 10% to 90%",
                hoverinfo="skip",
            )
        )
    for number, curve in enumerate(data.curves):
        figure.add_trace(
            go.Scatter(
                x=curve.steps,
                y=curve.miou,
                mode="lines+markers",
                name=f"{plain(curve.name, 30)}, seed {curve.seed}",
                line={
                    "color": VERMILION if curve.reference else BLUE,
                    "dash": _DASHES[number % len(_DASHES)],
                    "width": 1.2,
                },
                marker={"symbol": _SYMBOLS[number % len(_SYMBOLS)], "size": 5},
                meta=[f"{plain(curve.name, 30)}, seed {curve.seed}"],
                hovertemplate="%{meta[0]}<br>%{x} steps: %{y:.2f}%<extra></extra>",
                showlegend=False,
            )
        )
    return figure


def trust_figure(data: TrustData) -> go.Figure:
    """Inherited scores against those of training alone."""
    figure = _figure(data.x_label, data.y_label)
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
    figure = _figure(data.x_label, "")
    rows = data.rows[::-1]
    for offset, name, pick, color, symbol in (
        (0.12, "against the base", lambda row: row.effect, BLUE, "circle"),
        (-0.18, "at equal multiply-adds", lambda row: row.control, VERMILION, "diamond-open"),
    ):
        found = [(n + offset, row, pick(row)) for n, row in enumerate(rows) if pick(row)]
        if not found:
            continue
        ys, means = [y for y, _, _ in found], [five[0] for _, _, five in found]
        for low, high, width in ((3, 4, 1.2), (1, 2, 4.0)):
            figure.add_trace(
                go.Scatter(
                    x=means,
                    y=ys,
                    mode="markers",
                    marker={"size": 1, "color": color},
                    error_x={
                        "type": "data",
                        "symmetric": False,
                        "array": [_finite(five[high] - five[0]) for _, _, five in found],
                        "arrayminus": [_finite(five[0] - five[low]) for _, _, five in found],
                        "color": color,
                        "thickness": width,
                        "width": 0,
                    },
                    hoverinfo="skip",
                    showlegend=False,
                )
            )
        figure.add_trace(
            go.Scatter(
                x=means,
                y=ys,
                mode="markers",
                name=name,
                marker={"symbol": symbol, "size": 9, "color": color},
                text=[
                    f"{plain(row.name)}: {five[0]:+.3g} [{five[3]:+.3g}, {five[4]:+.3g}]"
                    + (f", {row.verdict}" if pick(row) is row.effect else "")
                    for _, row, five in found
                ],
                hovertemplate="%{text}<extra></extra>",
            )
        )
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


def _finite(value: float) -> float:
    return 0.0 if math.isnan(value) else max(0.0, value)


def _layout() -> dict[str, Any]:
    return {
        "template": "none",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "margin": {"l": 60, "r": 16, "t": 16, "b": 56},
        "hovermode": "closest",
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "height": 420,
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
    }


def _figure(x_label: str, y_label: str) -> go.Figure:
    figure = go.Figure(layout=_layout())
    x_title = "<br>".join(map(plain, textwrap.wrap(x_label, AXIS_TITLE)))
    axis = {"gridcolor": "#e6e6e6", "zeroline": False, "linecolor": GREY, "automargin": True}
    figure.update_xaxes(title={"text": x_title}, **axis)
    figure.update_yaxes(title={"text": plain(y_label, 120)}, **axis)
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
        "array": [_finite(p.high - p.score) for p in points],
        "arrayminus": [_finite(p.score - p.low) for p in points],
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


def _faded(color: str, opacity: float) -> str:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"
