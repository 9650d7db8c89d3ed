"""How a trial is scored: trained alone, or with the weights of a supernet."""

from __future__ import annotations

import logging
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..arch import ArchSpec, parse_arch
from ..data import SegmentationData
from ..evaluation import compare_latencies, measure_latency
from ..models import Segmentor, build_segmentor, tie_initialisation
from ..results import HistoryPoint, Trial, TrialResult
from ..training import (
    Check,
    CheckpointError,
    Recipe,
    SubnetScorer,
    TrainingFailedError,
    TrainResult,
    save_trained,
    train,
)
from .layout import RunLayout

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrialContext:
    """What every trial of a run shares.

    Attributes:
        layout: Of the run directory; on a cluster, on storage that all nodes see.
        recipes: How to train, each to a budget of its own.
        image_size: Height and width that latency is measured at.
        with_latency: Whether to measure it.
        device: `cpu` or `cuda`.
    """

    layout: RunLayout
    recipes: tuple[Recipe, ...]
    image_size: tuple[int, int]
    with_latency: bool
    device: str

    def recipe(self, budget: int) -> Recipe:
        """The recipe that trains for so many steps."""
        return next(recipe for recipe in self.recipes if recipe.trained_steps == budget)


def score_with_supernet(
    scorer: SubnetScorer, steps: int, trial: Trial, context: TrialContext
) -> TrialResult:
    """Scores one architecture with inherited weights.

    Args:
        scorer: Of a supernet on the context's device.
        steps: Optimiser steps that the supernet was trained for.
        trial: Which architecture.
        context: Whether a latency is wanted.
    """
    started = time.perf_counter()
    assert isinstance(trial.arch, ArchSpec)
    scores = scorer.score(trial.arch)
    latency = None
    if context.with_latency:
        latency = measure_latency(
            scorer.subnet(trial.arch), context.image_size, device=context.device
        ).median_ms
    seconds = time.perf_counter() - started
    check = Check(step=steps, evaluation=scores.after, averaged=None, seconds=seconds)
    return TrialResult(
        state="complete",
        miou=scores.after.miou,
        uncalibrated_miou=scores.before.miou,
        latency_ms=latency,
        seconds=seconds,
        steps=steps,
        history=(_history(check),),
    )


def train_alone(trial: Trial, data: SegmentationData, context: TrialContext) -> TrialResult:
    """Trains and scores one architecture; picks up where an interrupted sitting left off.

    An architecture that does not train, or does not fit, comes back as a failed result, so that
    it does not end a search. Data and disk are nobody's architecture: their errors are raised.
    The state of the training stays on disk until the caller has recorded the result: a result
    that never arrives is then not trained anew.
    """
    started = time.perf_counter()
    unfinished = context.layout.training_of(trial)
    paused = context.layout.paused(trial)
    if paused is not None and paused.exists() and not unfinished.exists():
        os.replace(paused, unfinished)
    try:
        try:
            model, result = _trained(trial, data, context, unfinished)
        except CheckpointError as error:
            # A damaged file, or one of other data: worth no more than a start from the beginning.
            _log.warning("%s: its training begins anew", error)
            unfinished.unlink()
            model, result = _trained(trial, data, context, unfinished)
        latency = None
        if context.with_latency:
            latency = measure_latency(model, context.image_size, device=context.device).median_ms
        if trial.purpose != "rung":
            save_trained(context.layout.weights_of(trial), model, data.class_names, trial.seed)
    except (TrainingFailedError, torch.OutOfMemoryError, MemoryError) as error:
        seconds = time.perf_counter() - started
        return TrialResult.failed(f"{type(error).__name__}: {error}"[:500], seconds)
    return TrialResult(
        state="complete",
        miou=result.evaluation.miou,
        latency_ms=latency,
        seconds=result.seconds,
        steps=result.steps,
        history=tuple(_history(check) for check in result.checks),
    )


def time_architectures(shared: dict[str, Any]) -> dict[str, list[float]]:
    """Times architectures by turns in one process; latency does not hang on what was learnt.

    Args:
        shared: `arches` (canonical JSON), `num_classes`, `image_size`, `threads`, `gpus`.

    Returns:
        Milliseconds by architecture and round.
    """
    torch.set_num_threads(shared["threads"])
    device = "cuda" if shared["gpus"] else "cpu"
    specs = [parse_arch(text) for text in shared["arches"]]
    models = [build_segmentor(spec, shared["num_classes"]).to(device) for spec in specs]
    times = compare_latencies(models, tuple(shared["image_size"]), device=device)
    return {spec.id: row for spec, row in zip(specs, times, strict=True)}


def _history(check: Check) -> HistoryPoint:
    scores, averaged = check.evaluation, check.averaged
    return HistoryPoint(
        step=check.step,
        miou=scores.miou,
        averaged_miou=None if averaged is None else averaged.miou,
        fw_iou=scores.frequency_weighted_iou,
        boundary_miou=_finite(scores.boundary_miou),
        cross_entropy=_finite(scores.cross_entropy),
        seconds=check.seconds,
    )


def _finite(score: float) -> float | None:
    return score if math.isfinite(score) else None


def _trained(
    trial: Trial, data: SegmentationData, context: TrialContext, checkpoint: Path
) -> tuple[Segmentor, TrainResult]:
    torch.manual_seed(trial.seed)
    recipe = context.recipe(trial.budget)
    model = build_segmentor(trial.arch, data.num_classes, drop_path_rate=recipe.drop_path_rate)
    if recipe.tied_initialisation:
        tie_initialisation(model, trial.seed)
    result = train(
        model, data, recipe, seed=trial.seed, device=context.device, checkpoint=checkpoint
    )
    return model, result
