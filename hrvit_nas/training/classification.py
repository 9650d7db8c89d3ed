"""Training of one classifier, such as the backbone of a segmentor starts as."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from ..data import ClassificationData, train_image_batches, val_image_batches
from ..evaluation import ClassificationScores, evaluate_classifier, mixed_precision
from ..evaluation.classification import check_class_logits
from ..models import Classifier
from .batches import check_maps
from .loop import Job
from .losses import SoftLoss
from .mixing import Mixing, check_partners, soft_labels
from .network import NetworkResult, NetworkStep, fit
from .processes import Processes
from .progress import ClassificationProgress
from .recipe import ClassificationRecipe, Recipe

ClassificationResult: TypeAlias = NetworkResult[ClassificationScores]


def train_classifier(
    model: nn.Module,
    data: ClassificationData,
    recipe: Recipe,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 30.0,
    on_step: Callable[[ClassificationProgress], None] | None = None,
) -> ClassificationResult:
    """Trains a classifier in place and scores it on the validation set.

    Arguments are those of `train`, and processes share a batch as they do there; mixup and cutmix
    are functions of the seed and the step.

    Args:
        model: Maps (B, 3, H, W) to logits (B, num_classes).
        data: Training and validation split.
        recipe: How to train; its `classification` is set.
        seed: Of the batches, their augmentation and mixing, dropout and stochastic depth.
        device: Where to run; on a GPU in bfloat16 autocast.
        checkpoint: File to resume from where it exists, and to write to.
        checkpoint_seconds: Seconds between two checkpoints.
        on_step: Called in the first process after each step whose losses have been read.

    Raises:
        TrainingFailedError: Loss or gradient became non-finite.
        CheckpointError: The checkpoint is corrupt or of another run.
        ValueError: Model, data, recipe and processes do not fit each other.
    """
    how = recipe.classification
    if how is None:
        raise ValueError("a classifier needs a recipe that sets classification, got none")
    device, processes = torch.device(device), Processes()
    check_partners(recipe, processes.count)
    if isinstance(model, Classifier):
        check_maps(recipe, how.augment.crop_size, len(data.train), processes.count)
    job = Job(
        data=data,
        batches=partial(train_image_batches, data.train, augment=how.augment),
        recipe=recipe,
        seed=seed,
        device=device,
        checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds,
        on_step=on_step,
    )
    step = ClassificationStep(model, data.num_classes, recipe, how, seed, device, processes)

    def score(network: nn.Module) -> ClassificationScores:
        size, workers = recipe.eval_batch_size, recipe.num_workers
        batches = val_image_batches(data.val, batch_size=size, num_workers=workers)
        return evaluate_classifier(network, batches, num_classes=data.num_classes, device=device)

    return fit(step, job, processes, score)


class ClassificationStep(NetworkStep[ClassificationScores]):
    """One classifier, by its cross entropy with smoothed and mixed labels.

    Args:
        model: The network.
        num_classes: Classes that it tells apart.
        recipe: In which precision and how many parts.
        how: How labels are smoothed and images mixed.
        seed: Of the mixing.
        device: Where to run.
        processes: Who shares a batch.
    """

    kind = "classification"

    def __init__(
        self,
        model: nn.Module,
        num_classes: int,
        recipe: Recipe,
        how: ClassificationRecipe,
        seed: int,
        device: torch.device,
        processes: Processes,
    ) -> None:
        super().__init__(model, recipe, SoftLoss(processes))
        self._device, self._num_classes, self._precision = device, num_classes, recipe.precision
        self._smoothing, self._mixing = how.label_smoothing, Mixing(how, seed)

    def prepared(self, images: Tensor, labels: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) and distributions over classes (B, num_classes), mixed."""
        return self._mixing(images, soft_labels(labels, self._num_classes, self._smoothing), step)

    def mean_loss(self, images: Tensor, targets: Tensor) -> Tensor:
        """See `NetworkStep`."""
        with mixed_precision(self._device, self._precision):
            logits = self.model(images)
        check_class_logits(logits, len(targets), self._num_classes)
        return self._loss(logits, targets)
