"""Running a segmentor over a validation set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.batches import normalised
from .confusion import Evaluation, confusion_matrix

BOUNDARY_PIXELS = 2
"""Distance to another class, in rows or columns, up to which a pixel counts as boundary."""


def mixed_precision(device: torch.device, precision: str = "auto") -> torch.autocast:
    """Autocast to bfloat16, or none.

    Args:
        device: Where to run.
        precision: `bfloat16`, `float32` for none, or `auto`: bfloat16 on a GPU; nothing elsewhere,
            where it is seldom faster.
    """
    half = device.type == "cuda" if precision == "auto" else precision == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=half)


@contextmanager
def inference(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Eval mode, no gradients, mixed precision on a GPU; every submodule's mode is put back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode(), mixed_precision(device):
            yield
    finally:
        for module, training in modes:
            module.training = training


def evaluate(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    num_classes: int,
    ignore_index: int = 255,
    device: str | torch.device = "cpu",
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
) -> Evaluation:
    """Scores a model on every labelled pixel of the batches, as one whole.

    Args:
        model: Maps (B, 3, H, W) to logits (B, num_classes, H, W); already on `device`.
        batches: Pairs of images (B, 3, H, W) float32 and labels (B, H, W) int64.
        num_classes: Number of classes.
        ignore_index: The label left out.
        device: Where to run.
        window: Height and width of a sliding window, in pixels; None = whole images.
        stride: Rows and columns from one window to the next; needed with `window`.

    Raises:
        ValueError: The logits do not fit the labels, a label is out of range, or no pixel
            is labelled.
    """
    device = torch.device(device)
    confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)
    boundary = torch.zeros_like(confusion)
    cross_entropy = torch.zeros((), dtype=torch.float64, device=device)
    with inference(model, device):
        for images, labels in batches:
            images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
            labels = labels.to(device, non_blocking=True)
            if window is None:
                logits = model(images)
            else:
                logits = sliding_logits(model, images, window, stride or window)
            check_logits(logits, labels, num_classes)
            prediction = logits.argmax(1)
            confusion += confusion_matrix(prediction, labels, num_classes, ignore_index)
            near = labels.masked_fill(~is_boundary(labels, ignore_index), ignore_index)
            boundary += confusion_matrix(prediction, near, num_classes, ignore_index)
            cross_entropy += nn.functional.cross_entropy(
                logits.float(), labels, ignore_index=ignore_index, reduction="sum"
            )
    if not confusion.any():
        raise ValueError(
            f"no pixel of the validation set is labelled (all are {ignore_index}, ignored)"
        )
    return Evaluation(
        confusion=confusion.cpu().numpy(),
        boundary=boundary.cpu().numpy(),
        cross_entropy=float(cross_entropy / confusion.sum()),
    )


def predict(
    model: nn.Module,
    image: NDArray[np.uint8],
    *,
    device: str | torch.device = "cpu",
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
) -> NDArray[np.uint8]:
    """The class of every pixel of one image, as it comes from a split.

    Args:
        model: Maps (B, 3, H, W) to logits (B, num_classes, H, W); already on `device`.
        image: (H, W, 3), red, green, blue in 0..255.
        device: Where to run.
        window: Height and width of a sliding window, in pixels; None = the whole image.
        stride: Rows and columns from one window to the next; by default the window's.

    Returns:
        Labels (H, W).

    Raises:
        ValueError: The image is of another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"an image must be (H, W, 3) of uint8, got {image.shape} of {image.dtype}")
    device = torch.device(device)
    with inference(model, device):
        batch = normalised(image[None].copy()).to(device)  # a cached image is read-only
        if window is None:
            logits = model(batch)
        else:
            logits = sliding_logits(model, batch, window, stride or window)
    labels: NDArray[np.uint8] = logits.argmax(1)[0].to("cpu", torch.uint8).numpy()
    return labels


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


def sliding_logits(
    model: nn.Module, images: Tensor, window: tuple[int, int], stride: tuple[int, int]
) -> Tensor:
    """Logits of large images, averaged over the windows that cover a pixel.

    The last window of a row or column is moved back to end at the border; a window larger
    than the image is cut to it.

    Args:
        model: Maps (B, 3, h, w) to logits (B, num_classes, h, w).
        images: (B, 3, H, W).
        window: Height and width of a window, in pixels.
        stride: Rows and columns from one window to the next.

    Returns:
        (B, num_classes, H, W) float32.

    Raises:
        ValueError: The stride is not in 1 to the window's size.
    """
    if not all(1 <= step <= size for step, size in zip(stride, window, strict=True)):
        raise ValueError(f"the stride must be 1 to the window's size {window}, got {stride}")
    batch, _, height, width = images.shape
    rows = _window_starts(height, window[0], stride[0])
    columns = _window_starts(width, window[1], stride[1])
    total: Tensor | None = None
    cover = images.new_zeros(height, width)
    for top in rows:
        for left in columns:
            area = (..., slice(top, top + window[0]), slice(left, left + window[1]))
            logits = model(images[area].contiguous(memory_format=torch.channels_last)).float()
            if total is None:
                total = logits.new_zeros(batch, logits.shape[1], height, width)
            total[area] += logits
            cover[area] += 1
    assert total is not None
    return total / cover


def _window_starts(size: int, window: int, stride: int) -> list[int]:
    last = max(0, size - window)
    return [*range(0, last, stride), last]
