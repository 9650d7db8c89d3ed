"""Charts of curves: hypervolume as it grew, and learning."""

from __future__ import annotations

import plotly.graph_objects as go

from ...figures import BLUE, GREY, VERMILION
from ...hypervolume_history import HistoryPanel
from ...learning import LearningData
from .base import DASHES, INKS, SYMBOLS, axes, faded, plain


def history_figure(data: HistoryPanel) -> go.Figure:
    """Hypervolume as it grew, a line a sampler, with the interval of its mean."""
    figure = axes(data.x_label, data.y_label)
    for number, curve in enumerate(data.curves):
        color = INKS[number % len(INKS)]
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
                        fillcolor=faded(color, 0.15),
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
                line={"color": color, "dash": DASHES[number % len(DASHES)], "shape": "hv"},
                marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 5},
                meta=[name],
                hovertemplate=f"%{{meta[0]}}<br>%{{x:.4g}}: %{{y:.2f}}{data.unit}<extra></extra>",
            )
        )
    figure.update_yaxes(rangemode="tozero")
    return figure


def learning_figure(data: LearningData) -> go.Figure:
    """mIoU against steps: the middle of all trials as a band, chosen architectures as lines."""
    figure = axes("optimiser steps", "mIoU (%)")
    steps = list(data.steps)
    if data.low:
        figure.add_trace(
            go.Scatter(
                x=[*steps, *steps[::-1]],
                y=[*data.high, *data.low[::-1]],
                mode="lines",
                fill="toself",
                fillcolor=faded(GREY, 0.18),
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
                    "dash": DASHES[number % len(DASHES)],
                    "width": 1.2,
                },
                marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 5},
                meta=[f"{plain(curve.name, 30)}, seed {curve.seed}"],
                hovertemplate="%{meta[0]}<br>%{x} steps: %{y:.2f}%<extra></extra>",
                showlegend=False,
            )
        )
    return figure
