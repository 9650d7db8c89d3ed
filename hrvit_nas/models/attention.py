"""Token mixers: HRViT's augmented cross-shaped attention and the kinds it is compared with.

Source: Gu et al., CVPR 2022, section 3.2 (cross-shaped attention with key-value sharing,
a parallel convolution path and an extra nonlinearity). `window` is the square-window
attention of Swin without shift, `spatial_reduction` the efficient attention of MiT/PVT,
whose keys and values come from a map reduced to stride 32, and `convolution` the parallel
path alone.

Departure from the published form: strips that a map does not fill are attended at their true
size instead of being padded with keys of logit -100. The padded keys' weight, exp(-100) of
an unpadded zero logit, is below float32 resolution for logits above -80, so the function is
the same with less work.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..arch import Attention as AttentionKind
from ..arch import BranchSpec
from ..cost.attention import reduction_ratio
from .layers import LinearNorm, TokenConv, layer_norm
from .symbolic import (
    count_parts,
    cropped,
    filled,
    fresh_size,
    from_windows,
    into_windows,
    is_symbolic,
)


def attend(
    q_nld: Tensor, k_nld: Tensor, v_nld: Tensor, num_heads: int, mask: Tensor | None = None
) -> Tensor:
    """Multi-head attention within each of N regions.

    Args:
        q_nld: Queries `(N, L, C)`.
        k_nld: Keys `(N, S, C)`.
        v_nld: Values `(N, S, C)`.
        num_heads: Heads that the C channels are split into.
        mask: Keys that count, boolean `(N, 1, 1, S)`; None = all.

    Returns:
        `(N, L, C)`.
    """
    head_dim = q_nld.shape[2] // num_heads
    q, k, v = (
        t.view(t.shape[0], t.shape[1], num_heads, head_dim).transpose(1, 2)
        for t in (q_nld, k_nld, v_nld)
    )
    return F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).reshape(q_nld.shape)


def strip_sizes(length: int, size: int) -> list[tuple[int, int]]:
    """Splits a side into (extent, strip width): whole strips, then what is left over."""
    whole = length // size * size
    return [(n, w) for n, w in ((whole, size), (length - whole, length - whole)) if n]


def _split(x: Tensor, parts: list[tuple[int, int]]) -> tuple[Tensor, ...]:
    """Splits rows where there is more than one part; a needless slice costs a copy in backward."""
    return x.split([extent for extent, _ in parts], 1) if len(parts) > 1 else (x,)


def attend_rows(
    q_bhwc: Tensor, k_bhwc: Tensor, v_bhwc: Tensor, rows: int, num_heads: int
) -> Tensor:
    """Attention inside strips of `rows` rows by the full width; the last strip may be lower."""
    batch, height, width, channels = q_bhwc.shape
    if is_symbolic(height):
        return _attend_padded(q_bhwc, k_bhwc, v_bhwc, (rows, None), num_heads)
    parts = strip_sizes(height, rows)
    queries, values = _split(q_bhwc, parts), _split(v_bhwc, parts)
    keys = values if k_bhwc is v_bhwc else _split(k_bhwc, parts)
    outputs = []
    for (extent, strip), q, k, v in zip(parts, queries, keys, values, strict=True):
        regions = (batch * extent // strip, strip * width, channels)
        v_nld = v.reshape(regions)
        k_nld = v_nld if k is v else k.reshape(regions)
        y_nld = attend(q.reshape(regions), k_nld, v_nld, num_heads)
        outputs.append(y_nld.view(batch, extent, width, channels))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)


def attend_columns(
    q_bhwc: Tensor, k_bhwc: Tensor, v_bhwc: Tensor, columns: int, num_heads: int
) -> Tensor:
    """Attention inside strips of `columns` columns by the full height; the last may be narrower."""
    q, v = q_bhwc.transpose(1, 2), v_bhwc.transpose(1, 2)
    k = v if k_bhwc is v_bhwc else k_bhwc.transpose(1, 2)
    return attend_rows(q, k, v, columns, num_heads).transpose(1, 2)


def attend_windows(
    q_bhwc: Tensor, k_bhwc: Tensor, v_bhwc: Tensor, side: int, num_heads: int
) -> Tensor:
    """Attention inside square windows; those at the bottom and right may be smaller."""
    batch, height, width, channels = q_bhwc.shape
    if is_symbolic(height, width):
        return _attend_padded(q_bhwc, k_bhwc, v_bhwc, (side, side), num_heads)
    parts = strip_sizes(height, side)
    queries, values = _split(q_bhwc, parts), _split(v_bhwc, parts)
    keys = values if k_bhwc is v_bhwc else _split(k_bhwc, parts)
    outputs = []
    for (extent, rows), q, k, v in zip(parts, queries, keys, values, strict=True):
        # A row of windows laid side by side is a column-strip problem of its own.
        bands = (batch * extent // rows, rows, width, channels)
        v_band = v.reshape(bands)
        k_band = v_band if k is v else k.reshape(bands)
        y_band = attend_columns(q.reshape(bands), k_band, v_band, side, num_heads)
        outputs.append(y_band.reshape(batch, extent, width, channels))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)


def _attend_padded(
    q_bhwc: Tensor,
    k_bhwc: Tensor,
    v_bhwc: Tensor,
    window: tuple[int, int | None],
    num_heads: int,
) -> Tensor:
    """Attention inside windows of a map whose size is a symbol; see `symbolic`."""
    q, v = into_windows(q_bhwc, *window), into_windows(v_bhwc, *window)
    k = v if k_bhwc is v_bhwc else into_windows(k_bhwc, *window)
    fits = window in ((1, None), (1, 1))
    mask = None if fits else filled(q_bhwc, *window)
    return from_windows(attend(q, k, v, num_heads, mask), q_bhwc, *window)


class Attention(nn.Module):
    """What every attention kind shares: input map, parallel path, nonlinearity, output map.

    Maps tokens `(B, H, W, C)` to tokens of the same shape.

    Args:
        branch: The branch whose attention this is.
        branch_index: Position of the branch, from 0 at stride 4.
    """

    def __init__(self, branch: BranchSpec, branch_index: int) -> None:  # noqa: ARG002
        super().__init__()
        width = branch.width
        self.width = width
        self.num_heads = branch.num_heads
        self.input_widths = self._input_widths(branch)
        self.to_input = nn.Linear(width, sum(self.input_widths))
        self.parallel_conv = (
            TokenConv(width, width, 3, groups=width) if branch.parallel_conv else None
        )
        self.extra_nonlinearity = branch.extra_nonlinearity
        self.to_output = (
            LinearNorm(width, width) if branch.extra_nonlinearity else nn.Linear(width, width)
        )

    def _input_widths(self, branch: BranchSpec) -> tuple[int, ...]:
        """Channels of query, (unshared) key and value in the order of the input map."""
        return (branch.width,) * (2 if branch.kv_sharing else 3)

    def mix(self, x_bhwc: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The attention output, if the kind has one, and the value for the parallel path."""
        raise NotImplementedError

    def forward(self, x_bhwc: Tensor) -> Tensor:
        y_bhwc, v_bhwc = self.mix(x_bhwc)
        if self.parallel_conv is not None:
            assert v_bhwc is not None
            local_bhwc = self.parallel_conv(F.hardswish(v_bhwc))
            y_bhwc = local_bhwc if y_bhwc is None else local_bhwc.add_(y_bhwc)
        assert y_bhwc is not None
        if self.extra_nonlinearity:
            y_bhwc = F.hardswish(y_bhwc, inplace=not y_bhwc.requires_grad)
        return self.to_output(y_bhwc)

    def query_key_value(self, x_bhwc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Splits the input map's output; with sharing, key and value are one tensor."""
        parts = self.to_input(x_bhwc).split(self.input_widths, -1)
        return parts[0], parts[-2] if len(parts) == 3 else parts[-1], parts[-1]


class CrossShapedAttention(Attention):
    """Horizontal strips for the first half of the channels, vertical ones for the second."""

    def __init__(self, branch: BranchSpec, branch_index: int) -> None:
        super().__init__(branch, branch_index)
        assert branch.strip_width is not None
        self.strip_width = branch.strip_width

    def mix(self, x_bhwc: Tensor) -> tuple[Tensor | None, Tensor | None]:
        q, k, v = self.query_key_value(x_bhwc)
        q_rows, q_columns = q.chunk(2, -1)
        v_rows, v_columns = v.chunk(2, -1)
        k_rows, k_columns = (v_rows, v_columns) if k is v else k.chunk(2, -1)
        rows = attend_rows(q_rows, k_rows, v_rows, self.strip_width, self.num_heads)
        columns = attend_columns(q_columns, k_columns, v_columns, self.strip_width, self.num_heads)
        return torch.cat((rows, columns), -1), v


class WindowAttention(Attention):
    """Square windows of `strip_width` tokens a side."""

    def __init__(self, branch: BranchSpec, branch_index: int) -> None:
        super().__init__(branch, branch_index)
        assert branch.strip_width is not None
        self.side = branch.strip_width

    def mix(self, x_bhwc: Tensor) -> tuple[Tensor | None, Tensor | None]:
        q, k, v = self.query_key_value(x_bhwc)
        return attend_windows(q, k, v, self.side, self.num_heads), v


class SpatialReductionAttention(Attention):
    """Every token attends to the map reduced to stride 32 (ratios 8, 4, 2, 1, as in MiT).

    The reduction is a convolution whose kernel and stride are the ratio, on a map padded with
    zeros at the bottom and right to a multiple of it, then LayerNorm; the coarsest branch needs
    none. Keys and values of the reduced map and the values that the parallel path reads come
    from the same linear map.
    """

    def __init__(self, branch: BranchSpec, branch_index: int) -> None:
        super().__init__(branch, branch_index)
        self.ratio = reduction_ratio(branch_index)
        self.reduction: nn.Module | None = None
        if self.ratio > 1:
            self.reduction = nn.Conv2d(self.width, self.width, self.ratio, self.ratio)
            self.reduction_norm = layer_norm(self.width)

    def reduce(self, x_bhwc: Tensor) -> Tensor:
        """`(B, H, W, C)` to `(B, ceil(H / ratio), ceil(W / ratio), C)`."""
        if self.reduction is None:
            return x_bhwc
        height, width = x_bhwc.shape[1:3]
        x_bhwc = F.pad(x_bhwc, (0, 0, 0, -width % self.ratio, 0, -height % self.ratio))
        reduced_bhwc = self.reduction(x_bhwc.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        if is_symbolic(height, width):  # which the sizes of keys must not be expressions of
            sides = (count_parts(height, self.ratio), count_parts(width, self.ratio))
            reduced_bhwc = cropped(reduced_bhwc, fresh_size(sides))
        return self.reduction_norm(reduced_bhwc)

    def mix(self, x_bhwc: Tensor) -> tuple[Tensor | None, Tensor | None]:
        width, weight, bias = self.width, self.to_input.weight, self.to_input.bias
        q = F.linear(x_bhwc, weight[:width], bias[:width])
        keys_values = F.linear(self.reduce(x_bhwc), weight[width:], bias[width:])
        k, v = keys_values[..., :width], keys_values[..., -width:]
        y = attend(q.flatten(1, 2), k.flatten(1, 2), v.flatten(1, 2), self.num_heads).view(q.shape)
        if self.parallel_conv is None:
            return y, None
        return y, F.linear(x_bhwc, weight[-width:], bias[-width:])


class ConvolutionAttention(Attention):
    """The parallel convolution path alone: no token attends to another."""

    def _input_widths(self, branch: BranchSpec) -> tuple[int, ...]:
        return (branch.width,)

    def mix(self, x_bhwc: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return None, self.to_input(x_bhwc)


ATTENTION_MODULES: Mapping[AttentionKind, type[Attention]] = MappingProxyType(
    {
        "cross_shaped": CrossShapedAttention,
        "window": WindowAttention,
        "spatial_reduction": SpatialReductionAttention,
        "convolution": ConvolutionAttention,
    }
)


def build_attention(branch: BranchSpec, branch_index: int) -> Attention:
    """The attention that a branch asks for."""
    return ATTENTION_MODULES[branch.attention](branch, branch_index)
