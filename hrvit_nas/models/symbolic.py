"""What the network computes where a size is a symbol, as `torch.export` traces it.

A program for all sizes cannot ask whether strips fill a map. So here strips that a map does not
fill are padded, as the published network does, and padded keys get no weight; eager networks attend
such strips at their true size, with less work and the same result. Sizes are plain numbers outside
an export, where nothing here runs. Tensor layouts as in `layers`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

LARGEST_SIDE = 2**20
"""Side of a map above which an exported program refuses."""


def is_symbolic(*sizes: int) -> bool:
    """Whether a size is a symbol."""
    return any(isinstance(size, torch.SymInt) for size in sizes)


def fresh_size(size: Sequence[int]) -> tuple[int, int]:
    """Symbols of their own for a height and width that are expressions of others.

    Expressions grow with each strided convolution, and whatever looks at a tensor reasons about
    them: without this an export takes many times as long. Such a symbol may also be 1, which one
    with an example value is taken never to be.
    """
    height, width = (_fresh(side) if is_symbolic(side) else side for side in size)
    return height, width


def _fresh(side: int) -> int:
    symbol: int = torch.scalar_tensor(side, dtype=torch.int64).item()  # type: ignore[assignment]
    torch._check(symbol >= 1)
    torch._check(symbol <= LARGEST_SIDE)
    return symbol


def cropped(x_bhwc: Tensor, size: Sequence[int]) -> Tensor:
    """The map as one of a size that it has already, in other symbols."""
    return x_bhwc.narrow(1, 0, size[0]).narrow(2, 0, size[1])


def nearest(x_bhwc: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest-neighbour resizing, which takes the very tokens that `F.interpolate` does.

    Its float32 arithmetic is spelt out, since runtimes have their own, and at 485 rows, for one,
    take another row.
    """
    for dim in (1, 2):
        wanted = torch.scalar_tensor(size[dim - 1], dtype=torch.float32)
        there = torch.scalar_tensor(x_bhwc.shape[dim], dtype=torch.float32)
        places = torch.arange(size[dim - 1]).float()
        chosen = torch.floor(places * (there / wanted)).long()
        x_bhwc = x_bhwc.index_select(dim, torch.minimum(chosen, (there - 1).long()))
    return x_bhwc


def average_pool(x_bhwc: Tensor, side: int) -> Tensor:
    """Means over `side` by `side` cells, as adaptive average pooling has them."""
    for dim in (1, 2):
        x_bhwc = torch.matmul(_cells(x_bhwc.shape[dim], side), x_bhwc.movedim(dim, -2))
        x_bhwc = x_bhwc.movedim(-2, dim)
    return x_bhwc


def _cells(length: int, side: int) -> Tensor:
    """`(side, length)`: of each cell, its members' share."""
    places = torch.arange(length)
    cells = torch.arange(side).unsqueeze(1)
    first = cells * length // side
    last = ((cells + 1) * length + side - 1) // side
    members = ((places >= first) & (places < last)).float()
    return members / members.sum(1, keepdim=True)


def count_parts(length: int, size: int) -> int:
    """Parts of a size that cover a length."""
    return (length + size - 1) // size


def into_windows(x_bhwc: Tensor, rows: int, columns: int | None) -> Tensor:
    """Splits a map into windows, padded with zeros at the bottom and right to fill them.

    Args:
        x_bhwc: The map.
        rows: Rows of a window.
        columns: Columns of a window; None = the whole width.

    Returns:
        `(B * windows, rows * columns, C)`.
    """
    batch, height, width, channels = x_bhwc.shape
    down = count_parts(height, rows)
    across = 1 if columns is None else count_parts(width, columns)
    side = width if columns is None else columns
    bottom, right = down * rows - height, across * side - width
    x_bhwc = F.pad(x_bhwc, (0, 0, 0, right, 0, bottom))
    split = x_bhwc.reshape(batch, down, rows, across, side, channels)
    return split.transpose(2, 3).reshape(batch * down * across, rows * side, channels)


def from_windows(y_nld: Tensor, like_bhwc: Tensor, rows: int, columns: int | None) -> Tensor:
    """The inverse of `into_windows`, for a map of the size of another."""
    batch, height, width, channels = like_bhwc.shape
    down = count_parts(height, rows)
    across = 1 if columns is None else count_parts(width, columns)
    side = width if columns is None else columns
    split = y_nld.reshape(batch, down, across, rows, side, channels).transpose(2, 3)
    return split.reshape(batch, down * rows, across * side, channels)[:, :height, :width]


def filled(like_bhwc: Tensor, rows: int, columns: int | None) -> Tensor:
    """Which keys of each window are of the map: `(B * windows, 1, 1, rows * columns)`, boolean."""
    ones_bhwc = torch.ones_like(like_bhwc[..., :1])
    return into_windows(ones_bhwc, rows, columns).transpose(1, 2).unsqueeze(1) > 0.5
