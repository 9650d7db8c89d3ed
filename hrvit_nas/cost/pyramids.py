"""Closed-form work, parameters and peak activations of the baselines.

Mirrors `hrvit_nas.models.cswin` and `hrvit_nas.models.mit`, an operator at a time, as `terms` does
for HRViT. Stage i of a pyramid stands as branch i of module i in a breakdown.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from ..arch import Family, PyramidSpec, PyramidStage
from .attention import CrossShapedCost, Site
from .terms import (
    CACHE_SIZE,
    Part,
    Term,
    conv,
    depthwise,
    linear,
    norm,
    part_of,
)


@lru_cache(CACHE_SIZE)
def embedding(inputs: int, width: int, kernel: int, tokens: int) -> Part:
    """The strided convolution that opens a stage, its norm, and the norm at the stage's end."""
    return part_of(
        [
            conv("patch_embedding", kernel, inputs, width, tokens),
            norm("patch_embedding", width),
            norm("norm", width),
        ]
    )


@lru_cache(CACHE_SIZE)
def cswin_attention(stage: PyramidStage, h: int, w: int) -> Part:
    """Norm, joint input map, strips or the whole map, LePE and output map of one block."""
    c, tokens = stage.width, h * w
    if stage.strip_width is None:
        executed = published = 2 * c * tokens * tokens
    else:
        executed, published = CrossShapedCost().products(
            Site(c, h, w, stage.strip_width, kv_sharing=False, parallel_conv=True, branch_index=0)
        )
    return part_of(
        [
            norm("attention", c),
            linear("attention", c, 3 * c, tokens),
            Term("attention", "attention", executed, published, 0),
            depthwise("attention", 3, c, tokens),
            linear("attention", c, c, tokens),
        ]
    )


@lru_cache(CACHE_SIZE)
def mit_attention(stage: PyramidStage, h: int, w: int) -> Part:
    """Norm, query, reduced keys and values, and output map of one block."""
    c, tokens = stage.width, h * w
    ratio = stage.reduction_ratio or 1
    keys = (h // ratio) * (w // ratio)  # a convolution without padding: the rest is dropped
    products = 2 * c * tokens * keys
    terms = [norm("attention", c), linear("attention", c, c, tokens)]
    if ratio > 1:
        terms += [conv("attention", ratio, c, c, keys), norm("attention", c)]
    return part_of(
        [
            *terms,
            linear("attention", c, c, keys),
            linear("attention", c, c, keys),
            Term("attention", "attention", products, products, 0),
            linear("attention", c, c, tokens),
        ]
    )


@lru_cache(CACHE_SIZE)
def feed_forward(family: Family, stage: PyramidStage, tokens: int) -> Part:
    """Norm and two linear maps, in MiT with a depth-wise convolution between them."""
    c, hidden = stage.width, stage.width * stage.expansion_ratio
    terms = [
        norm("feed_forward", c),
        linear("feed_forward", c, hidden, tokens),
        linear("feed_forward", hidden, c, tokens),
    ]
    if family == "mit":
        terms.append(depthwise("feed_forward", 3, hidden, tokens))
    return part_of(terms)


def pyramid_parts(
    spec: PyramidSpec, sizes: list[tuple[int, int]]
) -> Iterator[tuple[int, int, int, Part]]:
    """Yields (stage, stage, times, part) in the order of execution, without the head."""
    attention = mit_attention if spec.family == "mit" else cswin_attention
    inputs = 3
    for number, (stage, (h, w)) in enumerate(zip(spec.stages, sizes, strict=True), start=1):
        kernel = 7 if number == 1 else 3
        yield number, number, 1, embedding(inputs, stage.width, kernel, h * w)
        yield number, number, stage.blocks, attention(stage, h, w)
        yield number, number, stage.blocks, feed_forward(spec.family, stage, h * w)
        inputs = stage.width


def pyramid_floats(
    spec: PyramidSpec, image_size: tuple[int, int], tokens: tuple[int, ...]
) -> tuple[int, int]:
    """Most elements alive at once in the backbone, and those of its output maps."""
    height, width = image_size
    image = 3 * height * width
    keeps = spec.family == "cswin"  # what a stage goes on from, beside the map that it returns
    before = keeps * image  # brought to channels-last
    maps = peak = 0
    for stage, count in zip(spec.stages, tokens, strict=True):
        own = stage.width * count
        peak = max(peak, image + maps + before + _block_floats(spec.family, stage, own))
        maps += own
        before = keeps * own
    return peak, maps


def _block_floats(family: Family, stage: PyramidStage, own: int) -> int:
    """Most elements alive in a block: its input, and what attention or feed-forward holds."""
    first_input = stage.blocks > 1
    hidden = stage.expansion_ratio
    if family == "mit":
        return own * (first_input + 2 + 2 * hidden)
    # The joint map of query, key and value stays alive for its views while copies of their halves
    # are gathered in strips, beside what either half attended to.
    attention = 6 if stage.strip_width is not None else 5
    return own * (first_input + 2 + max(attention, hidden))
