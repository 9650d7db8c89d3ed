"""Closed-form work and parameters of each part of a network.

Every function mirrors the module of `hrvit_nas.models` with the same name, an operator at a
time, and returns one `Term` an operator. `macs` are those our model executes, `published_macs`
those of the published form of the same function: strips padded to full width, and the head's
maps resized before they are joined. `h` and `w` are token counts of the map at hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from ..arch import FeedForward, PatchEmbedding, Shortcut, des_factor

CACHE_SIZE = 1 << 16
CLASSIFIER_WIDTHS = (128, 256, 512, 1024)
CLASSIFIER_FEATURES = 2048


class Term(NamedTuple):
    """Work of one operator of one part.

    `operator` is `conv`, `linear`, `matmul` or `attention`, or `none` for parameters that do no
    counted work (norms).
    """

    part: str
    operator: str
    macs: int
    published_macs: int
    params: int


class Part(NamedTuple):
    """Terms of one part of the network, and their sums."""

    terms: tuple[Term, ...]
    macs: int
    published_macs: int
    params: int


def part_of(terms: Iterable[Term]) -> Part:
    """Sums terms once, so that a cached part costs an estimate three additions."""
    terms = tuple(terms)
    macs = published_macs = params = 0
    for term in terms:
        macs += term[2]
        published_macs += term[3]
        params += term[4]
    return Part(terms, macs, published_macs, params)


def norm(part: str, channels: int) -> Term:
    """Affine parameters of a LayerNorm or BatchNorm, whose work is not counted."""
    return Term(part, "none", 0, 0, 2 * channels)


def conv(
    part: str, kernel: int, inputs: int, outputs: int, tokens: int, *, bias: bool = True
) -> Term:
    """A dense convolution with so many output tokens."""
    macs = kernel * kernel * inputs * outputs
    return Term(part, "conv", macs * tokens, macs * tokens, macs + bias * outputs)


def depthwise(part: str, kernel: int, channels: int, tokens: int, *, bias: bool = True) -> Term:
    """A depth-wise convolution with so many output tokens."""
    macs = kernel * kernel * channels
    return Term(part, "conv", macs * tokens, macs * tokens, macs + bias * channels)


def linear(part: str, inputs: int, outputs: int, tokens: int, *, bias: bool = True) -> Term:
    """A linear map over the channels of so many tokens."""
    macs = inputs * outputs
    return Term(part, "linear", macs * tokens, macs * tokens, macs + bias * outputs)


@lru_cache(CACHE_SIZE)
def stem(width: int, image_h: int, image_w: int) -> Part:
    """Two stride-2 convolutions with BatchNorm."""
    h, w = -(-image_h // 2), -(-image_w // 2)
    inner = width // 2
    return part_of(
        [
            conv("stem", 3, 3, inner, h * w),
            norm("stem", inner),
            conv("stem", 3, inner, width, -(-h // 2) * -(-w // 2)),
            norm("stem", width),
        ]
    )


@lru_cache(CACHE_SIZE)
def fusion_path(inputs: int, outputs: int, steps: int, tokens_in: int, tokens_out: int) -> Part:
    """One edge of a fusion that changes resolution: down by `steps` octaves, or up if negative."""
    if steps < 0:
        return part_of([linear("fusion", inputs, outputs, tokens_in), norm("fusion", outputs)])
    return part_of(
        [
            depthwise("fusion", 2**steps + 1, inputs, tokens_out, bias=False),
            norm("fusion", inputs),
            linear("fusion", inputs, outputs, tokens_out),
            norm("fusion", outputs),
        ]
    )


@lru_cache(CACHE_SIZE)
def shortcut(kind: Shortcut, c: int, tokens: int) -> Part:
    """Both factors of the diversity-enhanced shortcut of one block, if there is one."""
    if kind != "des":
        return part_of([])
    p = des_factor(c)
    k = c // p
    return part_of([linear("shortcut", p, p, tokens * k), linear("shortcut", k, k, tokens * p)])


@lru_cache(CACHE_SIZE)
def feed_forward(kind: FeedForward, c: int, hidden: int, tokens: int) -> Part:
    """Norm and two linear maps of one block, MixCFN with depth-wise convolutions between them."""
    terms = [
        norm("feed_forward", c),
        linear("feed_forward", c, hidden, tokens),
        linear("feed_forward", hidden, c, tokens),
    ]
    if kind == "mix_cfn":
        terms += [depthwise("feed_forward", k, hidden // 2, tokens) for k in (3, 5)]
    return part_of(terms)


@lru_cache(CACHE_SIZE)
def patch_embedding(kind: PatchEmbedding, inputs: int, outputs: int, tokens: int) -> Part:
    """Patch embedding of a stage, and the norm at the stage's end."""
    if kind == "efficient":
        terms = [
            linear("patch_embedding", inputs, outputs, tokens),
            depthwise("patch_embedding", 3, outputs, tokens),
        ]
    else:
        terms = [conv("patch_embedding", 3, inputs, outputs, tokens)]
    return part_of([*terms, norm("patch_embedding", outputs), norm("norm", outputs)])


@lru_cache(CACHE_SIZE)
def classification_head(widths: tuple[int, ...], num_classes: int, tokens: tuple[int, ...]) -> Part:
    """Bottlenecks, stride-2 convolutions, final map and classifier."""
    terms = []
    outputs = CLASSIFIER_WIDTHS[: len(widths)]
    for width, out, count in zip(widths, outputs, tokens, strict=True):
        inner = out // 4
        shapes = ((1, width, inner), (3, inner, inner), (1, inner, out), (1, width, out))
        for kernel, into, to in shapes:
            terms += [conv("head", kernel, into, to, count, bias=False), norm("head", to)]
    for fine, coarse, count in zip(outputs, outputs[1:], tokens[1:], strict=False):
        terms += [conv("head", 3, fine, coarse, count), norm("head", coarse)]
    terms += [
        conv("head", 1, outputs[-1], CLASSIFIER_FEATURES, tokens[-1]),
        norm("head", CLASSIFIER_FEATURES),
        linear("head", CLASSIFIER_FEATURES, num_classes, 1),
    ]
    return part_of(terms)
