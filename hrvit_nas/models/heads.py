"""Kinds of segmentation head, on channels-last tokens.

Sources: Xie et al., "SegFormer", NeurIPS 2021, section 3.2; Xiao et al., "Unified Perceptual
Parsing for Scene Understanding", ECCV 2018, section 3.1 (UperNet), with the pyramid pooling of Zhao
et al., CVPR 2017, and the top-down way of Lin et al., CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..arch import HeadKind
from ..cost.heads import POOL_SCALES
from .layers import ConvNorm, LinearNorm, TokenBatchNorm, TokenConv
from .symbolic import average_pool, is_symbolic

DROPOUT = 0.1


class Head(nn.Module):
    """What turns the backbone's maps into logits.

    Args:
        widths: Channels of the maps, finest first.
        head_width: Channels of the head.
        num_classes: Classes to tell apart.
    """

    def __init__(self, widths: Sequence[int], head_width: int, num_classes: int) -> None:  # noqa: ARG002
        super().__init__()

    @staticmethod
    def joined(num_maps: int) -> Mapping[str, int]:  # noqa: ARG004
        """Layers whose input is several maps side by side, and how many, for a supernet to slice.

        Args:
            num_maps: Maps of the backbone.
        """
        return {}

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Tokens `(B, h, w, C)` a branch to logits `(B, h, w, num_classes)` at the finest size."""
        raise NotImplementedError


class SegFormerHead(Head):
    """One linear map a branch, resized to the finest map, joined by a linear map, classified.

    Linear maps and bilinear resizing commute, so each branch passes both maps at its own
    resolution and only the sum is formed at the finest one. Where a map has more tokens than
    channels the two maps are multiplied first, which is less work again.
    """

    def __init__(self, widths: Sequence[int], head_width: int, num_classes: int) -> None:
        super().__init__(widths, head_width, num_classes)
        self.projections = nn.ModuleList(nn.Linear(width, head_width) for width in widths)
        self.fusion = LinearNorm(len(widths) * head_width, head_width, bias=False)
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(head_width, num_classes)

    @staticmethod
    def joined(num_maps: int) -> Mapping[str, int]:
        return {"fusion.linear": num_maps}

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        weight, bias = self.fusion.linear.weight, None
        if not self.training:
            weight, bias = self.fusion.norm.folded(weight, None)
        slices = weight.chunk(len(maps), 1)
        size = tuple(maps[0].shape[1:3])
        total = None
        for x_bhwc, projection, w in zip(maps, self.projections, slices, strict=True):
            assert isinstance(projection, nn.Linear)
            height, width, channels = x_bhwc.shape[1:]
            if is_symbolic(height, width) or height * width > channels:
                joint = torch.matmul(w, projection.weight)
                joint_bias = (w * projection.bias).sum(1)
                y_bhwc = F.linear(x_bhwc, joint, joint_bias if bias is None else joint_bias + bias)
            else:
                y_bhwc = F.linear(projection(x_bhwc), w, bias)
            bias = None  # counted once
            total = y_bhwc if total is None else resize_bilinear(y_bhwc, size).add_(total)
        assert total is not None
        if self.training:
            total = self.fusion.norm(total)
        return self.classifier(self.dropout(F.relu_(total)))


class PyramidPooling(nn.Module):
    """A map beside what it is when pooled to squares of a few tokens, joined by a convolution.

    The convolution is in two parts, that of the map and that of the pools, so that a supernet can
    slice each. In training mode it takes two images or more, for a pool of one token has no
    variance of its own.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(
            LinearNorm(inputs, outputs, bias=False) for _ in POOL_SCALES
        )
        self.from_map = TokenConv(inputs, outputs, 3, bias=False)
        self.from_pools = TokenConv(len(POOL_SCALES) * outputs, outputs, 3, bias=False)
        self.norm = TokenBatchNorm(outputs)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        x_bchw = x_bhwc.permute(0, 3, 1, 2)
        size = tuple(x_bhwc.shape[1:3])
        pools = []
        for side, projection in zip(POOL_SCALES, self.projections, strict=True):
            if is_symbolic(*size):
                pooled_bhwc = average_pool(x_bhwc, side)
            else:
                pooled_bhwc = F.adaptive_avg_pool2d(x_bchw, side).permute(0, 2, 3, 1)
            pools.append(resize_bilinear(F.relu_(projection(pooled_bhwc)), size))
        y_bhwc = self.from_pools(torch.cat(pools, -1)).add_(self.from_map(x_bhwc))
        return F.relu_(self.norm(y_bhwc))


class UperNetHead(Head):
    """Pyramid pooling of the coarsest map, a feature pyramid down from it, all of it joined.

    The way down adds to each finer map, brought to the head's width, the one that is a step
    coarser; a convolution smooths each sum, and another joins them at the finest size.
    """

    def __init__(self, widths: Sequence[int], head_width: int, num_classes: int) -> None:
        super().__init__(widths, head_width, num_classes)
        self.pooling = PyramidPooling(widths[-1], head_width)
        self.laterals = nn.ModuleList(
            LinearNorm(width, head_width, bias=False) for width in widths[:-1]
        )
        self.smoothings = nn.ModuleList(
            ConvNorm(head_width, head_width, 3, bias=False) for _ in widths[:-1]
        )
        self.fusion = ConvNorm(len(widths) * head_width, head_width, 3, bias=False)
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(head_width, num_classes)

    @staticmethod
    def joined(num_maps: int) -> Mapping[str, int]:
        return {"pooling.from_pools": len(POOL_SCALES), "fusion.conv": num_maps}

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        y_bhwc = self.pooling(maps[-1])
        pyramid = [y_bhwc]
        steps = zip(maps[:-1], self.laterals, self.smoothings, strict=True)
        for x_bhwc, lateral, smoothing in reversed(list(steps)):
            coarser = resize_bilinear(y_bhwc, tuple(x_bhwc.shape[1:3]))
            y_bhwc = coarser.add_(F.relu_(lateral(x_bhwc)))
            pyramid.insert(0, F.relu_(smoothing(y_bhwc)))
        size = tuple(maps[0].shape[1:3])
        finest, *coarse = pyramid
        joined = torch.cat([finest, *(resize_bilinear(y, size) for y in coarse)], -1)
        y_bhwc = F.relu_(self.fusion(joined))
        return self.classifier(self.dropout(y_bhwc))


HEAD_MODULES: Mapping[HeadKind, type[Head]] = MappingProxyType(
    {
        "segformer": SegFormerHead,
        "upernet": UperNetHead,
    }
)


def resize_bilinear(x_bhwc: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bilinear resizing of tokens to `(h, w)`, corners not aligned."""
    x_bchw = x_bhwc.permute(0, 3, 1, 2)
    y_bchw = F.interpolate(x_bchw, size=size, mode="bilinear", align_corners=False)
    return y_bchw.permute(0, 2, 3, 1)
