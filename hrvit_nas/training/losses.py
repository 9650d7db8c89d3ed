"""The loss of a segmentor on a batch, and the weights of classes in it."""

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
