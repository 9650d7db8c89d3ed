"""How good a classifier is: top-1 and top-5 accuracy, and cross entropy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .inference import inference

TOP = 5
"""How many of its best guesses a classifier has for the more lenient accuracy."""


class ClassificationScores(NamedTuple):
    """Scores of a classifier on a validation set.

    Attributes:
        top1: Share of the images whose class is the best guess.
        top5: Share of those whose class is among the best five; 1 where there are no more classes.
        cross_entropy: Mean over the images, in nats.
    """

    top1: float
    top5: float
    cross_entropy: float


@torch.no_grad()
def hits(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether the class is the best guess, and among the best five: (B, 2) bool.

    Args:
        logits: (B, num_classes).
        labels: (B,) int64.
    """
    best = logits.topk(min(TOP, logits.shape[1]), 1).indices == labels[:, None]
    return torch.stack([best[:, 0], best.any(1)], 1)


def evaluate_classifier(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    num_classes: int,
    device: str | torch.device = "cpu",
) -> ClassificationScores:
    """Scores a classifier on every image of the batches.

    Args:
        model: Maps (B, 3, H, W) to logits (B, num_classes); already on `device`.
        batches: Pairs of images (B, 3, H, W) float32 and labels (B,) int64, one at least.
        num_classes: Number of classes.
        device: Where to run.

    Raises:
        ValueError: The logits do not fit the labels, or there is no image.
    """
    device = torch.device(device)
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    count = 0
    with inference(model, device):
        for images, labels in batches:
            images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
            labels = labels.to(device, non_blocking=True)
            logits = model(images)
            check_class_logits(logits, len(labels), num_classes)
            sums[:2] += hits(logits, labels).sum(0)
            sums[2] += nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
            count += len(labels)
    if not count:
        raise ValueError("a classifier must be scored on one image at least, got none")
    return ClassificationScores(*(sums / count).tolist())


def check_class_logits(logits: Tensor, num_images: int, num_classes: int) -> None:
    """Checks that a classifier's logits are (images, classes).

    Raises:
        ValueError: They are not.
    """
    if tuple(logits.shape) != (num_images, num_classes):
        raise ValueError(
            f"the model must return logits of shape {(num_images, num_classes)},"
            f" got {tuple(logits.shape)}"
        )
