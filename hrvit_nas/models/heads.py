"""SegFormer's all-MLP head and HRNet's classification head, on channels-last tokens.

Sources: Xie et al., "SegFormer", NeurIPS 2021, section 3.2; Wang et al., "Deep
High-Resolution Representation Learning", TPAMI 2020 (classification head).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..cost.terms import CLASSIFIER_FEATURES, CLASSIFIER_WIDTHS
from .layers import ConvNorm, LinearNorm

DROPOUT = 0.1


class SegFormerHead(nn.Module):
    """One linear map a branch, resized to the finest map, joined by a linear map, classified.

    Linear maps and bilinear resizing commute, so each branch passes both maps at its own
    resolution and only the sum is formed at the finest one. Where a map has more tokens than
    channels the two maps are multiplied first, which is less work again.
    """

    def __init__(self, widths: Sequence[int], head_width: int, num_classes: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(width, head_width) for width in widths)
        self.fusion = LinearNorm(len(widths) * head_width, head_width, bias=False)
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(head_width, num_classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Tokens `(B, h, w, C)` a branch to logits `(B, h, w, num_classes)` at the finest size."""
        weight, bias = self.fusion.linear.weight, None
        if not self.training:
            weight, bias = self.fusion.norm.folded(weight, None)
        slices = weight.chunk(len(maps), 1)
        size = tuple(maps[0].shape[1:3])
        total = None
        for x_bhwc, projection, w in zip(maps, self.projections, slices, strict=True):
            if x_bhwc.shape[1] * x_bhwc.shape[2] > x_bhwc.shape[3]:
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


class Bottleneck(nn.Module):
    """Residual bottleneck (1x1, 3x3, 1x1; inner width a quarter) with a projected shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        inner = outputs // 4
        self.reduce = ConvNorm(inputs, inner, 1, bias=False)
        self.conv = ConvNorm(inner, inner, 3, bias=False)
        self.expand = ConvNorm(inner, outputs, 1, bias=False)
        self.shortcut = ConvNorm(inputs, outputs, 1, bias=False)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        y_bhwc = F.relu(self.conv(F.relu(self.reduce(x_bhwc))))
        return F.relu(self.expand(y_bhwc) + self.shortcut(x_bhwc))


class ClassificationHead(nn.Module):
    """A bottleneck a branch, added up from fine to coarse, pooled and classified."""

    def __init__(self, widths: Sequence[int], num_classes: int, dropout: float) -> None:
        super().__init__()
        outputs = CLASSIFIER_WIDTHS[: len(widths)]
        self.bottlenecks = nn.ModuleList(map(Bottleneck, widths, outputs))
        self.downsamples = nn.ModuleList(
            ConvNorm(fine, coarse, 3, stride=2) for fine, coarse in pairwise(outputs)
        )
        self.final = ConvNorm(outputs[-1], CLASSIFIER_FEATURES, 1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(CLASSIFIER_FEATURES, num_classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Tokens `(B, h, w, C)` a branch to logits `(B, num_classes)`."""
        y_bhwc = self.bottlenecks[0](maps[0])
        for x_bhwc, bottleneck, downsample in zip(
            maps[1:], self.bottlenecks[1:], self.downsamples, strict=True
        ):
            y_bhwc = bottleneck(x_bhwc) + F.relu(downsample(y_bhwc))
        features = F.relu(self.final(y_bhwc)).mean((1, 2))
        return self.classifier(self.dropout(features))


def resize_bilinear(x_bhwc: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bilinear resizing of tokens to `(h, w)`, corners not aligned."""
    x_bchw = x_bhwc.permute(0, 3, 1, 2)
    y_bchw = F.interpolate(x_bchw, size=size, mode="bilinear", align_corners=False)
    return y_bchw.permute(0, 2, 3, 1)
