"""What charts share: axes, colours that tell without hue, texts that are no markup.

Names come from users: Plotly reads texts as markup, so each goes through `plain`.
"""

from __future__ import annotations

import html
import math
import textwrap
from typing import Any

import plotly.graph_objects as go

from ...figures import BLUE, GREY, INK, VERMILION, one_line

LONGEST_NAME = 60
AXIS_TITLE = 26
"""Characters of a line of an axis' title that a phone has room for."""
FAINT = "#7d8b98"
"""For what steps back, and still is three times as dark as white."""
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
INKS = (BLUE, VERMILION, INK, GREY, "#3d7ab0", "#b0702a")


def plain(text: str, length: int = LONGEST_NAME) -> str:
    """A text as Plotly shows it literally: one line, not too long, no markup."""
    return html.escape(one_line(text, length), quote=False)


def axes(x_label: str, y_label: str) -> go.Figure:
    """An empty figure with its two axes."""
    figure = go.Figure(layout=layout())
    x_title = "<br>".join(map(plain, textwrap.wrap(x_label, AXIS_TITLE)))
    axis = {"gridcolor": "#e6e6e6", "zeroline": False, "linecolor": GREY, "automargin": True}
    figure.update_xaxes(title={"text": x_title}, **axis)
    figure.update_yaxes(title={"text": plain(y_label, 120)}, **axis)
    return figure


def layout() -> dict[str, Any]:
    """Fonts, margins and colours of every chart."""
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


def faded(color: str, opacity: float) -> str:
    """A colour that lets others through."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def at_least_zero(value: float) -> float:
    """The length of a bar; none where it is unknown."""
    return 0.0 if math.isnan(value) else max(0.0, value)
