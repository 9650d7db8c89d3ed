"""The frontier as a table: for the terminal (rich) and as CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from hrvit_nas.objectives import OBJECTIVES
from hrvit_nas.results import (
    SCHEMA,
    ArchSummary,
    Column,
    CostName,
    PairedDifference,
    RunSummary,
    format_interval,
    write_csv,
)

from .calibration import UNITS

FRONTIER_COLUMNS: dict[str, Column] = {
    "arch_id": SCHEMA["arch_id"],
    "label": SCHEMA["label"],
    "role": Column("", "frontier, reference, both (joined by +), or dominated once confirmed"),
    "frontier_probability": Column(
        "fraction", "probability of being on the frontier; empty where the noise is unknown"
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
    "macs": SCHEMA["macs"],
    "published_macs": SCHEMA["published_macs"],
    "params": SCHEMA["params"],
    "peak_activation_bytes": SCHEMA["peak_activation_bytes"],
    "latency_ms": SCHEMA["latency_ms"],
    "arch": SCHEMA["arch"],
}
"""Columns of `frontier.csv`, in order, with their units."""


_ALWAYS_SHOWN = ("macs", "params")
"""Costs that have a column whatever the frontier is of."""


def frontier_table(summary: RunSummary, *, title: str = "") -> Table:
    """The frontier, what was confirmed beside it and the references, for rich.

    Rows are by rising first cost. Multiply-adds, parameters and what else the frontier is of have a
    column each. With a supernet there is a column of scores with its weights, beside those of
    training alone. Where the noise of the scores is known there is a column of
    `RunSummary.probabilities`. With references there is a last column a name of theirs: the
    difference to the one nearest in cost, over common seeds, what it decides, and how much more or
    less the reference costs. Names are shown as they are, never read as markup.
    """
    rows = summary.shown
    compared = {
        label: [summary.against_reference(row, label) for row in rows]
        for label in summary.reference_labels
    }
    compared = {label: found for label, found in compared.items() if any(found)}
    mean = f"mIoU % [{summary.confidence:.0%} interval]" if summary.confirmed else "mIoU %"
    seeds = {row.interval.num_values for row in rows}
    note = Text("n=1: one seed, so the interval is unknown") if 1 in seeds else None
    table = Table(
        title=Text(title) if title else None,
        title_justify="left",
        caption=note,
        caption_justify="left",
    )
    table.add_column("architecture")
    table.add_column("GMACs", justify="right")
    table.add_column("params M", justify="right")
    further = [OBJECTIVES[name] for name in summary.costs if name not in _ALWAYS_SHOWN]
    for cost in further:
        table.add_column(f"{cost.word} {cost.unit}", justify="right")
    table.add_column(mean, justify="right")
    if summary.confirmed:
        table.add_column("in search", justify="right")
    ranked = None if summary.criterion == "miou" else UNITS[summary.criterion]
    if ranked:
        table.add_column(f"{ranked[0]}, {ranked[1]}: ranked by", justify="right")
    if summary.inherited:
        table.add_column("inherited", justify="right")
    chances = summary.probabilities
    if chances:
        table.add_column("P(frontier)", justify="right")
    for label in compared:
        table.add_column(Text(f"against {label}, nearest in cost"))
    for number, row in enumerate(rows):
        cells = [_name(row), f"{row.macs / 1e9:.4g}", f"{row.params / 1e6:.3g}"]
        for cost in further:
            value = row.cost(cost.name) * cost.scale
            cells.append("" if math.isnan(value) else f"{value:.3g}")
        cells.append(format_interval(row.interval))
        if summary.confirmed:
            cells.append("" if row.search_miou is None else f"{100 * row.search_miou:.2f}")
        if ranked:
            score = row.search_score  # a cross entropy is negated there
            cells.append("" if score is None else f"{abs(ranked[2] * score):.3f}")
        if summary.inherited:
            cells.append("" if row.inherited_miou is None else f"{100 * row.inherited_miou:.2f}")
        if chances:
            chance = chances.get(row.arch_id)
            cells.append("" if chance is None else f"{chance:.2f}")
        for found in compared.values():
            comparison = found[number]
            cells.append("" if comparison is None else _against(row, *comparison, summary.costs))
        table.add_row(*map(Text, cells), style="" if row.on_frontier else "dim")
    return table


def write_frontier_csv(summary: RunSummary, path: str | Path) -> None:
    """Writes the rows of `frontier_table` as CSV; `FRONTIER_COLUMNS` says what the columns are.

    Args:
        summary: From `hrvit_nas.results.summarise`.
        path: File to write, replaced in one step.

    Raises:
        OSError: The file cannot be written.
    """
    write_csv(path, FRONTIER_COLUMNS, (_csv_row(row, summary) for row in summary.shown))


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


def _csv_row(row: ArchSummary, summary: RunSummary) -> dict[str, Any]:
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
        "macs": row.macs,
        "published_macs": row.published_macs,
        "params": row.params,
        "peak_activation_bytes": row.peak_activation_bytes,
        "latency_ms": row.latency_ms,
        "arch": row.arch,
    }
