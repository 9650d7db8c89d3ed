"""Units of scores, and estimates as columns of records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from hrvit_nas.objectives import OBJECTIVES, SCORES
from hrvit_nas.results import Column, Criterion, Estimate

UNITS: dict[Criterion, tuple[str, str, float]] = {
    name: (OBJECTIVES[name].word, OBJECTIVES[name].unit, OBJECTIVES[name].scale) for name in SCORES
}
"""Name of a criterion, unit of its spreads in tables, and factor to that unit."""


def interval_columns(estimates: Mapping[str, Column]) -> dict[str, Column]:
    """Three columns an estimate: its value, and the ends of its interval."""
    return {
        f"{name}{end}": Column(column.unit, f"{column.description}{text}")
        for name, column in estimates.items()
        for end, text in (("", ""), ("_low", ", lower end"), ("_high", ", upper end"))
    }


def interval_cells(estimates: Mapping[str, Estimate]) -> dict[str, object]:
    """What `interval_columns` hold of a row; empty where unknown."""
    return {
        f"{name}{end}": "" if math.isnan(value) else value
        for name, estimate in estimates.items()
        for end, value in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high))
    }


def side_of_zero(estimate: Estimate) -> Literal["above", "below", "both", "unknown"]:
    """On which side of 0 an interval lies."""
    if estimate.low > 0:
        return "above"
    if estimate.high < 0:
        return "below"
    # An interval that is unknown compares as false throughout.
    return "unknown" if math.isnan(estimate.low) else "both"
