"""How axes look, whatever they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..figures import GREY, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis


def number(axis: Axis) -> None:
    """Puts numbers at round places, written in full."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    write_in_full(axis)


def write_in_full(axis: Axis) -> None:
    """Writes numbers without a common factor."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


def rule(axes: Axes, size: float) -> None:
    """Thin lines, a faint grid below what is drawn, and numbers of some size in points."""
    axes.tick_params(labelsize=size, color=GREY, labelcolor=INK, width=0.6, length=3)
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)
    show_spines(axes, "left", "bottom")
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)


def show_spines(axes: Axes, *sides: str) -> None:
    """Leaves the frame on some sides alone."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in sides)
        spine.set_color(GREY)
