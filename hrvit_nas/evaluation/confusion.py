"""Scores over a whole data set, most of them from one confusion matrix.

The mean of per-image IoUs is another, higher figure than mIoU; it is not computed here.
A confusion matrix is (num_classes, num_classes) int64, in pixels: row = truth, column =
prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def confusion_matrix(
    prediction: Tensor, labels: Tensor, num_classes: int, ignore_index: int = 255
) -> Tensor:
    """Counts the pixels of every (truth, prediction) pair of classes.

    Args:
        prediction: Predicted classes, integers of any shape.
        labels: True classes, integers of the same shape; pixels of `ignore_index` do not count.
        num_classes: Number of classes.
        ignore_index: The label left out.

    Returns:
        (num_classes, num_classes) int64 on the device of the arguments.

    Raises:
        ValueError: The shapes differ, or a class is outside 0 to num_classes - 1.
    """
    if prediction.shape != labels.shape:
        raise ValueError(
            f"prediction and labels must have one shape, got {tuple(prediction.shape)}"
            f" and {tuple(labels.shape)}"
        )
    counted = labels != ignore_index
    truth, found = labels[counted].long(), prediction[counted].long()
    for name, values in (("labels", truth), ("predictions", found)):
        # An index out of range would be counted as another pair of classes.
        outside = values[(values < 0) | (values >= num_classes)]
        if outside.numel():
            raise ValueError(
                f"{name} must be in 0 to {num_classes - 1}"
                f" (or {ignore_index}, ignored), got {int(outside[0])}"
            )
    counts = torch.bincount(truth * num_classes + found, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def iou_from_confusion(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union of each class; nan where neither truth nor prediction has it."""
    hits = np.diagonal(confusion).astype(np.float64)
    union = confusion.sum(0) + confusion.sum(1) - np.diagonal(confusion)
    iou = np.full(hits.shape, np.nan)
    np.divide(hits, union, out=iou, where=union > 0)
    return iou


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """Mean IoU in 0 to 1 over the classes that truth or prediction has; nan if there is none."""
    iou = iou_from_confusion(confusion)
    present = iou[~np.isnan(iou)]
    return float(present.mean()) if present.size else float("nan")


def class_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each class's true pixels that are right, in 0 to 1; nan where truth lacks it."""
    truth = confusion.sum(1)
    accuracy = np.full(truth.shape, np.nan)
    np.divide(np.diagonal(confusion), truth, out=accuracy, where=truth > 0)
    return accuracy


def pixel_accuracy(confusion: NDArray[np.int64]) -> float:
    """Share of the counted pixels that are right, in 0 to 1; nan if no pixel is counted."""
    total = int(confusion.sum())
    return int(np.trace(confusion)) / total if total else float("nan")


def frequency_weighted_iou(confusion: NDArray[np.int64]) -> float:
    """IoU averaged over classes by their share of the true pixels; nan if no pixel is counted."""
    truth = confusion.sum(1)
    if not truth.any():
        return float("nan")
    seen = truth > 0
    return float(np.average(iou_from_confusion(confusion)[seen], weights=truth[seen]))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of one model on one data set.

    Attributes:
        confusion: (num_classes, num_classes) int64 pixels; row = truth, column = prediction.
        boundary: The same, of the pixels alone that lie near another class.
        cross_entropy: Mean cross entropy of the labelled pixels, in nats.
    """

    confusion: NDArray[np.int64]
    boundary: NDArray[np.int64]
    cross_entropy: float

    @cached_property
    def class_iou(self) -> tuple[float, ...]:
        """IoU of each class in 0 to 1; nan where absent from both truth and prediction."""
        return tuple(iou_from_confusion(self.confusion).tolist())

    @cached_property
    def miou(self) -> float:
        """Dataset-level mean IoU in 0 to 1, over the classes present."""
        return mean_iou(self.confusion)

    @cached_property
    def class_accuracy(self) -> tuple[float, ...]:
        """Share of each class's pixels that are right, in 0 to 1; nan where truth lacks it."""
        return tuple(class_accuracy(self.confusion).tolist())

    @cached_property
    def mean_accuracy(self) -> float:
        """Mean of `class_accuracy` over the classes that truth has."""
        return float(np.nanmean(self.class_accuracy))

    @cached_property
    def pixel_accuracy(self) -> float:
        """Share of the labelled pixels that are right, in 0 to 1."""
        return pixel_accuracy(self.confusion)

    @cached_property
    def frequency_weighted_iou(self) -> float:
        """IoU in 0 to 1, averaged over classes by their share of the true pixels."""
        return frequency_weighted_iou(self.confusion)

    @cached_property
    def boundary_miou(self) -> float:
        """mIoU in 0 to 1 of the pixels near another class; nan if there is none."""
        return mean_iou(self.boundary)

    @cached_property
    def class_boundary_iou(self) -> tuple[float, ...]:
        """IoU of each class in 0 to 1, of the pixels near another class; nan where absent there."""
        return tuple(iou_from_confusion(self.boundary).tolist())
