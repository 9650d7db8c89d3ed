"""What is counted of the pixels of a data set, whatever parts they come in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .confusion import Evaluation, confusion_matrix

BOUNDARY_PIXELS = 2
"""Distance to another class, in rows or columns, up to which a pixel counts as boundary."""


class Tally:
    """Counts pixels by true and predicted class.

    Args:
        num_classes: Number of classes.
        ignore_index: The label left out.
        device: Where to count.
    """

    def __init__(self, num_classes: int, ignore_index: int, device: torch.device) -> None:
        self._num_classes, self._ignore_index = num_classes, ignore_index
        self._confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)
        self._boundary = torch.zeros_like(self._confusion)
        self._cross_entropy = torch.zeros((), dtype=torch.float64, device=device)

    def add(self, logits: Tensor, labels: Tensor, near: Tensor) -> Tensor:
        """Counts some pixels.

        Args:
            logits: (B, num_classes, h, w).
            labels: (B, h, w) int64.
            near: Which of the pixels are boundary, (B, h, w) bool.

        Returns:
            The classes predicted, (B, h, w).

        Raises:
            ValueError: The logits do not fit the labels, or a label is out of range.
        """
        check_logits(logits, labels, self._num_classes)
        classes, ignored = self._num_classes, self._ignore_index
        prediction = logits.argmax(1)
        self._confusion += confusion_matrix(prediction, labels, classes, ignored)
        at_boundary = labels.masked_fill(~near, ignored)
        self._boundary += confusion_matrix(prediction, at_boundary, classes, ignored)
        self._cross_entropy += nn.functional.cross_entropy(
            logits.float(), labels, ignore_index=ignored, reduction="sum"
        )
        return prediction

    def evaluation(self) -> Evaluation:
        """The scores of all pixels that were counted.

        Raises:
            ValueError: No pixel is labelled.
        """
        if not self._confusion.any():
            raise ValueError(
                f"no pixel of the validation set is labelled (all are {self._ignore_index},"
                " ignored)"
            )
        return Evaluation(
            confusion=self._confusion.cpu().numpy(),
            boundary=self._boundary.cpu().numpy(),
            cross_entropy=float(self._cross_entropy / self._confusion.sum()),
        )


def is_boundary(labels: Tensor, ignore_index: int, distance: int = BOUNDARY_PIXELS) -> Tensor:
    """Which pixels of labels (B, H, W) have two classes within a distance; bool (B, H, W).

    The ignored label is no class.
    """
    ignored = labels == ignore_index
    values = labels.float()
    lowest = _highest_near(-values.masked_fill(ignored, torch.inf), distance).neg()
    return _highest_near(values.masked_fill(ignored, -torch.inf), distance) > lowest


def _highest_near(values: Tensor, distance: int) -> Tensor:
    """Maximum of (B, H, W) over squares, a direction at a time."""
    size, pad = 2 * distance + 1, distance
    rows = nn.functional.max_pool2d(values, (1, size), stride=1, padding=(0, pad))
    return nn.functional.max_pool2d(rows, (size, 1), stride=1, padding=(pad, 0))


def check_logits(logits: Tensor, labels: Tensor, num_classes: int) -> None:
    """Checks that a model's logits fit the labels.

    Raises:
        ValueError: They are not (B, num_classes, H, W) for labels (B, H, W).
    """
    wanted = (labels.shape[0], num_classes, *labels.shape[1:])
    if tuple(logits.shape) != wanted:
        raise ValueError(
            f"the model must return logits of shape {wanted}, got {tuple(logits.shape)}"
        )
