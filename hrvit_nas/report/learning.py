"""Learning curves of a run: chosen architectures beside the middle of all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .run import ReportedRun

MOST_CURVES = 24
"""Lines that a figure has room for."""
LOW, HIGH = 0.1, 0.9


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """One trial.

    Attributes:
        name: Label or id of the architecture.
        seed: Its seed.
        reference: Whether it is a reference, or the base of an ablation.
        steps: Optimiser steps at each evaluation.
        miou: mIoU (%) there.
    """

    name: str
    seed: int
    reference: bool
    steps: tuple[int, ...]
    miou: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class LearningData:
    """Everything that the figure shows.

    Attributes:
        curves: Of chosen architectures.
        steps: Steps at which the band is known; empty without one.
        low: Its lower edge: a tenth of all trials is below (mIoU, %).
        high: Its upper edge.
        caption: What is shown, numbers of trials and seeds.
    """

    curves: tuple[LearningCurve, ...]
    steps: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    caption: str


def learning_data(run: ReportedRun, chosen: Iterable[str]) -> LearningData | None:
    """Learning curves, or None where trials were evaluated once only.

    Args:
        run: The run.
        chosen: Ids of the architectures that get a line, the most important first.
    """
    trained = [r for r in run.records if r.evaluator == "trained" and len(r.history) > 1]
    if not trained:
        return None
    by_step: dict[int, list[float]] = {}
    for record in trained:
        for point in record.history:
            by_step.setdefault(point.step, []).append(100 * point.miou)
    steps = [s for s, values in sorted(by_step.items()) if 2 * len(values) >= len(trained)]
    edges = np.array([np.quantile(by_step[step], [LOW, HIGH]) for step in steps]).reshape(-1, 2)
    places = {arch_id: place for place, arch_id in enumerate(chosen)}
    mine = sorted(
        (record for record in trained if record.arch_id in places),
        key=lambda record: (places[record.arch_id], record.seed),
    )
    references = {row.arch_id for row in run.summary.references}
    seeds = sorted({record.seed for record in trained})
    left_out = "" if len(mine) <= MOST_CURVES else f" (of {len(mine)}; the first are shown)"
    return LearningData(
        curves=tuple(
            LearningCurve(
                name=record.label or record.arch_id,
                seed=record.seed,
                reference=record.arch_id in references,
                steps=tuple(point.step for point in record.history),
                miou=tuple(100 * point.miou for point in record.history),
            )
            for record in mine[:MOST_CURVES]
        ),
        steps=tuple(steps),
        low=tuple(edges[:, 0].tolist()),
        high=tuple(edges[:, 1].tolist()),
        caption=f"{run.dataset}, n = {len(trained):,} trial{'' if len(trained) == 1 else 's'},"
        f" seeds {', '.join(map(str, seeds))};"
        f" grey: the middle 80% of all; a line a seed{left_out}: blue of "
        + (
            "the arms"
            if run.config.kind == "ablation"
            else "frontier architectures, vermilion of references"
        ),
    )
