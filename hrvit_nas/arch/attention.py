"""Kinds of attention, and what a description of a network must know of each.

A kind has an entry here, a cost in `hrvit_nas.cost.attention` and a module in
`hrvit_nas.models.attention`, each in a table by its name; a test holds the three together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

Attention = str
"""Name of a kind: a key of `ATTENTION_KINDS`."""


@dataclass(frozen=True, kw_only=True)
class AttentionTraits:
    """What sets a kind of attention apart.

    Attributes:
        short_name: For a cell of a drawing.
        strips: Whether it reads `strip_width`.
        heads: Whether it reads `head_dim`, `kv_sharing` and `parallel_conv`; a kind without heads
            is the parallel convolution alone.
        groups: Equal parts of the channels that attend apart, each with heads of its own.
    """

    short_name: str
    strips: bool
    heads: bool
    groups: int = 1


ATTENTION_KINDS: Mapping[Attention, AttentionTraits] = MappingProxyType(
    {
        "cross_shaped": AttentionTraits(short_name="cross", strips=True, heads=True, groups=2),
        "window": AttentionTraits(short_name="window", strips=True, heads=True),
        "spatial_reduction": AttentionTraits(short_name="reduction", strips=False, heads=True),
        "convolution": AttentionTraits(short_name="conv", strips=False, heads=False),
    }
)
ATTENTIONS: tuple[Attention, ...] = tuple(ATTENTION_KINDS)
STRIP_ATTENTIONS: tuple[Attention, ...] = tuple(k for k, t in ATTENTION_KINDS.items() if t.strips)
"""Kinds that read `strip_width`."""
HEADED_ATTENTIONS: tuple[Attention, ...] = tuple(k for k, t in ATTENTION_KINDS.items() if t.heads)
"""Kinds that read `head_dim`, `kv_sharing` and `parallel_conv`."""


def attention_group_width(attention: Attention, width: int) -> int:
    """Channels that one attention group of a kind splits into heads (half for cross-shaped)."""
    return width // ATTENTION_KINDS[attention].groups
