"""Work, parameters and activations of each kind of attention.

A kind is a class here and an entry of `ATTENTION_COSTS`; it mirrors the module of the same kind in
`hrvit_nas.models.attention`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from ..arch import Attention
from .terms import CACHE_SIZE, Part, Term, conv, depthwise, linear, norm, part_of


class Site(NamedTuple):
    """What the cost of an attention depends on beside its kind.

    Attributes:
        c: Channels.
        h: Rows of tokens.
        w: Columns of tokens.
        strip_width: Of a strip or square, in tokens; None for the kinds without.
        kv_sharing: Whether keys are values.
        parallel_conv: Whether there is a parallel path.
        branch_index: Position of the branch, from 0 at stride 4.
    """

    c: int
    h: int
    w: int
    strip_width: int | None
    kv_sharing: bool
    parallel_conv: bool
    branch_index: int

    @property
    def sources(self) -> int:
        """Maps that queries, keys and values are: two where keys are values."""
        return 2 if self.kv_sharing else 3


class Products(NamedTuple):
    """Multiply-adds of query-key and weight-value products, as executed and as published."""

    executed: int
    published: int


class AttentionCost:
    """What a kind costs; by default all tokens are queries, keys and values of one input map."""

    def input_terms(self, at: Site) -> list[Term]:
        """The maps that queries, keys and values come from."""
        return [linear("attention", at.c, at.sources * at.c, at.h * at.w)]

    def products(self, at: Site) -> Products:
        """Both products of every region."""
        raise NotImplementedError

    def floats(self, at: Site) -> int:
        """Most maps of the branch's width alive at once, the block's input aside."""
        # The joint input map stays alive for its view, the value; copies of query, key and
        # value while a region is gathered, then attention output, Hardswish and convolution.
        return at.sources + (3 if at.parallel_conv else 2)


class CrossShapedCost(AttentionCost):
    """Strips of rows for half of the channels, of columns for the other half."""

    def products(self, at: Site) -> Products:
        """Both products of every strip, the last of which may be narrower."""
        size = at.strip_width or 1
        executed = published = 0
        for along, across in ((at.h, at.w), (at.w, at.h)):
            whole, rest = divmod(along, size)
            executed += whole * (size * across) ** 2 + (rest * across) ** 2
            published += -(-along // size) * (size * across) ** 2
        return Products(executed * at.c, published * at.c)


class WindowCost(AttentionCost):
    """Squares of `strip_width` tokens a side."""

    def products(self, at: Site) -> Products:
        """Both products of every square, those at the edge being smaller."""
        size = at.strip_width or 1
        (rows, low), (columns, narrow) = divmod(at.h, size), divmod(at.w, size)
        squares = (rows * size**2 + low**2) * (columns * size**2 + narrow**2)
        padded = -(-at.h // size) * -(-at.w // size) * size**4
        return Products(2 * at.c * squares, 2 * at.c * padded)

    def floats(self, at: Site) -> int:
        """Squares are gathered by a copy of each source."""
        return max(super().floats(at), 2 * at.sources + 1)


def reduction_ratio(branch_index: int) -> int:
    """Factor by which spatial-reduction attention shrinks a branch's keys, to reach stride 32."""
    return max(1, 8 >> branch_index)


class SpatialReductionCost(AttentionCost):
    """Every token attends to a map reduced to stride 32."""

    def input_terms(self, at: Site) -> list[Term]:
        """Queries of all tokens, keys and values of the reduced ones, values for the other path."""
        ratio, c, keys = reduction_ratio(at.branch_index), at.c, self._keys(at)
        macs = c * c * ((1 + at.parallel_conv) * at.h * at.w + (at.sources - 1) * keys)
        terms = [Term("attention", "linear", macs, macs, at.sources * (c * c + c))]
        if ratio > 1:
            terms += [conv("attention", ratio, c, c, keys), norm("attention", c)]
        return terms

    def products(self, at: Site) -> Products:
        """Both products of all tokens with the reduced ones."""
        macs = 2 * at.c * at.h * at.w * self._keys(at)
        return Products(macs, macs)

    def floats(self, at: Site) -> int:
        """Query, output and one more; the value of the other path too."""
        return 4 if at.parallel_conv else 3

    def _keys(self, at: Site) -> int:
        ratio = reduction_ratio(at.branch_index)
        return -(-at.h // ratio) * -(-at.w // ratio)


class ConvolutionCost(AttentionCost):
    """The parallel convolution alone."""

    def input_terms(self, at: Site) -> list[Term]:
        """The value."""
        return [linear("attention", at.c, at.c, at.h * at.w)]

    def products(self, at: Site) -> Products:  # noqa: ARG002
        """None."""
        return Products(0, 0)

    def floats(self, at: Site) -> int:  # noqa: ARG002
        """Value, Hardswish, convolution."""
        return 3


ATTENTION_COSTS: Mapping[Attention, AttentionCost] = MappingProxyType(
    {
        "cross_shaped": CrossShapedCost(),
        "window": WindowCost(),
        "spatial_reduction": SpatialReductionCost(),
        "convolution": ConvolutionCost(),
    }
)


@lru_cache(CACHE_SIZE)
def attention(kind: Attention, at: Site, extra_nonlinearity: bool) -> Part:
    """Norm, input map, attention products, parallel path and output map of one block."""
    cost, c, tokens = ATTENTION_COSTS[kind], at.c, at.h * at.w
    terms = [norm("attention", c), *cost.input_terms(at)]
    executed, published = cost.products(at)
    if executed:
        terms.append(Term("attention", "attention", executed, published, 0))
    if at.parallel_conv:
        terms.append(depthwise("attention", 3, c, tokens))
    terms.append(linear("attention", c, c, tokens))
    if extra_nonlinearity:
        terms.append(norm("attention", c))
    return part_of(terms)
