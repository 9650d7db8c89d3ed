"""HRNet's classification head, on channels-last tokens.

Source: Wang et al., "Deep High-Resolution Representation Learning", TPAMI 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from ..cost.terms import CLASSIFIER_FEATURES, CLASSIFIER_WIDTHS
from .layers import ConvNorm
from .symbolic import cropped, is_symbolic


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
            y_bhwc = F.relu(downsample(y_bhwc))
            if is_symbolic(*x_bhwc.shape[1:3]):
                y_bhwc = cropped(y_bhwc, x_bhwc.shape[1:3])
            y_bhwc = bottleneck(x_bhwc) + y_bhwc
        features = F.relu(self.final(y_bhwc)).mean((1, 2))
        return self.classifier(self.dropout(features))
