"""Figures for paper and for a run directory, drawn with matplotlib (imported on demand)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..allocation import AllocationData
from ..consistency import ConsistencyData
from ..evaluation import ConfusionData
from ..forest import ForestData
from ..importance import ImportanceData
from ..pareto import ParetoData
from .allocation import draw_allocation
from .confusion import draw_confusion
from .consistency import draw_consistency
from .forest import draw_forest
from .importance import draw_importance
from .pareto import draw_pareto

_DRAWERS: Mapping[type, Callable[[Any, str | Path], None]] = {
    AllocationData: draw_allocation,
    ConfusionData: draw_confusion,
    ForestData: draw_forest,
    ImportanceData: draw_importance,
    ParetoData: draw_pareto,
    ConsistencyData: draw_consistency,
}


def draw_figure(data: object, path: str | Path) -> None:
    """Draws a figure into a file, whatever it shows.

    Args:
        data: Data of a figure.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.

    Raises:
        KeyError: There is no drawing of such data.
        ReportError: The suffix is none of these.
        OSError: The file cannot be written.
    """
    _DRAWERS[type(data)](data, path)


__all__ = [
    "draw_allocation",
    "draw_confusion",
    "draw_consistency",
    "draw_figure",
    "draw_forest",
    "draw_importance",
    "draw_pareto",
]
