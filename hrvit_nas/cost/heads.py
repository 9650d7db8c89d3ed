"""Work, parameters and activations of each kind of segmentation head.

A kind is a class here and an entry of `HEAD_COSTS`; it mirrors the module of the same kind in
`hrvit_nas.models.heads`. An auxiliary head is no kind: it is there in training alone, beside a head
of any kind (`hrvit_nas.models.auxiliary`), and no part of a network's cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from ..arch import HeadKind
from .terms import CACHE_SIZE, Part, Term, conv, linear, norm, part_of

POOL_SCALES = (1, 2, 3, 6)
"""Sides of the squares of tokens that UperNet's coarsest map is pooled to."""
AUXILIARY_MAP = 2
"""Which map an auxiliary head reads, from 0, finest first."""
AUXILIARY_WIDTH = 256
"""Channels of an auxiliary head."""


class HeadSite(NamedTuple):
    """What the cost of a head depends on beside its kind.

    Attributes:
        widths: Channels of the backbone's maps, finest first.
        tokens: Tokens of each of them.
        head_width: Channels of the head.
        num_classes: Classes to tell apart.
    """

    widths: tuple[int, ...]
    tokens: tuple[int, ...]
    head_width: int
    num_classes: int


class HeadCost:
    """What a kind costs."""

    def terms(self, at: HeadSite) -> list[Term]:
        """One term an operator, norms among them; the last classifies the finest map."""
        raise NotImplementedError

    def floats(self, at: HeadSite) -> int:
        """Most elements alive at once beside the backbone's maps, up to the logits."""
        raise NotImplementedError


class SegFormerCost(HeadCost):
    """A linear map a branch, and a joining one that each map passes at its own resolution."""

    def terms(self, at: HeadSite) -> list[Term]:
        """Norm, classifier, and each branch's way through the head."""
        width = at.head_width
        terms = [norm("head", width), linear("head", width, at.num_classes, at.tokens[0])]
        for inputs, count in zip(at.widths, at.tokens, strict=True):
            terms += self._branch(inputs, width, count, at.tokens[0])
        return terms

    def _branch(self, inputs: int, width: int, tokens: int, finest: int) -> list[Term]:
        """Projection of a branch, and its slice of the joining map."""
        joining = width * width
        params = inputs * width + width + joining
        published = tokens * inputs * width + finest * joining
        if tokens > inputs:
            executed = inputs * width * tokens
            return [
                Term("head", "matmul", joining * inputs, 0, 0),
                Term("head", "linear", executed, published, params),
            ]
        return [Term("head", "linear", tokens * (inputs * width + joining), published, params)]

    def floats(self, at: HeadSite) -> int:
        """The sum at the finest map, beside the logits or a map that is being added."""
        total = at.head_width * at.tokens[0]
        joining = max((total + at.head_width * count for count in at.tokens[1:]), default=0)
        return total + max(at.num_classes * at.tokens[0], joining)


class UperNetCost(HeadCost):
    """A pyramid of pooled maps on the coarsest map, a feature pyramid, and one convolution."""

    def terms(self, at: HeadSite) -> list[Term]:
        """In the order of execution."""
        width, coarsest = at.head_width, at.widths[-1]
        num_pools, num_maps = len(POOL_SCALES), len(at.widths)
        terms = []
        for side in POOL_SCALES:
            terms += [linear("head", coarsest, width, side * side, bias=False), norm("head", width)]
        terms += [
            conv("head", 3, coarsest, width, at.tokens[-1], bias=False),
            conv("head", 3, num_pools * width, width, at.tokens[-1], bias=False),
            norm("head", width),
        ]
        for inputs, count in zip(at.widths[:-1], at.tokens[:-1], strict=True):
            terms += [linear("head", inputs, width, count, bias=False), norm("head", width)]
            terms += [conv("head", 3, width, width, count, bias=False), norm("head", width)]
        return [
            *terms,
            conv("head", 3, num_maps * width, width, at.tokens[0], bias=False),
            norm("head", width),
            linear("head", width, at.num_classes, at.tokens[0]),
        ]

    def floats(self, at: HeadSite) -> int:
        """When the pools are joined, the pyramid is, or it is classified."""
        width, finest, num_maps = at.head_width, at.tokens[0], len(at.tokens)
        side = max(POOL_SCALES)
        pooled = (at.widths[-1] + width) * side * side
        pooling = pooled + width * (2 * len(POOL_SCALES) + 1) * at.tokens[-1]
        pyramid = width * sum(at.tokens)
        last_sum = width * finest * (num_maps > 1)
        joining = last_sum + width * finest * (2 * num_maps - 1)
        classified = width * finest * (num_maps + 1) + at.num_classes * finest
        return max(pooling, pyramid + max(joining, classified))


HEAD_COSTS: Mapping[HeadKind, HeadCost] = MappingProxyType(
    {
        "segformer": SegFormerCost(),
        "upernet": UperNetCost(),
    }
)


@lru_cache(CACHE_SIZE)
def head(kind: HeadKind, at: HeadSite) -> Part:
    """All of a segmentation head."""
    return part_of(HEAD_COSTS[kind].terms(at))


def head_floats(kind: HeadKind, at: HeadSite, pixels: int) -> tuple[int, int]:
    """Most elements alive beside the backbone's maps, and once these are gone.

    Args:
        kind: Kind of head.
        at: Its sizes.
        pixels: Of the image, whose size the logits are brought to.
    """
    return HEAD_COSTS[kind].floats(at), at.num_classes * (at.tokens[0] + pixels)


def auxiliary_input(widths: tuple[int, ...]) -> int:
    """Channels of the map that an auxiliary head reads, among those of a backbone's maps.

    Raises:
        ValueError: There is no such map.
    """
    if len(widths) <= AUXILIARY_MAP:
        raise ValueError(
            f"an auxiliary head reads map {AUXILIARY_MAP + 1} of a backbone; the architecture must"
            f" have so many branches, got {len(widths)}"
        )
    return widths[AUXILIARY_MAP]


def auxiliary_head(widths: tuple[int, ...], tokens: tuple[int, ...], num_classes: int) -> Part:
    """What an auxiliary head adds to a training pass, with its parameters.

    Args:
        widths: Channels of the backbone's maps, finest first.
        tokens: Tokens of each of them.
        num_classes: Classes to tell apart.

    Raises:
        ValueError: There is no map for it to read.
    """
    inputs = auxiliary_input(widths)
    count = tokens[AUXILIARY_MAP]
    return part_of(
        [
            conv("auxiliary_head", 3, inputs, AUXILIARY_WIDTH, count, bias=False),
            norm("auxiliary_head", AUXILIARY_WIDTH),
            linear("auxiliary_head", AUXILIARY_WIDTH, num_classes, count),
        ]
    )
