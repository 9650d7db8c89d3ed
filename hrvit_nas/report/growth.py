"""How the hypervolume of searches grew, over evaluations and over compute, by sampler."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrvit_nas.results import (
    MIOU_AND_COST,
    PairedDifference,
    hypervolume_curve,
    mean_interval,
    paired_difference,
)

from .run import ReportedRun

MOST_POINTS = 200
"""Points that a curve is drawn with."""
BASELINE = "random"


@dataclass(frozen=True, kw_only=True)
class GrowthCurve:
    """One sampler: the mean over its runs.

    Attributes:
        label: Sampler, and what else tells the curve from others.
        x: Evaluations, or worker-seconds.
        mean: Mean attainable mIoU (%): the hypervolume over the range of costs.
        low: Lower end of the interval of the mean; NaN for one run.
        high: Upper end.
        seeds: Seeds of the runs.
    """

    label: str
    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class GrowthData:
    """Everything that the two figures show.

    Attributes:
        by_evaluations: Curves over trials that ended.
        by_seconds: Curves over the seconds that workers spent.
        words: What the curves decide, in sentences.
        caption: How hypervolume is counted, and on what.
        y_label: Label of the y axis, with its unit.
    """

    by_evaluations: tuple[GrowthCurve, ...]
    by_seconds: tuple[GrowthCurve, ...]
    words: tuple[str, ...]
    caption: str
    y_label: str = "mean attainable mIoU (%)"


def growth_data(runs: Sequence[ReportedRun], confidence: float = 0.95) -> GrowthData | None:
    """Turns searches that trained each proposal alone into curves; None if there is none.

    The hypervolume of frontier and (mIoU 0, dearest cost of all runs), over that cost, is the mIoU
    that is to be had at a budget, averaged over budgets. Scores are those of the search, one seed
    each, so that all curves flatter, the longer ones more. Runs of one sampler are averaged as far
    as the shortest goes.

    Args:
        runs: Searches of one space, data set and number of steps, with one cost.
        confidence: Coverage of the intervals.
    """
    found = [(run, track) for run in runs if (track := _track(run)) is not None]
    if not found:
        return None
    # Runs that share sampler and seed are told apart by their names.
    twins = Counter((run.config.sampler, run.config.seed) for run, _ in found)
    tracks = {
        (
            run.config.sampler
            if twins[run.config.sampler, run.config.seed] == 1
            else f"{run.config.sampler}, {run.name}",
            run.config.seed,
        ): track
        for run, track in found
    }
    corner = max(float(points[:, 1].max()) for points, _ in tracks.values())
    areas = {
        key: 100 * hypervolume_curve(points, (0.0, corner), MIOU_AND_COST) / corner
        for key, (points, _) in tracks.items()
    }
    by_trial: dict[str, dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    by_second: dict[str, dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for (label, seed), area in areas.items():
        counts = np.arange(1, len(area) + 1, dtype=np.float64)
        by_trial.setdefault(label, {})[seed] = counts, area
        by_second.setdefault(label, {})[seed] = tracks[label, seed][1], area
    return GrowthData(
        by_evaluations=_curves(by_trial, confidence),
        by_seconds=_curves(by_second, confidence),
        words=tuple(_words(areas, confidence)),
        caption="scores of the search, one seed an architecture, which flatter; area under the"
        f" frontier over 0 to the dearest cost; n = {len(tracks)} run"
        + ("" if len(tracks) == 1 else "s, lines are means, bands 95% intervals where several"),
    )


def comparable(runs: Sequence[ReportedRun]) -> list[list[ReportedRun]]:
    """Groups searches that may be compared: space, data, steps, size and cost alike."""
    groups: dict[tuple[object, ...], list[ReportedRun]] = {}
    for run in runs:
        config = run.config
        if run.kind == "search" and not hasattr(config, "arms"):
            key = (config.space, run.dataset, run.image_size, config.recipe.steps, config.cost)
            groups.setdefault(key, []).append(run)
    return list(groups.values())


def _track(run: ReportedRun) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(mIoU, cost) of each complete trial of a search, and the seconds spent by its end."""
    if run.kind != "search" or run.config.strategy != "trials":
        return None
    points, spent, seconds = [], [], 0.0
    for record in run.records:
        if record.origin != "search":
            continue
        seconds += record.seconds
        cost = getattr(record, run.summary.cost)
        if record.miou is not None and cost is not None:
            points.append((record.miou, float(cost)))
            spent.append(seconds)
    if not points:
        return None
    return np.array(points), np.array(spent)


def _curves(
    groups: Mapping[str, Mapping[int, tuple[NDArray[np.float64], NDArray[np.float64]]]],
    confidence: float,
) -> tuple[GrowthCurve, ...]:
    curves = []
    for label, runs in groups.items():
        start = max(float(x[0]) for x, _ in runs.values())
        end = min(float(x[-1]) for x, _ in runs.values())
        known = np.unique(np.concatenate([x for x, _ in runs.values()]))
        known = known[(known >= start) & (known <= end)]
        if not len(known):
            known = np.array([start])
        if len(known) > MOST_POINTS:
            known = known[np.unique(np.linspace(0, len(known) - 1, MOST_POINTS).astype(int))]
        # A curve keeps its level until its next trial ends.
        levels = np.stack(
            [area[np.searchsorted(x, known, side="right") - 1] for x, area in runs.values()]
        )
        intervals = [mean_interval(column, confidence) for column in levels.T.tolist()]
        curves.append(
            GrowthCurve(
                label=label,
                x=tuple(known.tolist()),
                mean=tuple(i.mean for i in intervals),
                low=tuple(i.low for i in intervals),
                high=tuple(i.high for i in intervals),
                seeds=tuple(sorted(runs)),
            )
        )
    return tuple(curves)


def _words(areas: Mapping[tuple[str, int], NDArray[np.float64]], confidence: float) -> list[str]:
    labels = list(dict.fromkeys(label for label, _ in areas))
    if BASELINE not in labels:
        return [
            "no random search of the same space, data and steps is among the runs, so nothing is"
            " said of what the sampler is worth; hrvit-search --sampler random makes one"
        ]
    words = []
    for label in labels:
        if label == BASELINE:
            continue
        seeds = sorted(s for name, s in areas if name == label and (BASELINE, s) in areas)
        if not seeds:
            words.append(f"{label} and random search have no seed in common: not compared")
            continue
        evaluations = min(len(areas[name, s]) for name in (label, BASELINE) for s in seeds)
        first, second = (
            {s: float(areas[name, s][evaluations - 1]) for s in seeds} for name in (label, BASELINE)
        )
        found: PairedDifference = paired_difference(first, second, confidence)
        words.append(
            f"{label} less random search after {evaluations} evaluations, paired by seed, points:"
            f" {found.describe(scale=1)}"
            + ("; one seed decides nothing" if math.isnan(found.interval.low) else "")
        )
    return words
