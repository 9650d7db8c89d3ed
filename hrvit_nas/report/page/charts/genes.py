"""Charts of genes and branches: what was chosen, what matters, where a frontier spends."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from ...allocation import AllocationPanel
from ...figures import BLUE, INK, VERMILION
from ...importance import MOST_GENES, ImportancePanel
from ...parallel import ParallelData
from .base import FAINT, axes, layout, plain

_DARKER = [[0, "#7f9bb5"], [1, "#062a4d"]]
"""A scale on which more is darker, and nothing is lost on white."""


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
    figure.update_layout(layout(), height=460, margin={"l": 70, "r": 20, "t": 110, "b": 30})
    return figure


def importance_figure(data: ImportancePanel) -> go.Figure:
    """Importance of genes for one target, with the threshold of chance."""
    genes = data.importance.genes[:MOST_GENES][::-1]
    figure = axes(data.x_label.replace("\n", " "), "")
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
        figure.add_vline(x=data.importance.threshold, line=line)
    figure.update_layout(height=120 + 26 * max(4, len(genes)))
    return figure


def allocation_figure(data: AllocationPanel) -> go.Figure:
    """One trait, branch by branch: the frontier beside the rest."""
    rows = data.differences
    figure = axes("branch (1 is the finest)", data.label)
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
