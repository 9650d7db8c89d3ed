"""The training loop.

Random numbers: the batches are a function of (seed, sample number), and dropout and
stochastic depth are seeded anew from (seed, step) at every step, inside a forked generator.
A run therefore neither reads nor disturbs torch's global state, and one that resumes sees
what it would have seen. On a CPU the same seed gives the same bits (with the same number of
threads); some GPU kernels add in an order that varies.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..data import SegmentationData, Selection, class_shares, train_batches, val_batches
from ..evaluation import Evaluation, evaluate, mixed_precision
from ..evaluation.inference import check_logits
from ..models import recalibrate
from .checkpoint import Check, Progress, load_checkpoint, save_checkpoint
from .optimizer import build_optimizer, clip_gradients, set_learning_rate
from .recipe import Recipe

LOSS_CHECK_STEPS = 16
"""Steps between two readings of the losses; each reading makes the CPU wait for a GPU."""


class TrainingFailedError(RuntimeError):
    """The loss or the gradient became infinite or not a number.

    Attributes:
        step: The step (from 0) at which it did.
        loss: The loss of that step.
        gradient_norm: Norm of all gradients of that step, before clipping.
    """

    def __init__(self, step: int, loss: float, gradient_norm: float) -> None:
        super().__init__(step, loss, gradient_norm)
        self.step = step
        self.loss = loss
        self.gradient_norm = gradient_norm

    def __str__(self) -> str:
        return (
            f"training failed at step {self.step}: loss {self.loss},"
            f" gradient norm {self.gradient_norm}; both must be finite"
        )


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What came of a training run.

    Attributes:
        losses: Training loss of every step, in order.
        checks: Scores on the validation set, in order; never empty.
    """

    losses: tuple[float, ...]
    checks: tuple[Check, ...]

    @property
    def evaluation(self) -> Evaluation:
        """The scores after the last step, of the averaged weights where there are such."""
        last = self.checks[-1]
        return last.averaged or last.evaluation

    @property
    def seconds(self) -> float:
        """Wall-clock time of training and evaluation, over all sittings."""
        return self.checks[-1].seconds

    @property
    def steps(self) -> int:
        """Steps done."""
        return len(self.losses)


def segmentation_loss(
    logits: Tensor, labels: Tensor, ignore_index: int, class_weights: Tensor | None = None
) -> Tensor:
    """Mean cross entropy over the labelled pixels of a batch; 0 if there is none.

    Args:
        logits: (B, num_classes, H, W).
        labels: (B, H, W) int64.
        ignore_index: The label left out.
        class_weights: (num_classes,) weight of each class's pixels in the mean; None = alike.
    """
    total = nn.functional.cross_entropy(
        logits.float(), labels, class_weights, ignore_index=ignore_index, reduction="sum"
    )
    counted = labels != ignore_index
    if class_weights is None:
        return total / counted.sum().clamp(min=1)
    weight = class_weights[labels[counted]].sum()
    return total / torch.where(weight > 0, weight, 1)


def class_weights(data: SegmentationData, power: float) -> Tensor:
    """Inverse class frequency to a power, of mean 1 over the pixels: (num_classes,) float32.

    A class that the training set (or what is counted of it) never shows weighs 0.
    """
    share = torch.from_numpy(class_shares(data.train, data.num_classes)).float()
    weights = torch.where(share > 0, share, torch.inf) ** -power
    return weights / (weights * share).sum()


def train(
    model: nn.Module,
    data: SegmentationData,
    recipe: Recipe,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 30.0,
    on_check: Callable[[Check], None] | None = None,
) -> TrainResult:
    """Trains a segmentor in place and scores it on the validation set.

    The model is moved to `device` and left there, in training mode, with the averaged weights
    where the recipe averages. How it is initialised (and with which seed) is the caller's affair.

    Args:
        model: Maps (B, 3, H, W) to logits (B, num_classes, H, W).
        data: Training and validation split.
        recipe: How to train.
        seed: Of the batches, their augmentation, dropout and stochastic depth.
        device: Where to run; on a GPU in bfloat16 autocast.
        checkpoint: File to resume from where it exists, and to write to: every
            `checkpoint_seconds`, at each evaluation, and so after the last step.
        checkpoint_seconds: Seconds between two checkpoints.
        on_check: Called after each evaluation made in this sitting. It may raise to stop the
            run, whose checkpoint is then already written.

    Raises:
        TrainingFailedError: Loss or gradient became non-finite.
        CheckpointError: The checkpoint is corrupt or of another run.
        ValueError: Model, data and recipe do not fit each other.
    """
    begun = time.perf_counter()
    device = torch.device(device)
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.train()
    optimizer = build_optimizer(model, recipe)
    run = run_identity(data, recipe, seed)
    average = _average(model, recipe) if recipe.weight_averaging else None
    weights = class_weights(data, recipe.class_weighting) if recipe.class_weighting else None
    weights = weights if weights is None else weights.to(device)
    recalibration = recalibration_batches(data, recipe, recipe.recalibration_batches, device)

    def scored(network: nn.Module) -> Evaluation:
        if recalibration:
            with mixed_precision(device):
                recalibrate(network, recalibration)
        return evaluate_on_val(network, data, recipe, device)

    progress = Progress()
    if checkpoint is not None and checkpoint.exists():
        progress = load_checkpoint(checkpoint, model, optimizer, run, average)
    started = begun - progress.seconds
    saved = time.perf_counter()
    evaluation_steps = set(recipe.evaluation_steps)
    unread: list[Tensor] = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        batches = train_batches(
            data.train,
            batch_size=recipe.batch_size,
            num_steps=recipe.trained_steps,
            start_step=progress.step,
            seed=seed,
            augment=recipe.augment,
            num_workers=recipe.num_workers,
        )
        for step, (images, labels) in enumerate(batches, start=progress.step):
            seed_generators(seed, step, device)
            set_learning_rate(optimizer, step, recipe)
            images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
            labels = labels.to(device, non_blocking=True)
            with mixed_precision(device):
                logits = model(images)
            check_logits(logits, labels, data.num_classes)
            loss = segmentation_loss(logits, labels, data.ignore_index, weights)
            optimizer.zero_grad()
            loss.backward()
            norm = clip_gradients(model.parameters(), recipe.clip_norm)
            optimizer.step()
            if average is not None:
                average.update_parameters(model)

            unread.append(torch.stack([loss.detach(), norm]))
            done = step + 1
            scores = done in evaluation_steps
            saves = scores or time.perf_counter() - saved >= checkpoint_seconds
            if saves or len(unread) == LOSS_CHECK_STEPS:
                # Before anything is scored or saved, so that no checkpoint holds a nan.
                progress.losses += _read_losses(unread, progress.step)
                unread.clear()
            if scores:
                check = Check(
                    step=done,
                    evaluation=scored(model),
                    averaged=average and scored(average.module),
                    seconds=time.perf_counter() - started,
                )
                progress.checks.append(check)
            if saves:
                progress.seconds = time.perf_counter() - started
                saved = time.perf_counter()
                if checkpoint is not None:
                    save_checkpoint(checkpoint, model, optimizer, progress, run, average)
            if scores and on_check is not None:
                on_check(check)
    if average is not None:
        model.load_state_dict(average.module.state_dict())
    return TrainResult(losses=tuple(progress.losses), checks=tuple(progress.checks))


def _average(model: nn.Module, recipe: Recipe) -> AveragedModel:
    """A moving average of weights and buffers; over the first steps it is nearly a plain mean."""
    decay = recipe.weight_averaging

    @torch.no_grad()
    def blend(averaged: Any, current: Any, count: Any) -> None:  # tensors of one type at a time
        if averaged[0].is_floating_point():
            share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
            torch._foreach_lerp_(averaged, current, share)
        else:  # how many batches a norm has seen
            torch._foreach_copy_(averaged, current)

    return AveragedModel(model, multi_avg_fn=blend, use_buffers=True)


def run_identity(data: SegmentationData, recipe: Recipe, seed: int) -> dict[str, Any]:
    """What a run must share with a checkpoint to go on from it: all that its result depends on."""
    fields = recipe.model_dump(mode="json", exclude={"criterion", "num_workers"})
    return {
        "seed": seed,
        "data": f"{data.name}, {len(data.train)} training images, {data.num_classes} classes",
        **{f"recipe.{name}": value for name, value in fields.items()},
    }


def seed_generators(seed: int, step: int, device: torch.device, *more: int) -> None:
    """Seeds what dropout and stochastic depth draw from, by a hash of (seed, step, more)."""
    mixed = mixed_seed(seed, step, *more)
    # Not torch.manual_seed, which would seed every GPU, also those that are not forked.
    torch.default_generator.manual_seed(mixed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(mixed)


def mixed_seed(*numbers: int) -> int:
    """A seed of 56 bits from several numbers, by a hash."""
    text = ":".join(map(str, numbers))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


def _read_losses(unread: list[Tensor], first_step: int) -> list[float]:
    """Brings (loss, gradient norm) of the last steps to the CPU; all of them must be finite."""
    rows: list[list[float]] = torch.stack(unread).tolist()
    for step, (loss, norm) in enumerate(rows, start=first_step):
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingFailedError(step, loss, norm)
    return [loss for loss, _ in rows]


def recalibration_batches(
    data: SegmentationData, recipe: Recipe, count: int, device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """The fixed batches that batch statistics are estimated from: whole training images."""
    if not count:
        return []
    chosen = Selection(split=data.train, count=count * recipe.eval_batch_size)
    return [
        (images.to(device), labels)
        for images, labels in val_batches(chosen, batch_size=recipe.eval_batch_size)
    ]


def evaluate_on_val(
    model: nn.Module, data: SegmentationData, recipe: Recipe, device: torch.device
) -> Evaluation:
    """Scores a model on the validation set, as the recipe says."""
    return evaluate(
        model,
        val_batches(data.val, batch_size=recipe.eval_batch_size, num_workers=recipe.num_workers),
        num_classes=data.num_classes,
        ignore_index=data.ignore_index,
        device=device,
        window=recipe.eval_window,
        stride=recipe.eval_stride,
    )
