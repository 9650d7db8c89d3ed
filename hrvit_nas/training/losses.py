"""The loss of a network on a batch, and the weights of classes in it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..data import SegmentationData, class_shares
from .processes import Processes
from .recipe import Recipe


class BatchLoss:
    """`segmentation_loss` of a batch that processes may share, its classes weighed by a recipe.

    Args:
        data: What its labels mean.
        recipe: How classes are weighed.
        device: Where to run.
        processes: Who shares a batch.
    """

    def __init__(
        self,
        data: SegmentationData,
        recipe: Recipe,
        device: torch.device,
        processes: Processes,
    ) -> None:
        power = recipe.class_weighting
        self._weights = class_weights(data, power).to(device) if power else None
        self._ignored, self._processes = data.ignore_index, processes

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of this process's part alone."""
        return segmentation_loss(logits, labels, self._ignored, self._weights)

    def amount(self, labels: Tensor) -> Tensor:
        """What the loss of these labels is a mean over: pixels, or the sum of their weights; ()."""
        return labelled_weight(labels, self._ignored, self._weights)

    def share(self, labels: Tensor) -> Tensor | float:
        """This part's share of what the loss of the whole batch is a mean over."""
        return self._processes.share(lambda: self.amount(labels))


class SoftLoss:
    """Mean cross entropy of images that processes may share with distributions over classes.

    Args:
        processes: Who shares a batch.
    """

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Of this process's part alone, (); logits and targets (B, num_classes)."""
        return nn.functional.cross_entropy(logits.float(), targets)

    def amount(self, targets: Tensor) -> Tensor:
        """How many images these are, ()."""
        return torch.tensor(float(len(targets)), device=targets.device)

    def share(self, targets: Tensor) -> Tensor | float:
        """This part's share of the images of the batch."""
        return self._processes.share(lambda: self.amount(targets))


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
    weight = labelled_weight(labels, ignore_index, class_weights)
    return total / torch.where(weight > 0, weight, 1)


def labelled_weight(
    labels: Tensor, ignore_index: int, class_weights: Tensor | None = None
) -> Tensor:
    """What `segmentation_loss` divides by: labelled pixels, or the sum of their weights; ()."""
    labelled = labels != ignore_index
    return labelled.sum() if class_weights is None else class_weights[labels[labelled]].sum()


def class_weights(data: SegmentationData, power: float) -> Tensor:
    """Inverse class frequency to a power, of mean 1 over the pixels: (num_classes,) float32.

    A class that the training set (or what is counted of it) never shows weighs 0.
    """
    share = torch.from_numpy(class_shares(data.train, data.num_classes)).float()
    weights = torch.where(share > 0, share, torch.inf) ** -power
    return weights / (weights * share).sum()
