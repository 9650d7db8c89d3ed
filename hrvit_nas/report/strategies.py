"""Strategies of search compared at about equal compute: data, Markdown, figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from hrvit_nas.results import (
    Interval,
    PairedDifference,
    TrialRecord,
    format_interval,
    hypervolume,
    mean_interval,
    paired_difference,
)

from .figures import BLUE, FAINT, GREY, INK, VERMILION, ReportError, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class StrategyRun:
    """One run of one strategy.

    Attributes:
        strategy: Its name.
        seed: Its seed.
        attainable: Mean over cost ceilings, from 0 to the corner, of the best mIoU (fraction) to be
            had below them, of the frontier as trained anew: its hypervolume with the corner
            (mIoU 0, dearest cost), divided by that cost.
        num_retrained: Architectures that were trained anew.
        seconds: Of one core, all training and scoring together.
    """

    strategy: str
    seed: int
    attainable: float
    num_retrained: int
    seconds: float


def strategy_run(
    name: str,
    seed: int,
    records: Iterable[TrialRecord],
    *,
    corner_macs: float,
    supernet_seconds: float = 0.0,
) -> StrategyRun:
    """Sums up a run.

    Scores that something was selected by do not count: of a search by trials those of confirming
    seeds do, of a search with a supernet those of training alone.

    Args:
        name: Of the strategy.
        seed: Of the run.
        records: Of the run, references left out.
        corner_macs: Multiply-adds of the hypervolume's corner.
        supernet_seconds: Of one core, that a supernet was trained for.

    Raises:
        ReportError: Nothing was trained anew.
    """
    rows = [record for record in records if record.state == "complete"]
    inherits = any(record.origin == "inherited" for record in rows)
    anew = [record for record in rows if record.origin == ("search" if inherits else "confirm")]
    points = [(record.miou, record.macs) for record in anew if record.miou is not None]
    if not points:
        raise ReportError(f"{name}, seed {seed}: no frontier member was trained anew")
    return StrategyRun(
        strategy=name,
        seed=seed,
        attainable=hypervolume(points, (0.0, corner_macs)) / corner_macs,
        num_retrained=len(points),
        seconds=supernet_seconds + sum(record.seconds for record in rows),
    )


def strategy_scores(runs: Iterable[StrategyRun]) -> dict[str, dict[int, float]]:
    """Attainable mIoU (fraction) by strategy and seed, in the order of the runs."""
    scores: dict[str, dict[int, float]] = {}
    for run in runs:
        scores.setdefault(run.strategy, {})[run.seed] = run.attainable
    return scores


def strategy_differences(
    runs: Iterable[StrategyRun], confidence: float = 0.95
) -> dict[tuple[str, str], PairedDifference]:
    """First minus second, of each pair of strategies with common seeds."""
    scores = strategy_scores(runs)
    return {
        (first, second): paired_difference(scores[first], scores[second], confidence)
        for first, second in combinations(scores, 2)
        if scores[first].keys() & scores[second].keys()
    }


def strategies_markdown(runs: Sequence[StrategyRun]) -> str:
    """A row a strategy, then the differences in words."""
    lines = [
        "| strategy | seeds | core-seconds a run | trained anew | mean attainable mIoU, % |",
        "|---|---|---|---|---|",
    ]
    for name, interval in _intervals(runs).items():
        mine = [run for run in runs if run.strategy == name]
        cells = (
            name,
            ", ".join(str(run.seed) for run in mine),
            ", ".join(f"{run.seconds:.0f}" for run in mine),
            ", ".join(str(run.num_retrained) for run in mine),
            format_interval(interval),
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for (first, second), difference in strategy_differences(runs).items():
        lines.append(f"- {first} less {second}, points: {difference.describe()}")
    return "\n".join(lines) + "\n"


def draw_strategies(runs: Sequence[StrategyRun], path: str | Path, *, caption: str) -> None:
    """Draws every run and each strategy's mean with its interval.

    Args:
        runs: What to draw.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.
        caption: Data set, sizes, compute.

    Raises:
        ReportError: The suffix is none of these, or there is no run.
        OSError: The file cannot be written.
    """
    if not runs:
        raise ReportError("there is nothing to draw: no run is complete")
    save_figure(lambda figure: _draw(figure, runs, caption), path, (3.5, 2.6))


def _intervals(runs: Iterable[StrategyRun]) -> dict[str, Interval]:
    return {name: mean_interval(scores.values()) for name, scores in strategy_scores(runs).items()}


def _draw(figure: Figure, runs: Sequence[StrategyRun], caption: str) -> None:
    axes = figure.add_subplot()
    intervals = _intervals(runs)
    for position, (name, interval) in enumerate(intervals.items()):
        values = [100 * run.attainable for run in runs if run.strategy == name]
        axes.scatter(
            [position - 0.15] * len(values),
            values,
            s=14,
            color=FAINT,
            linewidths=0,
            label=None if position else "one run",
        )
        mean = 100 * interval.mean
        color, marker = (BLUE, "o") if name == "supernet" else (VERMILION, "D")
        if interval.known:
            axes.errorbar(
                [position + 0.1],
                [mean],
                yerr=[[mean - 100 * interval.low], [100 * interval.high - mean]],
                fmt="none",
                ecolor=color,
                elinewidth=0.9,
                capsize=2,
            )
        axes.scatter([position + 0.1], [mean], s=20, marker=marker, color=color)
    counts = sorted({interval.num_values for interval in intervals.values()})
    axes.set_xticks(range(len(intervals)), list(intervals), fontsize=8)
    axes.set_xlim(-0.5, len(intervals) - 0.5)
    axes.set_ylabel("mean attainable mIoU (%)", fontsize=8, color=INK)
    axes.tick_params(labelsize=7, color=GREY, labelcolor=INK)
    axes.grid(visible=True, axis="y", color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)
    seeds = " to ".join(str(count) for count in sorted({counts[0], counts[-1]}))
    axes.set_title(
        f"{caption}\ngrey: one run; mark: mean of {seeds} seeds, 95% interval",
        loc="left",
        fontsize=6.5,
        color=GREY,
        parse_math=False,
    )
