"""Bilinear resizing, a band of rows at a time, and of some columns alone.

The values are those of `torch.nn.functional.interpolate` (`bilinear`, `align_corners=False`) on all
of the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Taps:
    """Between which two places of a line each place of the resized line lies.

    Attributes:
        low: The one before, (places,) int64.
        high: The one after; the same at an end.
        weight: Of the one after, (places,) float32.
    """

    low: Tensor
    high: Tensor
    weight: Tensor

    @classmethod
    def between(cls, size: int, resized: int, first: int, last: int) -> Taps:
        """Of the places `first` to `last - 1` of a line that is brought to another size."""
        # In the steps and the precision of torch, to which a long line is the same then.
        ratio = torch.tensor(size, dtype=torch.float32) / resized
        at = ((torch.arange(first, last, dtype=torch.float32) + 0.5) * ratio - 0.5).clamp(min=0)
        low = at.long().clamp(max=size - 1)
        return cls(low=low, high=(low + 1).clamp(max=size - 1), weight=(at - low).clamp(0, 1))

    def __len__(self) -> int:
        return len(self.low)

    @property
    def span(self) -> tuple[int, int]:
        """The first place that is needed, and the one after the last."""
        return int(self.low[0]), int(self.high[-1]) + 1

    def part(self, first: int, last: int) -> Taps:
        """Of some of the places."""
        chosen = slice(first, last)
        return Taps(low=self.low[chosen], high=self.high[chosen], weight=self.weight[chosen])

    def applied(self, values: Tensor, dim: int, start: int) -> Tensor:
        """Values along a dimension, which begin at some place of the line, resized."""
        low, high = ((tap - start).to(values.device) for tap in (self.low, self.high))
        shape = [1] * values.ndim
        shape[dim] = len(self)
        weight = self.weight.to(values).view(shape)
        before, after = values.index_select(dim, low), values.index_select(dim, high)
        return before.mul_(1 - weight).addcmul_(after, weight)


def resized_bands(
    bands: Iterator[Tensor], rows: Taps, columns: Taps, most_rows: int
) -> Iterator[Tensor]:
    """Resizes bands of an image (B, C, rows, columns) that come from the top.

    Args:
        bands: Together all rows; of the columns, those from `columns.span`.
        rows: Of the rows.
        columns: Of the columns.
        most_rows: Rows of a resized band at most.

    Yields:
        The resized image from the top, (B, C, up to `most_rows`, columns).
    """
    start, done = 0, 0
    held: Tensor | None = None
    for band in bands:
        held = band if held is None else torch.cat([held, band], 2)
        reach = start + held.shape[2]
        ready = int(torch.searchsorted(rows.high, reach))  # rows below `reach` are there
        while done < ready:
            part = rows.part(done, min(done + most_rows, ready))
            yield columns.applied(part.applied(held, 2, start), 3, columns.span[0])
            done += len(part)
        needed = min(int(rows.low[done]), reach) if done < len(rows) else reach
        held, start = held[:, :, needed - start :].clone(), needed
