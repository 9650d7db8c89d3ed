"""An auxiliary head, which helps a backbone to learn and is no part of the network that remains.

Sources: Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017 (a second, weighted loss on an
earlier map, in training alone); Long et al., "Fully Convolutional Networks", CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..cost.heads import AUXILIARY_MAP, AUXILIARY_WIDTH, auxiliary_input
from .build import Segmentor, initialise, resized_planes
from .heads import DROPOUT
from .layers import ConvNorm


class AuxiliaryHead(nn.Module):
    """One convolution of one map, classified.

    Args:
        widths: Channels of the backbone's maps, finest first.
        num_classes: Classes to tell apart.

    Raises:
        ValueError: There is no map for it to read.
    """

    def __init__(self, widths: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.convolution = ConvNorm(auxiliary_input(widths), AUXILIARY_WIDTH, 3, bias=False)
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(AUXILIARY_WIDTH, num_classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Tokens `(B, h, w, C)` a branch to logits `(B, h, w, num_classes)` at the map's size."""
        y_bhwc = F.relu_(self.convolution(maps[AUXILIARY_MAP]))
        return self.classifier(self.dropout(y_bhwc))


class AuxiliarySegmentor(Segmentor):
    """A segmentor with an auxiliary head beside its own, for as long as it is trained.

    Backbone and head are the segmentor's own modules, so that what they learn is learnt there.
    Called like any segmentor it gives the logits of the head alone, and computes nothing more.

    Args:
        segmentor: What is trained.
        num_classes: Classes that it tells apart.
        seed: Of the auxiliary head's first weights.

    Raises:
        ValueError: There is no map for an auxiliary head to read.
    """

    def __init__(self, segmentor: Segmentor, num_classes: int, seed: int) -> None:
        nn.Module.__init__(self)  # a network's own would draw all weights anew
        self.spec = segmentor.spec
        self.backbone = segmentor.backbone
        self.head = segmentor.head
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.auxiliary_head = AuxiliaryHead(self.spec.out_widths, num_classes)
            self.auxiliary_head.apply(initialise)

    def forward_both(self, image_bchw: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, 3, H, W)` to logits `(B, num_classes, H, W)` of the head and the auxiliary head."""
        maps = self.backbone.forward_tokens(image_bchw)
        size = image_bchw.shape[2:]
        return (
            resized_planes(self.head(maps), size),
            resized_planes(self.auxiliary_head(maps), size),
        )
