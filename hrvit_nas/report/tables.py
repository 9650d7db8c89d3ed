"""The frontier as a table, and as records for other programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hrvit_nas.objectives import OBJECTIVES, Objective
from hrvit_nas.results import (
    COST_COLUMNS,
    SCHEMA,
    ArchSummary,
    Column,
    CostName,
    PairedDifference,
    RunSummary,
    format_interval,
)

from .grid import Grid, GridColumn
from .section import Records
from .units import UNITS

FRONTIER_COLUMNS: dict[str, Column] = {
    "arch_id": SCHEMA["arch_id"],
    "label": SCHEMA["label"],
    "role": Column("", "frontier, reference, both (joined by +), or dominated once confirmed"),
    "frontier_probability": Column(
        "fraction",
        "probability of being on the frontier; empty where the noise is unknown, or no scatter"
        " beyond it is shown",
    ),
    "miou": Column("fraction", "mean IoU, averaged over the seeds (the confirming ones, if any)"),
    "miou_low": Column("fraction", "lower end of the interval of that mean; empty for one seed"),
    "miou_high": Column("fraction", "upper end of that interval; empty for one seed"),
    "confidence": Column("fraction", "coverage of that interval"),
    "num_seeds": Column("count", "seeds behind that mean"),
    "confirmed": Column("", "whether those seeds are others than the one it was selected with"),
    "inherited_miou": Column(
        "fraction", "mean IoU with the weights of a supernet; empty without one"
    ),
    "search_miou": Column(
        "fraction",
        "mean IoU that it was selected with; with a supernet, of training alone before that",
    ),
    **{name: SCHEMA[name] for name in COST_COLUMNS},
    "arch": SCHEMA["arch"],
}
"""Columns of `frontier.csv`, in order, with their units."""


_ALWAYS_SHOWN = ("macs", "params")
"""Costs that have a column whatever the frontier is of."""


def frontier_grid(summary: RunSummary, *, title: str = "") -> Grid:
    """The frontier, what was confirmed beside it and the references, by rising first cost.

    Multiply-adds, parameters and what else the frontier is of have a column each.
    With a supernet there is a column of scores with its weights, beside those of training alone.
    Where the noise of the scores is known there is a column of `RunSummary.probabilities`.
    With references there is a last column a name of theirs: the difference to the one nearest in
    cost, over common seeds, what it decides, and how much more or less the reference costs.
    """
    rows = summary.shown
    columns = [
        *_own_columns(summary),
        *_score_columns(summary),
        *_reference_columns(summary),
    ]
    single = any(row.interval.num_values == 1 for row in rows)
    return Grid(
        title=title,
        columns=[column for column, _ in columns],
        rows=[[cell(row) for _, cell in columns] for row in rows],
        notes=["n=1: one seed, so the interval is unknown"] if single else [],
        dim=frozenset(number for number, row in enumerate(rows) if not row.on_frontier),
    )


def frontier_records(summary: RunSummary, texts: Mapping[str, str] | None = None) -> Records:
    """The rows of `frontier_grid` in full; `FRONTIER_COLUMNS` says what the columns are.

    Args:
        summary: From `hrvit_nas.results.summarise`.
        texts: Canonical JSON by id, for a summary without texts of architectures.
    """
    rows = [_record(row, summary) for row in summary.shown]
    for row in rows:
        row["arch"] = row["arch"] or (texts or {}).get(row["arch_id"], "")
    return Records(name="frontier", columns=FRONTIER_COLUMNS, rows=rows)


_Columns = Iterator[tuple[GridColumn, Callable[[ArchSummary], str]]]


def _own_columns(summary: RunSummary) -> _Columns:
    """What an architecture is, and what it costs."""
    yield GridColumn(name="architecture", align="left"), _name
    yield GridColumn(name="GMACs"), lambda row: f"{row.macs / 1e9:.4g}"
    yield GridColumn(name="params", unit="M"), lambda row: f"{row.params / 1e6:.3g}"
    for name in summary.costs:
        if name in _ALWAYS_SHOWN:
            continue
        cost = OBJECTIVES[name]

        def cell(row: ArchSummary, cost: Objective = cost) -> str:
            value = row.cost(cost.name) * cost.scale
            return "" if math.isnan(value) else f"{value:.3g}"

        yield GridColumn(name=cost.word, unit=cost.unit), cell


def _score_columns(summary: RunSummary) -> _Columns:
    detail = f"[{summary.confidence:.0%} interval]" if summary.confirmed else ""
    mean = GridColumn(name="mIoU", unit="%", detail=detail)
    yield mean, lambda row: format_interval(row.interval)
    if summary.confirmed:
        yield GridColumn(name="in search"), lambda row: _percent(row.search_miou)
    if summary.criterion != "miou":
        name, unit, scale = UNITS[summary.criterion]

        def ranked(row: ArchSummary) -> str:  # a cross entropy is negated there
            return "" if row.search_score is None else f"{abs(scale * row.search_score):.3f}"

        yield GridColumn(name=name, unit=unit, detail="(ranked by)"), ranked
    if summary.inherited:
        yield GridColumn(name="inherited"), lambda row: _percent(row.inherited_miou)
    chances = summary.probabilities
    if chances:

        def chance(row: ArchSummary) -> str:
            found = chances.get(row.arch_id)
            return "" if found is None else f"{found:.2f}"

        yield GridColumn(name="P(frontier)"), chance


def _reference_columns(summary: RunSummary) -> _Columns:
    for label in summary.reference_labels:
        compared = {row.arch_id: summary.against_reference(row, label) for row in summary.shown}

        def cell(
            row: ArchSummary,
            compared: Mapping[str, tuple[ArchSummary, PairedDifference] | None] = compared,
        ) -> str:
            found = compared[row.arch_id]
            return "" if found is None else _against(row, *found, summary.costs)

        if any(compared.values()):
            yield GridColumn(name=f"against {label}, nearest in cost", align="left"), cell


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:.2f}"


def _name(row: ArchSummary) -> str:
    return f"{row.label} ({row.arch_id})" if row.label else row.arch_id


def _against(
    row: ArchSummary,
    reference: ArchSummary,
    difference: PairedDifference,
    costs: Sequence[CostName],
) -> str:
    gaps = {
        "cost" if len(costs) == 1 else OBJECTIVES[cost].word: (
            f"{reference.cost(cost) / row.cost(cost) - 1:+.0%}"
        )
        for cost in costs
    }
    shown = ", ".join(f"{gap} {word}" for word, gap in gaps.items() if gap not in ("+0%", "-0%"))
    return difference.describe() + (f" (reference {shown})" if shown else "")


def _record(row: ArchSummary, summary: RunSummary) -> dict[str, Any]:
    interval = row.interval
    roles = ["frontier"] * row.on_frontier + ["reference"] * row.reference or ["dominated"]
    return {
        "arch_id": row.arch_id,
        "label": row.label,
        "role": "+".join(roles),
        "frontier_probability": summary.probabilities.get(row.arch_id, ""),
        "miou": interval.mean,
        "miou_low": interval.low if interval.known else "",
        "miou_high": interval.high if interval.known else "",
        "confidence": interval.confidence,
        "num_seeds": interval.num_values,
        "confirmed": row.confirmed,
        "inherited_miou": row.inherited_miou,
        "search_miou": row.search_miou,
        **{name: getattr(row, name) for name in COST_COLUMNS},
        "arch": row.arch,
    }
