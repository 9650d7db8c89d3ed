"""Training of one network, which sees each batch once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..data import SegmentationData
from ..evaluation import Evaluation, mixed_precision
from ..evaluation.tally import check_logits
from ..models import AuxiliarySegmentor, Segmentor
from ..models.blocks import Blocks
from ..models.layers import TokenBatchNorm
from .batches import check_batches, check_maps
from .loop import Job, Training
from .losses import BatchLoss
from .processes import Processes
from .progress import Check, PlainProgress, plain_progress
from .recipe import Recipe
from .scoring import NetworkChecker
from .seeds import mixed_seed
from .step import Passed, Step

AUXILIARY_SEED = 3
"""Tells an auxiliary head's first weights from what else is drawn from a seed."""


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


def train(
    model: nn.Module,
    data: SegmentationData,
    recipe: Recipe,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 30.0,
    on_step: Callable[[PlainProgress], None] | None = None,
) -> TrainResult:
    """Trains a segmentor in place and scores it on the validation set.

    The model is moved to `device` and left there, in training mode, with the averaged weights
    where the recipe averages. How it is initialised (and with which seed) is the caller's affair.
    An auxiliary head, where the recipe has one, is made here from `seed` and gone in the end; the
    losses then are those of both heads.

    Where `torch.distributed` is initialised, all its processes must call this alike, with equal
    models: each takes its part of every batch, by whose statistics its batch norms normalise; the
    first one scores and writes the checkpoint, which all read.

    Args:
        model: Maps (B, 3, H, W) to logits (B, num_classes, H, W).
        data: Training and validation split.
        recipe: How to train.
        seed: Of the batches, their augmentation, dropout and stochastic depth.
        device: Where to run; on a GPU in bfloat16 autocast.
        checkpoint: File to resume from where it exists, and to write to: every
            `checkpoint_seconds`, at each evaluation, and so after the last step.
        checkpoint_seconds: Seconds between two checkpoints.
        on_step: Called in the first process after each step whose losses have been read: every
            16th, and each that is scored or saved. It may raise to stop the run, whose
            checkpoint, where one was due, is then already written.

    Raises:
        TrainingFailedError: Loss or gradient became non-finite.
        CheckpointError: The checkpoint is corrupt or of another run.
        ValueError: Model, data and recipe do not fit each other, or a process has fewer images of
            a batch than the model needs.
    """
    device, processes = torch.device(device), Processes()
    if isinstance(model, Segmentor):
        check_batches([model.spec.head_kind], recipe, len(data.train), processes.count)
        check_maps(recipe, data.train.load(0)[1].shape, len(data.train), processes.count)
    if recipe.auxiliary_weight:
        model = with_auxiliary_head(model, data.num_classes, seed)
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.train()
    set_techniques(model, recipe)
    average = moving_average(model, recipe.weight_averaging) if recipe.weight_averaging else None
    job = Job(
        data=data,
        recipe=recipe,
        seed=seed,
        device=device,
        checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds,
        on_step=on_step,
    )
    step = PlainStep(model, data, recipe, device, processes)
    checker = NetworkChecker(model, average, data, recipe, device)
    progress = Training(step, job, processes, checker, average=average).run()
    if average is not None:
        model.load_state_dict(average.module.state_dict())
    set_techniques(model, Recipe())
    return TrainResult(losses=tuple(progress.losses), checks=tuple(progress.checks))


class PlainStep(Step[float, Check]):
    """One network, by its loss on the batch.

    Args:
        model: The network, on `device`.
        data: What its labels mean.
        recipe: How classes and heads are weighed, in which precision and how many parts.
        device: Where to run.
        processes: Who shares a batch.
    """

    kind = "plain"
    read_every = 16

    def __init__(
        self,
        model: nn.Module,
        data: SegmentationData,
        recipe: Recipe,
        device: torch.device,
        processes: Processes,
    ) -> None:
        self.model, self.about = model, {}
        self._device, self._num_classes = device, data.num_classes
        self._loss = BatchLoss(data, recipe, device, processes)
        self._auxiliary_weight, self._precision = recipe.auxiliary_weight, recipe.precision
        self._parts = recipe.accumulation_steps

    def batch_seed(self, seed: int, attempt: int) -> int:  # noqa: ARG002
        """See `Step`."""
        return seed

    def noise(self, attempt: int, rank: int) -> tuple[int, ...]:  # noqa: ARG002
        """See `Step`; of one process none, as of every version."""
        return (rank,) if rank else ()

    def backward(
        self,
        images: Tensor,
        labels: Tensor,
        step: int,  # noqa: ARG002
        attempt: int,  # noqa: ARG002
    ) -> Passed:
        """See `Step`."""
        share = self._loss.share(labels)
        if self._parts == 1:
            return Passed(self._pass(images, labels, share)[None])
        amount = self._loss.amount(labels).clamp(min=1)
        losses = [
            self._pass(*part, share * (self._loss.amount(part[1]) / amount))
            for part in zip(
                images.tensor_split(self._parts), labels.tensor_split(self._parts), strict=True
            )
        ]
        return Passed(torch.stack(losses).sum()[None])

    def _pass(self, images: Tensor, labels: Tensor, share: Tensor | float) -> Tensor:
        """Passes images forward and backward; their loss, (), by their share of the batch's."""
        auxiliary: Tensor | None = None
        with mixed_precision(self._device, self._precision):
            if isinstance(self.model, AuxiliarySegmentor):
                logits, auxiliary = self.model.forward_both(images)
            else:
                logits = self.model(images)
        check_logits(logits, labels, self._num_classes)
        loss = self._loss(logits, labels)
        if auxiliary is not None:
            loss = loss + self._auxiliary_weight * self._loss(auxiliary, labels)
        loss = share * loss
        loss.backward()
        return loss.detach()

    def loss(self, row: Sequence[float]) -> float:
        """See `Step`."""
        (loss,) = row
        return loss

    def progress(self, plain: dict[str, Any]) -> PlainProgress:
        """See `Step`."""
        return plain_progress(plain)


def set_techniques(model: nn.Module, recipe: Recipe) -> None:
    """Tells a network's parts whether they keep what they compute, and what they normalise by."""
    for module in model.modules():
        if isinstance(module, TokenBatchNorm):
            module.synchronised = recipe.sync_batch_norm
        elif isinstance(module, Blocks):
            module.gradient_checkpointing = recipe.gradient_checkpointing


def with_auxiliary_head(model: nn.Module, num_classes: int, seed: int) -> AuxiliarySegmentor:
    """The network as it is trained with an auxiliary head, whose first weights the seed gives.

    Raises:
        ValueError: The model is no segmentor, or has no map for such a head to read.
    """
    if not isinstance(model, Segmentor):
        raise ValueError(
            "auxiliary_weight needs a segmentor of this package, whose maps a second head reads;"
            f" got {type(model).__name__}"
        )
    return AuxiliarySegmentor(model, num_classes, mixed_seed(seed, AUXILIARY_SEED))


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """A moving average of weights and buffers; over the first steps it is nearly a plain mean."""

    @torch.no_grad()
    def blend(averaged: Any, current: Any, count: Any) -> None:  # tensors of one type at a time
        if averaged[0].is_floating_point():
            share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
            torch._foreach_lerp_(averaged, current, share)
        else:  # how many batches a norm has seen
            torch._foreach_copy_(averaged, current)

    return AveragedModel(model, multi_avg_fn=blend, use_buffers=True)
