"""Training of one segmentor, which sees each batch once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from ..data import SegmentationData, train_batches
from ..evaluation import Evaluation, mixed_precision
from ..evaluation.tally import check_logits
from ..models import AuxiliarySegmentor, Segmentor
from .batches import check_batches, check_maps
from .loop import Job
from .losses import BatchLoss
from .network import NetworkResult, NetworkStep, fit
from .processes import Processes
from .progress import PlainProgress
from .recipe import Recipe
from .scoring import NetworkScorer
from .seeds import mixed_seed

AUXILIARY_SEED = 3
"""Tells an auxiliary head's first weights from what else is drawn from a seed."""

TrainResult: TypeAlias = NetworkResult[Evaluation]


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
    if recipe.classification is not None:
        raise ValueError("a segmentor needs a recipe that leaves classification unset")
    device, processes = torch.device(device), Processes()
    if isinstance(model, Segmentor):
        check_batches([model.spec.head_kind], recipe, len(data.train), processes.count)
        check_maps(recipe, data.train.load(0)[1].shape, len(data.train), processes.count)
    if recipe.auxiliary_weight:
        model = with_auxiliary_head(model, data.num_classes, seed)
    job = Job(
        data=data,
        batches=partial(train_batches, data.train, augment=recipe.augment),
        recipe=recipe,
        seed=seed,
        device=device,
        checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds,
        on_step=on_step,
    )
    step = PlainStep(model, data, recipe, device, processes)
    return fit(step, job, processes, NetworkScorer(data, recipe, device))


class PlainStep(NetworkStep[Evaluation]):
    """One segmentor, by its loss on the batch.

    Args:
        model: The network.
        data: What its labels mean.
        recipe: How classes and heads are weighed, in which precision and how many parts.
        device: Where to run.
        processes: Who shares a batch.
    """

    kind = "plain"

    def __init__(
        self,
        model: nn.Module,
        data: SegmentationData,
        recipe: Recipe,
        device: torch.device,
        processes: Processes,
    ) -> None:
        super().__init__(model, recipe, BatchLoss(data, recipe, device, processes))
        self._device, self._num_classes = device, data.num_classes
        self._auxiliary_weight, self._precision = recipe.auxiliary_weight, recipe.precision

    def mean_loss(self, images: Tensor, targets: Tensor) -> Tensor:
        """See `NetworkStep`."""
        auxiliary: Tensor | None = None
        with mixed_precision(self._device, self._precision):
            if isinstance(self.model, AuxiliarySegmentor):
                logits, auxiliary = self.model.forward_both(images)
            else:
                logits = self.model(images)
        check_logits(logits, targets, self._num_classes)
        loss = self._loss(logits, targets)
        if auxiliary is not None:
            loss = loss + self._auxiliary_weight * self._loss(auxiliary, targets)
        return loss


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
