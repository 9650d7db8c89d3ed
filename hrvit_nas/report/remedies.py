"""What remedies did to the noise of a proxy: rows, and a table and a figure of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hrvit_nas.results import Estimate, ScoreTable, VarianceComponents
from hrvit_nas.results.ranking import (
    cross_tau,
    residual_tau,
    seed_tau,
    seed_tau_gain,
    variance_components,
)

from .calibration import UNITS
from .figures import BLUE, GREY, VERMILION, ReportError, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class RemedyRow:
    """How one way of scoring ranks the architectures of a study.

    Attributes:
        name: The remedy.
        unit: Unit of mean and spreads.
        steps: Optimiser steps of a trial.
        seconds: Median wall time of a score.
        num_architectures: Architectures ranked.
        num_seeds: Scores of each.
        mean: Mean score, in `unit`.
        components: Spreads, in `unit`.
        seed_tau: Kendall's tau between two scores of different seeds.
        residual_tau: The same with the logarithm of MACs regressed out.
        gain: `seed_tau` less that of the baseline, over the same architectures; of the baseline
            itself 0 without an interval.
        target_tau: Kendall's tau with the target's scores of other seeds.
    """

    name: str
    unit: str
    steps: int
    seconds: float
    num_architectures: int
    num_seeds: int
    mean: float
    components: VarianceComponents
    seed_tau: Estimate
    residual_tau: Estimate
    gain: Estimate
    target_tau: Estimate


def remedy_rows(tables: Mapping[str, ScoreTable], *, baseline: str, target: str) -> list[RemedyRow]:
    """Compares ways of scoring the same architectures.

    Args:
        tables: By name, each scored at its last fidelity. Architectures that one of them lacks
            are left out of all.
        baseline: Name of the table that gains are over.
        target: Name of the table whose ranking the others should foretell.

    Raises:
        ReportError: A name is missing, or fewer than 4 architectures are common to all.
    """
    for name in (baseline, target):
        if name not in tables:
            raise ReportError(f"no scores of {name!r}; there are {', '.join(tables) or 'none'}")
    common = sorted(set.intersection(*(set(table.arch_ids) for table in tables.values())))
    if len(common) < 4:
        raise ReportError(f"a study needs 4 architectures that all remedies scored, got {common}")
    scores = {name: _aligned(table, common) for name, table in tables.items()}
    macs = tables[baseline].macs[[tables[baseline].arch_ids.index(arch) for arch in common]]
    rows = []
    for name, table in tables.items():
        _, unit, scale = UNITS[table.criterion]
        own = scores[name] * scale
        both = min(own.shape[1], scores[target].shape[1])
        rows.append(
            RemedyRow(
                name=name,
                unit=unit,
                steps=table.last_step,
                seconds=table.seconds[table.last_step],
                num_architectures=len(common),
                num_seeds=own.shape[1],
                mean=abs(float(own.mean())),
                components=variance_components(own),
                seed_tau=seed_tau(own),
                residual_tau=residual_tau(own, macs),
                gain=seed_tau_gain(own, scores[baseline])
                if name != baseline
                else Estimate(value=0.0, low=math.nan, high=math.nan, confidence=0.95),
                target_tau=cross_tau(own[:, :both], scores[target][:, :both]),
            )
        )
    return rows


def mean_of_last(table: ScoreTable, count: int) -> ScoreTable:
    """The table whose last fidelity is the mean over the last so many evaluations."""
    steps = sorted(table.scores)[-count:]
    scores = {steps[-1]: np.mean([table.scores[step] for step in steps], axis=0)}
    return _replaced(table, scores, {steps[-1]: table.seconds[steps[-1]]})


def mean_of_seeds(table: ScoreTable, count: int) -> ScoreTable:
    """The table whose scores are means over disjoint sets of so many seeds.

    Seeds are dealt out in turn, so that a mean shares no seed with another column's scores in
    `remedy_rows`.
    """
    groups = len(table.seeds) // count
    step = table.last_step
    columns = [table.scores[step][:, start : count * groups : groups] for start in range(groups)]
    scores = {step: np.stack([column.mean(1) for column in columns], axis=1)}
    return _replaced(table, scores, {step: count * table.seconds[step]})


def remedies_markdown(rows: Sequence[RemedyRow], target: str) -> str:
    """The rows as a Markdown table."""
    lines = [
        f"| remedy | steps | s/score | mean | sd architectures | sd seeds | tau of two seeds"
        f" | without MACs | gain | with {target} |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        spreads, digits = row.components, 2 if row.unit == "points" else 3
        gain = "" if math.isnan(row.gain.low) else row.gain.describe()
        cells = [
            row.name,
            str(row.steps),
            f"{row.seconds:.0f}",
            f"{row.mean:.{digits}f} {row.unit}",
            spreads.architectures.describe(digits=digits),
            spreads.seeds.describe(digits=digits),
            row.seed_tau.describe(),
            row.residual_tau.describe(),
            gain,
            row.target_tau.describe(),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw_remedies(rows: Sequence[RemedyRow], path: str | Path, *, caption: str) -> None:
    """Draws tau and residual tau of every row with their intervals, as a forest plot.

    Args:
        rows: From `remedy_rows`.
        path: PNG, PDF or SVG file to write.
        caption: What was trained: data, numbers, seeds.

    Raises:
        ReportError: The suffix is of no format that can be written.
        OSError: The file cannot be written.
    """
    save_figure(lambda figure: _draw(figure, rows, caption), path, (6.8, 1.3 + 0.3 * len(rows)))


def _draw(figure: Figure, rows: Sequence[RemedyRow], caption: str) -> None:
    axes = figure.add_subplot()
    axes.axvline(0, color=GREY, linewidth=0.8)
    for offset, marker, color, label, name in (
        (-0.14, "o", BLUE, "tau between two seeds", "seed_tau"),
        (0.14, "D", VERMILION, "the same without MACs", "residual_tau"),
    ):
        estimates: list[Estimate] = [getattr(row, name) for row in rows]
        ys = [place + offset for place in range(len(rows))]
        axes.hlines(ys, [e.low for e in estimates], [e.high for e in estimates], color=color)
        axes.plot(
            [e.value for e in estimates],
            ys,
            linestyle="none",
            marker=marker,
            markersize=4.5,
            color=color,
            markerfacecolor=color if marker == "o" else "white",
            label=label,
        )
    axes.set_yticks(range(len(rows)), [f"{row.name} ({row.seconds:.0f} s)" for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(-1, 1)
    axes.set_xlabel(f"Kendall's tau-b, 95% bootstrap interval\n{caption}")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _aligned(table: ScoreTable, arches: Sequence[str]) -> NDArray[np.float64]:
    places = [table.arch_ids.index(arch) for arch in arches]
    return table.scores[table.last_step][places]


def _replaced(
    table: ScoreTable, scores: dict[int, NDArray[np.float64]], seconds: dict[int, float]
) -> ScoreTable:
    return ScoreTable(**{**vars(table), "scores": scores, "seconds": seconds})
