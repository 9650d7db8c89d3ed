"""Strategies of search compared at about equal compute: data, Markdown, figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from hrvit_nas.results import (
    Criterion,
    Interval,
    PairedDifference,
    Stage,
    TrialRecord,
    format_interval,
    hypervolume,
    mean_interval,
    paired_difference,
)

from .figures import BLUE, FAINT, GREY, INK, VERMILION, ReportError, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class StrategyRun:
    """One run of one strategy.

    Attributes:
        strategy: Its name.
        seed: Its seed.
        attainable: By criterion, mean over cost ceilings, from 0 to the corner, of the best score
            to be had below them, of the frontier as trained anew: its hypervolume with a corner of
            the dearest cost and the score of guessing, divided by that cost. mIoU as a fraction,
            cross entropy in nats (less being better), which for guessing are 0 and the logarithm
            of the number of classes.
        num_retrained: Architectures that were trained anew.
        seconds: Of one core, all training and scoring together.
    """

    strategy: str
    seed: int
    attainable: dict[Criterion, float]
    num_retrained: int
    seconds: float


def strategy_run(
    name: str,
    seed: int,
    records: Iterable[TrialRecord],
    *,
    corner_macs: float,
    num_classes: int,
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
        num_classes: Of the data set.
        supernet_seconds: Of one core, that a supernet was trained for.

    Raises:
        ReportError: Nothing was trained anew.
    """
    rows = [record for record in records if record.state == "complete"]
    inherits = any(record.evaluator == "inherited" for record in rows)
    stage = Stage("search" if inherits else "confirmation", "trained")
    anew = [record for record in rows if record.stage == stage]
    if not anew:
        raise ReportError(f"{name}, seed {seed}: no frontier member was trained anew")

    def area(criterion: Criterion, worst: float) -> float:
        scores = [(record.score(criterion), record.macs) for record in anew]
        points = [(score, macs) for score, macs in scores if score is not None]
        return hypervolume(points, (worst, corner_macs)) / corner_macs

    guessing = math.log(num_classes)
    return StrategyRun(
        strategy=name,
        seed=seed,
        attainable={
            "miou": area("miou", 0.0),
            "cross_entropy": guessing - area("cross_entropy", -guessing),
        },
        num_retrained=len(anew),
        seconds=supernet_seconds + sum(record.seconds for record in rows),
    )


def strategy_scores(
    runs: Iterable[StrategyRun], criterion: Criterion
) -> dict[str, dict[int, float]]:
    """Attainable score by strategy and seed, in the order of the runs."""
    scores: dict[str, dict[int, float]] = {}
    for run in runs:
        scores.setdefault(run.strategy, {})[run.seed] = run.attainable[criterion]
    return scores


def strategy_differences(
    runs: Iterable[StrategyRun], criterion: Criterion, confidence: float = 0.95
) -> dict[tuple[str, str], PairedDifference]:
    """First minus second, of each pair of strategies with common seeds."""
    scores = strategy_scores(runs, criterion)
    return {
        (first, second): paired_difference(scores[first], scores[second], confidence)
        for first, second in combinations(scores, 2)
        if scores[first].keys() & scores[second].keys()
    }


def strategies_markdown(runs: Sequence[StrategyRun]) -> str:
    """A row a strategy, then the differences in words."""
    lines = [
        "| strategy | seeds | core-seconds a run | trained anew | mean attainable mIoU, % |"
        " mean attainable cross entropy, nats |",
        "|---|---|---|---|---|---|",
    ]
    entropies = _intervals(runs, "cross_entropy")
    for name, interval in _intervals(runs, "miou").items():
        mine = [run for run in runs if run.strategy == name]
        cells = (
            name,
            ", ".join(str(run.seed) for run in mine),
            ", ".join(f"{run.seconds:.0f}" for run in mine),
            ", ".join(str(run.num_retrained) for run in mine),
            format_interval(interval),
            format_interval(entropies[name], scale=1, digits=3),
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for (first, second), difference in strategy_differences(runs, "miou").items():
        lines.append(f"- {first} less {second}, points of mIoU: {difference.describe()}")
    for (first, second), difference in strategy_differences(runs, "cross_entropy").items():
        text = difference.describe(scale=1, digits=3)
        lines.append(f"- {first} less {second}, nats of cross entropy: {text}")
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


def _intervals(runs: Iterable[StrategyRun], criterion: Criterion) -> dict[str, Interval]:
    scores = strategy_scores(runs, criterion)
    return {name: mean_interval(by_seed.values()) for name, by_seed in scores.items()}


def _draw(figure: Figure, runs: Sequence[StrategyRun], caption: str) -> None:
    left, right = figure.subplots(1, 2)
    _draw_criterion(left, runs, "miou", 100.0, "mean attainable mIoU (%)")
    _draw_criterion(right, runs, "cross_entropy", 1.0, "mean attainable cross entropy (nats)")
    counts = sorted({len(by_seed) for by_seed in strategy_scores(runs, "miou").values()})
    seeds = " to ".join(str(count) for count in sorted({counts[0], counts[-1]}))
    figure.suptitle(
        f"{caption}\ngrey: one run; mark: mean of {seeds} seeds, 95% interval",
        x=0.01,
        ha="left",
        fontsize=6.5,
        color=GREY,
    )


def _draw_criterion(
    axes: Axes, runs: Sequence[StrategyRun], criterion: Criterion, scale: float, label: str
) -> None:
    intervals = _intervals(runs, criterion)
    for position, (name, interval) in enumerate(intervals.items()):
        values = [scale * run.attainable[criterion] for run in runs if run.strategy == name]
        axes.scatter(
            [position - 0.15] * len(values),
            values,
            s=14,
            color=FAINT,
            linewidths=0,
        )
        mean = scale * interval.mean
        color, marker = (BLUE, "o") if name == "supernet" else (VERMILION, "D")
        if interval.known:
            axes.errorbar(
                [position + 0.1],
                [mean],
                yerr=[[mean - scale * interval.low], [scale * interval.high - mean]],
                fmt="none",
                ecolor=color,
                elinewidth=0.9,
                capsize=2,
            )
        axes.scatter([position + 0.1], [mean], s=20, marker=marker, color=color)
    axes.set_xticks(range(len(intervals)), list(intervals), fontsize=7)
    axes.set_xlim(-0.5, len(intervals) - 0.5)
    axes.set_ylabel(label, fontsize=7, color=INK)
    axes.tick_params(labelsize=7, color=GREY, labelcolor=INK)
    axes.grid(visible=True, axis="y", color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)
