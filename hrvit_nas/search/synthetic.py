"""A synthetic objective of the architecture, for trying what runs trials without training any.

The mIoU of an architecture after `s` steps with a seed is `learnt * quality + noise`:

- `quality` rises with the logarithm of its multiply-adds and levels off (0.47 at 1e7, 0.74 at
  1e10), with ripples in parameters and in activations per multiply-add, which samplers can learn,
  and a little that hangs on its id alone, which nobody can;
- `learnt`, `s / (s + h)`, is half after `h` steps: 40 at 1e7 multiply-adds, and more for larger
  ones, by their power of 0.15, so that scores cross on the way and a rung can err;
- `noise` is normal, drawn by architecture, seed and step.

Everything is drawn by hashes, so that a trial scores the same whenever and wherever it is run: a
trial that goes on from a rung, or is run again after an interruption, scores as if nothing had
been. The scores mean nothing. No torch, so that a worker is up soon.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from ..cost import Cost, estimate_cost
from ..data.config import DataConfig
from ..results import HistoryPoint, Trial, TrialResult
from .layout import RunLayout

if TYPE_CHECKING:
    from .opened import Run

DIGITS = 9
"""That scores are rounded to, lest another machine's last bit differ."""
_LEAST_MIOU = 1e-3
"""Behind the highest cross entropy."""


def quality(cost: Cost, seed: int) -> float:
    """The mIoU that an architecture comes to when it is trained for ever, without noise.

    Args:
        cost: What it costs.
        seed: Of the objective.
    """
    macs = math.log10(max(cost.macs, 1))
    params = math.log10(max(cost.params, 1)) - macs
    activations = math.log10(max(cost.peak_activation_bytes, 1)) - macs
    level = 0.85 * (1 - math.exp((5 - macs) / 2.5))
    ripples = 0.015 * math.sin(math.tau * (params + _uniform(seed, "parameters")))
    ripples += 0.01 * math.sin(math.tau * (activations + _uniform(seed, "activations")))
    return level + ripples + 0.005 * _normal(seed, cost.spec.id)


def miou_after(cost: Cost, steps: int, seed: int, objective: DataConfig) -> float:
    """The mIoU (fraction) of an architecture.

    Args:
        cost: What it costs.
        steps: Optimiser steps that it would have been trained for.
        seed: That it would have been trained with.
        objective: Its seed and its noise.
    """
    half = 40 * math.pow(max(cost.macs, 1) / 1e7, 0.15)
    learnt = steps / (steps + half)
    noise = objective.noise * _normal(objective.seed, cost.spec.id, seed, steps)
    score = learnt * quality(cost, objective.seed) + noise
    return round(min(max(score, 0.0), 1.0), DIGITS)


def fails(arch_id: str, seed: int, objective: DataConfig) -> bool:
    """Whether the trials of an architecture with a seed fail."""
    return _uniform(objective.seed, "failure", arch_id, seed) < objective.failure_rate


class ObjectiveWorker:
    """Scores trials of a run by the synthetic objective.

    Args:
        shared: What `shared_by_scores` makes.

    Raises:
        OSError: The run directory is not there.
    """

    def __init__(self, shared: Mapping[str, Any]) -> None:
        RunLayout(Path(shared["directory"])).check_there()
        self._objective = DataConfig.model_validate(shared["data"])
        self._image_size: tuple[int, int] = tuple(shared["image_size"])
        self._num_classes: int = shared["num_classes"]
        self._checks: Mapping[int, tuple[int, ...]] = shared["checks"]
        self._averages: bool = shared["averages"]
        self._with_latency: bool = shared["with_latency"]

    def run(self, trial: Trial) -> TrialResult:
        """Takes its time, then scores a trial, or fails it."""
        begun = time.perf_counter()
        objective = self._objective
        cost = estimate_cost(trial.arch, self._image_size, num_classes=self._num_classes)
        time.sleep(objective.delay_s)
        seconds = time.perf_counter() - begun
        if fails(trial.arch.id, trial.seed, objective):
            return TrialResult.failed(
                f"the synthetic objective fails this architecture with seed {trial.seed}: its"
                f" failure rate is {objective.failure_rate:g}",
                seconds,
            )
        history = tuple(
            self._point(miou_after(cost, step, trial.seed, objective), step, trial, seconds)
            for step in self._checks[trial.budget]
        )
        last = history[-1]
        return TrialResult(
            state="complete",
            miou=last.miou if last.averaged_miou is None else last.averaged_miou,
            latency_ms=_latency_ms(cost) if self._with_latency else None,
            seconds=seconds,
            steps=trial.budget,
            history=history,
        )

    def _point(self, miou: float, step: int, trial: Trial, seconds: float) -> HistoryPoint:
        """The scores after some steps, all of them functions of one."""
        return HistoryPoint(
            step=step,
            miou=miou,
            averaged_miou=miou if self._averages else None,
            fw_iou=round(math.sqrt(miou), DIGITS),
            boundary_miou=round(0.7 * miou, DIGITS),
            cross_entropy=round(-math.log(max(miou, _LEAST_MIOU)), DIGITS),
            seconds=seconds * step / trial.budget,
        )


def shared_by_scores(run: Run[Any]) -> dict[str, Any]:
    """What all trials of a run by the synthetic objective share, as plain data."""
    config = run.config
    return {
        "directory": str(run.directory.resolve()),
        "data": config.data.model_dump(mode="json"),
        "image_size": list(config.image_size),
        "num_classes": run.data.num_classes,
        "checks": {recipe.trained_steps: recipe.evaluation_steps for recipe in config.recipes},
        "averages": config.recipe.weight_averaging,
        "with_latency": config.with_latency,
    }


def _latency_ms(cost: Cost) -> float:
    """A latency by multiply-adds and activations."""
    return round(1 + cost.macs / 2e8 + cost.peak_activation_bytes / 2e7, DIGITS)


def _uniform(*facts: object) -> float:
    """A number between 0 and 1, neither included, that hangs on some facts alone."""
    digest = hashlib.sha256(repr(facts).encode()).digest()
    return ((int.from_bytes(digest[:8], "big") >> 12) + 0.5) / 2**52


def _normal(*facts: object) -> float:
    """A normal number, of mean 0 and deviation 1, that hangs on some facts alone."""
    return NormalDist().inv_cdf(_uniform(*facts))
