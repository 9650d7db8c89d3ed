"""Hypervolume history of searches: over evaluations and over compute, by sampler."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from hrvit_nas.objectives import OBJECTIVES, Objective
from hrvit_nas.results import (
    Stage,
    hypervolume_curve,
    mean_interval,
    paired_difference,
    seconds_spent,
)
from hrvit_nas.results.records import SEARCHED
from hrvit_nas.search.config import AnySearch, SearchConfig
from hrvit_nas.search.proxy_noise import searched_under

from .run import ReportedRun
from .section import Finding

MOST_POINTS = 200
"""Points that a curve is drawn with."""
BASELINE = "random"


@dataclass(frozen=True, kw_only=True)
class HistoryCurve:
    """One sampler: the mean over its runs.

    Attributes:
        label: Sampler, and what else tells the curve from others.
        x: Evaluations, or worker-seconds.
        mean: Normalised hypervolume, in the unit of its axis: the hypervolume over the range of
            costs, from the worst score that counts.
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
class HistoryPanel:
    """One figure: curves over one kind of effort.

    Attributes:
        curves: One a sampler.
        x_label: Label of the x axis, with its unit.
        y_label: Label of the y axis, with its unit.
        unit: What stands behind a value.
    """

    curves: tuple[HistoryCurve, ...]
    x_label: str
    y_label: str
    unit: str


@dataclass(frozen=True, kw_only=True)
class HypervolumeHistory:
    """Everything that the two figures show.

    Attributes:
        by_evaluations: Over trials that ended.
        by_seconds: Over the seconds that workers spent.
        findings: What the curves decide.
        caption: How hypervolume is counted, and on what.
    """

    by_evaluations: HistoryPanel
    by_seconds: HistoryPanel
    findings: tuple[Finding, ...]
    caption: str


@dataclass(frozen=True, kw_only=True)
class _Track:
    """One search: gain in score and costs by trial, NaN where it failed; seconds by its end."""

    label: str
    sampler: str
    seed: int
    points: NDArray[np.float64]
    seconds: NDArray[np.float64]


def hypervolume_history(
    runs: Sequence[ReportedRun], confidence: float = 0.95
) -> HypervolumeHistory | None:
    """Turns searches that trained each proposal alone into curves; None if there is none.

    The hypervolume of frontier and corner (mIoU 0, or of another score the worst of all runs; the
    dearest costs of all runs), over those costs, is the score that is to be had at a budget,
    averaged over budgets. Scores are those that the search goes by, one seed each, so that all
    curves flatter, the longer ones more. Runs of one sampler are averaged as far as the shortest
    goes. A search with a supernet is left out: what it proposes has another score.

    Args:
        runs: Searches that `comparable` puts together.
        confidence: Coverage of the intervals.
    """
    tracks = _tracks(runs)
    if not tracks:
        return None
    summary = runs[0].summary
    score = OBJECTIVES[summary.criterion]
    worst, *dearest = _corner(tracks, score)
    areas = [
        score.scale * hypervolume_curve(track.points, (worst, *dearest)) / math.prod(dearest)
        for track in tracks
    ]
    areas = [score.gain(1.0) * (score.scale * worst + area) for area in areas]
    findings = _findings(list(zip(tracks, areas, strict=True)), confidence, score.unit)
    supernets = [run.name for run in runs if not isinstance(run.config, SearchConfig)]
    if supernets:
        findings.append(
            Finding(
                name="left_out",
                text="left out, since scores with a supernet's weights are another quantity:"
                f" {', '.join(supernets)}",
                facts={"runs": supernets},
            )
        )
    several = "" if len(tracks) == 1 else f"; lines are means, bands {confidence:.0%} intervals"
    seeds = sorted({track.seed for track in tracks})
    costs = " and ".join(OBJECTIVES[cost].word for cost in summary.costs)
    what = "area" if len(summary.costs) == 1 else "volume"

    def panel(xs: Sequence[NDArray[np.float64]], x_label: str) -> HistoryPanel:
        return HistoryPanel(
            curves=_curves(list(zip(tracks, xs, areas, strict=True)), confidence),
            x_label=x_label,
            y_label=f"normalised hypervolume: {score.axis}",
            unit=score.level,
        )

    counts = [np.arange(1, len(area) + 1, dtype=np.float64) for area in areas]
    return HypervolumeHistory(
        by_evaluations=panel(counts, "trials that ended"),
        by_seconds=panel(
            [track.seconds for track in tracks], "time of workers (s), wherever they ran"
        ),
        findings=tuple(findings),
        caption=f"{runs[0].dataset}; scores of the search, one seed an architecture, which flatter;"
        f" {what} under the frontier from 0 to the highest {costs} of all, over"
        f" that{_from(score, worst)}; n = {len(tracks)} run{'' if len(tracks) == 1 else 's'} with"
        f" seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}{several}",
    )


def _corner(tracks: Sequence[_Track], score: Objective) -> list[float]:
    """The gain in score and the costs that a hypervolume is counted up to."""
    points = np.concatenate([track.points for track in tracks])
    worst = np.nanmin(points[:, 0]) if score.worst is None else score.gain(score.worst)
    return [float(worst), *np.nanmax(points[:, 1:], axis=0).tolist()]


def _from(score: Objective, worst: float) -> str:
    """Where a score is counted from, if that is not said by the score itself."""
    if score.worst is not None:
        return ""
    return f", below the worst {score.word} of all, {score.scale * score.gain(worst):.3g}"


def comparable(runs: Sequence[ReportedRun]) -> list[list[ReportedRun]]:
    """Groups searches that may be compared: space, narrowing, data, recipe and cost alike.

    A run that is given twice counts once.
    """
    groups: dict[str, list[ReportedRun]] = {}
    for run in {run.directory.resolve(): run for run in runs}.values():
        if isinstance(run.config, AnySearch):
            key = f"{searched_under(run.config)} {run.config.as_started} {run.summary.costs}"
            groups.setdefault(key, []).append(run)
    return list(groups.values())


def _tracks(runs: Sequence[ReportedRun]) -> list[_Track]:
    """A track a search; those that share sampler and seed are told apart by their names."""
    found = [
        (run, run.config, *track)
        for run in runs
        if isinstance(run.config, SearchConfig) and (track := _points(run)) is not None
    ]
    twins = Counter((config.sampler, config.seed) for _, config, _, _ in found)
    names = Counter(run.name for run, _, _, _ in found)
    tracks = []
    for run, config, points, seconds in found:
        sampler, seed = config.sampler, config.seed
        name = run.name if names[run.name] == 1 else str(run.directory)
        label = sampler if twins[sampler, seed] == 1 else f"{sampler}, {name}"
        tracks.append(
            _Track(label=label, sampler=sampler, seed=seed, points=points, seconds=seconds)
        )
    return tracks


def _points(run: ReportedRun) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    points, spent, seconds = [], [], 0.0
    for record, more in zip(run.records, seconds_spent(run.records), strict=True):
        if record.stage in (Stage("rung", "trained"), SEARCHED):
            seconds += more
        if record.stage == SEARCHED:
            values = [record.score(run.summary.criterion)]
            values += [getattr(record, cost) for cost in run.summary.costs]
            known = [float(value) for value in values if value is not None]
            points.append(known if len(known) == len(values) else [math.nan] * len(values))
            spent.append(seconds)
    if np.isnan(points).all():
        return None
    return np.array(points), np.array(spent)


def _curves(
    tracks: Sequence[tuple[_Track, NDArray[np.float64], NDArray[np.float64]]], confidence: float
) -> tuple[HistoryCurve, ...]:
    groups: dict[str, list[tuple[_Track, NDArray[np.float64], NDArray[np.float64]]]] = {}
    for item in tracks:
        groups.setdefault(item[0].label, []).append(item)
    curves = []
    for label, runs in groups.items():
        start = max(float(x[0]) for _, x, _ in runs)
        end = min(float(x[-1]) for _, x, _ in runs)
        known = np.unique(np.concatenate([x for _, x, _ in runs]))
        known = known[(known >= start) & (known <= end)]
        if not len(known):
            known = np.array([start])
        if len(known) > MOST_POINTS:
            known = known[np.unique(np.linspace(0, len(known) - 1, MOST_POINTS).astype(int))]
        # A curve keeps its level until its next trial ends.
        levels = np.stack(
            [area[np.searchsorted(x, known, side="right") - 1] for _, x, area in runs]
        )
        intervals = [mean_interval(column, confidence) for column in levels.T.tolist()]
        curves.append(
            HistoryCurve(
                label=label,
                x=tuple(known.tolist()),
                mean=tuple(i.mean for i in intervals),
                low=tuple(i.low for i in intervals),
                high=tuple(i.high for i in intervals),
                seeds=tuple(sorted(track.seed for track, _, _ in runs)),
            )
        )
    return tuple(curves)


def _findings(
    found: Sequence[tuple[_Track, NDArray[np.float64]]], confidence: float, unit: str
) -> list[Finding]:
    baseline = [(track, area) for track, area in found if track.sampler == BASELINE]
    if not baseline:
        return [
            Finding(
                name="no_baseline",
                text="no random search of the same space, data and recipe is among the runs, so"
                " nothing is said of what the sampler is worth",
                hint="random_search",
            )
        ]
    findings = []
    for label in dict.fromkeys(t.label for t, _ in found if t.sampler != BASELINE):
        mine = {track.seed: area for track, area in found if track.label == label}
        theirs = {
            seed: [area for track, area in baseline if track.seed == seed]
            for seed in mine
            if any(track.seed == seed for track, _ in baseline)
        }
        findings.append(_beside_baseline(label, mine, theirs, confidence, unit))
    return findings


def _beside_baseline(
    label: str,
    mine: Mapping[int, NDArray[np.float64]],
    theirs: Mapping[int, Sequence[NDArray[np.float64]]],
    confidence: float,
    unit: str,
) -> Finding:
    """One sampler beside random search, by seeds that both have."""
    if not theirs:
        return Finding(
            name="not_compared",
            text=f"{label} and random search have no seed in common: not compared",
            facts={"label": label},
        )
    lengths = [len(area) for seed in theirs for area in (mine[seed], *theirs[seed])]
    last = min(lengths) - 1
    difference = paired_difference(
        {seed: float(mine[seed][last]) for seed in theirs},
        {seed: fmean(float(area[last]) for area in areas) for seed, areas in theirs.items()},
        confidence,
    )
    return Finding(
        name="beside_baseline",
        text=f"{label} less random search after {last + 1} evaluations, paired by seed, {unit}:"
        f" {difference.describe(scale=1)}"
        + ("" if difference.interval.known else "; one seed decides nothing"),
        facts={"label": label, "num_evaluations": last + 1, "difference": difference},
    )
