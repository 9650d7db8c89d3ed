"""Kinds of segmentation head, and what a description of a network must know of each.

A kind has an entry here, a cost in `hrvit_nas.cost.heads` and a module in `hrvit_nas.models.heads`,
each in a table by its name; a test holds the three together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

HeadKind = str
"""Name of a kind: a key of `HEAD_KINDS`."""


@dataclass(frozen=True, kw_only=True)
class HeadTraits:
    """What sets a kind of head apart.

    Attributes:
        label: For a drawing.
        min_images: Fewest images that a batch normalises over, in training and where batch
            statistics are estimated.
    """

    label: str
    min_images: int = 1


HEAD_KINDS: Mapping[HeadKind, HeadTraits] = MappingProxyType(
    {
        "segformer": HeadTraits(label="SegFormer"),
        "upernet": HeadTraits(label="UperNet", min_images=2),  # a pool of one token
    }
)
