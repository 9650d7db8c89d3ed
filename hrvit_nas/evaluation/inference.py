"""Running a segmentor over a validation set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .confusion import Evaluation
from .tally import Tally, is_boundary
from .windows import sliding_bands


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
    tally = Tally(num_classes, ignore_index, device)
    with inference(model, device):
        for images, labels in batches:
            images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
            labels = labels.to(device, non_blocking=True)
            if window is None:
                logits = model(images)
            else:
                logits = sliding_logits(model, images, window, stride or window)
            tally.add(logits, labels, is_boundary(labels, ignore_index))
    return tally.evaluation()


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
    size = images.shape[2], images.shape[3]

    def logits_of(rows: slice, columns: slice) -> Tensor:
        part = images[:, :, rows, columns].contiguous(memory_format=torch.channels_last)
        logits: Tensor = model(part)
        return logits

    return torch.cat(list(sliding_bands(logits_of, size, window, stride)), 2)
