"""Sliding windows, a band of rows at a time: rows that no later window covers are done.

Of the logits (B, C, H, W) of an image a band as high as a window is held, and never all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Size = tuple[int, int]
"""Height and width, in pixels."""
WindowLogits = Callable[[slice, slice], Tensor]
"""Logits (B, C, h, w) of the window at some rows and columns of an image."""


def check_stride(window: Size, stride: Size) -> None:
    """Refuses a stride that leaves pixels out, or goes nowhere.

    Raises:
        ValueError: It is not in 1 to the window's size.
    """
    if not all(1 <= step <= size for step, size in zip(stride, window, strict=True)):
        raise ValueError(f"the stride must be 1 to the window's size {window}, got {stride}")


def window_starts(size: int, window: int, stride: int) -> list[int]:
    """Where windows begin in one direction; the last is moved back to end at the border."""
    last = max(0, size - window)
    return [*range(0, last, stride), last]


def sliding_bands(
    logits_of: WindowLogits,
    size: Size,
    window: Size,
    stride: Size,
    *,
    columns: tuple[int, int] | None = None,
    mirrored: bool = False,
) -> Iterator[Tensor]:
    """Logits of an image from the top, averaged over the windows that cover a pixel.

    A window larger than the image is cut to it.

    Args:
        logits_of: Logits of a window.
        size: Of the image.
        window: Of a window.
        stride: Rows and columns from one window to the next.
        columns: The first column that is wanted, and the one after the last; by default all.
        mirrored: Whether windows are laid from the right, as they are on the mirrored image.

    Yields:
        (B, C, rows, columns) float32, bands of rows that together are the image.

    Raises:
        ValueError: The stride is not in 1 to the window's size.
    """
    check_stride(window, stride)
    first, last = columns or (0, size[1])
    height, width = (min(pair) for pair in zip(window, size, strict=True))
    tops = window_starts(size[0], window[0], stride[0])
    lefts = window_starts(size[1], window[1], stride[1])
    if mirrored:
        lefts = [size[1] - left - width for left in lefts]
    row_cover = _cover(size[0], tops, height)
    column_cover = _cover(size[1], lefts, width)[first:last]
    lefts = [left for left in lefts if left < last and left + width > first]
    carried: Tensor | None = None
    for top, end in zip(tops, [*tops[1:], size[0]], strict=True):
        band: Tensor | None = None
        for left in lefts:
            logits = logits_of(slice(top, top + height), slice(left, left + width)).float()
            start, stop = max(left, first), min(left + width, last)
            part = logits[..., start - left : stop - left]
            if len(tops) == len(lefts) == 1:
                yield part
                return
            if band is None:
                band = part.new_zeros(*part.shape[:2], height, last - first)
                if carried is not None:
                    band[:, :, : carried.shape[2]] = carried
            band[..., start - first : stop - first] += part
        assert band is not None
        done = band[:, :, : end - top]
        # In the logits' own type, or the quotient would be rounded twice.
        done /= (row_cover[top:end, None] * column_cover).to(done)
        carried = band[:, :, end - top :].clone()
        yield done


def _cover(size: int, starts: list[int], window: int) -> Tensor:
    """How many windows cover each place in one direction."""
    cover = torch.zeros(size)
    for start in starts:
        cover[start : start + window] += 1
    return cover
