"""The training loop, for every kind of step, on one process or several.

Random numbers: the batches are a function of (seed, sample number), and dropout and
stochastic depth are seeded anew from (seed, step) at every step, inside a forked generator.
A run therefore neither reads nor disturbs torch's global state, and one that resumes sees
what it would have seen. On a CPU the same seed gives the same bits (with the same number of
threads); some GPU kernels add in an order that varies.

Processes: each passes its part of every batch, and gradients are averaged. BatchNorm normalises
by the part that its process has; running statistics are averaged after each step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from .._messages import one_line
from ..data import TrainBatches
from .checkpoint import (
    CheckpointError,
    TrainingData,
    read_checkpoint,
    run_identity,
    write_checkpoint,
)
from .optimizer import build_optimizer, clip_gradients, set_learning_rate
from .processes import Processes
from .progress import CheckT, LossT, Progress, TrainingFailedError
from .recipe import Recipe
from .seeds import seed_generators
from .step import Checker, Guard, Step


@dataclass(frozen=True, kw_only=True)
class Job(Generic[LossT, CheckT]):
    """What a training is of, whatever its kind.

    Attributes:
        data: What is trained on.
        batches: Makes the batches of it, each a function of the seed and its number.
        recipe: How to train.
        seed: Of the batches, their augmentation, dropout and stochastic depth.
        device: Where to run; on a GPU in bfloat16 autocast.
        checkpoint: File to resume from where it exists, and to write to: every
            `checkpoint_seconds`, at each check, and so after the last step.
        checkpoint_seconds: Seconds between two checkpoints.
        on_step: Called in the first process after each step whose losses have been read, once its
            checkpoint, where one is due, is written.
    """

    data: TrainingData
    batches: TrainBatches
    recipe: Recipe
    seed: int
    device: torch.device
    checkpoint: Path | None
    checkpoint_seconds: float
    on_step: Callable[[Progress[LossT, CheckT]], None] | None


class Training(Generic[LossT, CheckT]):
    """One sitting of a training.

    Args:
        step: What a step does, and what is trained.
        job: Of what.
        processes: Who trains it.
        checker: Scores it.
        average: Moving average of its weights.
        guard: Takes it back when it collapses; None = it fails where a loss is not finite.

    Raises:
        ValueError: Model, data and recipe do not fit each other, or the processes the batch.
    """

    def __init__(
        self,
        step: Step[LossT, CheckT],
        job: Job[LossT, CheckT],
        processes: Processes,
        checker: Checker[CheckT],
        *,
        average: AveragedModel | None = None,
        guard: Guard[LossT, CheckT] | None = None,
    ) -> None:
        processes.check_share(job.recipe.batch_size)
        self._step, self._job, self._processes = step, job, processes
        self._checker, self._average, self._guard = checker, average, guard
        self._model = step.model
        self._parameters = list(self._model.parameters())
        self._statistics = [b for b in self._model.buffers() if b.is_floating_point()]
        self._optimizer = build_optimizer(self._model, job.recipe)
        self._about = {**run_identity(job.data, job.recipe, job.seed), **step.about}
        self._check_steps = set(job.recipe.evaluation_steps)
        self._progress: Progress[LossT, CheckT] = Progress()
        self._unread: list[Tensor] = []
        self._started = self._saved = time.perf_counter()

    def run(self) -> Progress[LossT, CheckT]:
        """Trains to the last step.

        Raises:
            TrainingFailedError: Loss or gradient became non-finite, or training collapsed more
                often than it may return.
            CheckpointError: The checkpoint is corrupt or of another run.
            ValueError: Logits and labels do not fit each other.
        """
        if self._job.checkpoint is not None and self._job.checkpoint.exists():
            self._resume(self._job.checkpoint)
        elif self._guard is not None:
            self._guard.start(self._state())
        self._started -= self._progress.seconds
        device = self._job.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            while self._progress.step < self._job.recipe.trained_steps:
                self._attempt(len(self._progress.returns))
        return self._progress

    def _attempt(self, attempt: int) -> None:
        """Trains to the last step, or until training is taken back."""
        for images, labels in self._batches(attempt):
            step = self._progress.step + len(self._unread)
            self._unread.append(self._update(images, labels, step, attempt))
            scores = step + 1 in self._check_steps
            saves = self._processes.is_first and (scores or self._save_is_due())
            if not (scores or saves or len(self._unread) == self._step.read_every):
                continue
            # Before anything is scored or saved, so that no checkpoint holds a nan.
            self._read_losses()
            if self._takes_back():
                return
            if scores:
                self._check()
                if self._takes_back():
                    return
            if self._guard is not None:
                self._guard.keep(self._progress.step, self._state)
            if saves:
                self._save()
            if self._job.on_step is not None and self._processes.is_first:
                self._job.on_step(self._progress)

    def _batches(self, attempt: int) -> Iterator[tuple[Tensor, Tensor]]:
        recipe, processes = self._job.recipe, self._processes
        return self._job.batches(
            batch_size=recipe.batch_size,
            num_steps=recipe.trained_steps,
            start_step=self._progress.step,
            seed=self._step.batch_seed(self._job.seed, attempt),
            num_workers=recipe.num_workers,
            part=(processes.rank, processes.count),
        )

    def _update(self, images: Tensor, labels: Tensor, step: int, attempt: int) -> Tensor:
        """Makes one step; returns its losses and the norm of its gradient, on the device."""
        device, recipe = self._job.device, self._job.recipe
        noise = self._step.noise(attempt, self._processes.rank)
        seed_generators(self._job.seed, step, device, *noise)
        rate = 1.0 if self._guard is None else self._guard.rate(attempt)
        set_learning_rate(self._optimizer, step, recipe, rate)
        images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
        labels = labels.to(device, non_blocking=True)
        self._optimizer.zero_grad()
        losses, apart = self._step.backward(images, labels, step, attempt)
        gradients = [*(parameter.grad for parameter in self._parameters), *apart]
        present = [gradient for gradient in gradients if gradient is not None]
        self._processes.average([losses, *self._statistics, *present])
        self._step.combine(apart)
        norm = clip_gradients(self._parameters, recipe.clip_norm)
        self._optimizer.step()
        if self._average is not None:
            self._average.update_parameters(self._model)
        return torch.cat([losses, norm[None]])

    def _read_losses(self) -> None:
        """Brings losses and gradient norms to the CPU; without a guard all must be finite."""
        rows: list[list[float]] = torch.stack(self._unread).tolist()
        self._unread.clear()
        for row in rows:
            *losses, norm = row
            if not all(map(math.isfinite, row)):
                if self._guard is None:
                    raise TrainingFailedError(self._progress.step, losses[0], norm)
                losses = [math.nan] * len(losses)
            self._progress.losses.append(self._step.loss(losses))
        self._progress.seconds = self._seconds()

    def _check(self) -> None:
        """Scores; every process learns of it, since it may show a collapse."""
        step, device = self._progress.step, self._job.device
        check = self._processes.from_first(lambda: self._checker.check(step, self._seconds), device)
        # Recalibration put statistics into the first process's networks.
        self._processes.copy_from_first(self._model.buffers())
        if self._average is not None:
            self._processes.copy_from_first(self._average.module.buffers())
        self._progress.checks.append(check)
        self._progress.seconds = self._seconds()

    def _seconds(self) -> float:
        return time.perf_counter() - self._started

    def _takes_back(self) -> bool:
        """Puts the last good state back if training has collapsed; returns whether it has."""
        if self._guard is None or not self._guard.has_collapsed(self._progress):
            return False
        self._restore(self._guard.take_back(self._progress))
        return True

    # Checkpoints

    def _state(self) -> dict[str, Any]:
        """Views of what changes from step to step."""
        average = {} if self._average is None else {"average": self._average.state_dict()}
        return {
            **average,
            "model": {name: tensor.cpu() for name, tensor in self._model.state_dict().items()},
            "optimizer": self._optimizer.state_dict(),
            "progress": self._progress.to_plain(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self._progress = self._step.progress(state["progress"])

    def _save_is_due(self) -> bool:
        return time.perf_counter() - self._saved >= self._job.checkpoint_seconds

    def _save(self) -> None:
        self._saved = time.perf_counter()
        if self._job.checkpoint is None:
            return
        state = {"run": self._about, **self._state()}
        if self._guard is not None:
            state["guard"] = self._guard.state_dict()
        write_checkpoint(self._job.checkpoint, self._step.kind, state)

    def _resume(self, path: Path) -> None:
        state = read_checkpoint(path, self._step.kind, self._about)
        try:
            self._restore(state)
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"checkpoint {path} is of another network: {one_line(str(error), 200)}"
            ) from error
        if self._progress.step > self._job.recipe.trained_steps:
            raise CheckpointError(
                f"checkpoint {path} has done {self._progress.step} steps, and"
                f" {self._job.recipe.trained_steps} are asked for"
            )
        if self._guard is None:
            return
        if "guard" in state:
            self._guard.load_state_dict(state["guard"])
        else:  # of a version that did not keep it
            self._guard.start(self._state())
