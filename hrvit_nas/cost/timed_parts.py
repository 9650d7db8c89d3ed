"""The parts that an architecture's forward pass is made of, as far as its latency tells them apart.

Two parts that are equal take the same time at one image size, batch size and number of classes,
wherever in a network they stand: a table of latencies has one row for each. Every part is a module
of `hrvit_nas.models` or half of one, and its work in closed form is that of `terms`: over the parts
of an architecture it sums to `estimate_cost`.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Literal, NamedTuple, cast, get_args

from ..arch import ArchSpec, BranchSpec
from . import terms
from .attention import Site, attention
from .estimate import branch_sizes
from .heads import HeadSite, head
from .terms import CACHE_SIZE, Part, part_of

PartKind = Literal[
    "stem", "fusion", "activation", "patch_embedding", "attention", "feed_forward", "head"
]
PART_KINDS: tuple[PartKind, ...] = get_args(PartKind)
NUM_FEATURES = 6


class TimedPart(NamedTuple):
    """One part.

    Attributes:
        kind: `stem`; `fusion` (a path between two resolutions, added to what is there);
            `activation` (the GELU of a map that a fusion puts out); `patch_embedding` (with the
            norm at the stage's end); `attention` and `feed_forward` (the halves of a block, each
            with its norm and residual); `head` (with the resizing of its logits).
        branches: Whose maps it reads and, of a path, writes, from 0 at stride 4.
        widths: Channels of what it reads and writes.
        settings: What else there is to it, such as kinds, strip width and number of heads;
            switches are 0 or 1.
    """

    kind: PartKind
    branches: tuple[int, ...]
    widths: tuple[int, ...]
    settings: tuple[int | str, ...] = ()

    @property
    def key(self) -> str:
        """It as text, such as `attention/2/48/cross_shaped,4,3,1,1,1,des`."""
        return "/".join((self.kind, *(",".join(map(str, values)) for values in self[1:])))

    @classmethod
    def parse(cls, key: str) -> TimedPart:
        """The part of a key.

        Raises:
            ValueError: It is none.
        """
        kind, *lists = key.split("/")
        if kind not in PART_KINDS or len(lists) != 3:
            raise ValueError(
                f"a part must be KIND/BRANCHES/WIDTHS/SETTINGS with KIND one of"
                f" {', '.join(PART_KINDS)}, got {key[:60]!r}"
            )
        branches, widths, settings = ([v for v in text.split(",") if v] for text in lists)
        if not all(value.isdecimal() for value in branches + widths):
            raise ValueError(f"branches and widths of a part must be numbers, got {key[:60]!r}")
        return cls(
            kind,
            tuple(map(int, branches)),
            tuple(map(int, widths)),
            tuple(int(value) if value.isdecimal() else value for value in settings),
        )

    @property
    def make(self) -> tuple[int | str, ...]:
        """Its settings without strip width and number of heads, whose work tells of them."""
        if self.kind != "attention":
            return self.settings
        kind, _, _, *rest = self.settings
        return (kind, *rest)


def timed_parts(spec: ArchSpec, image_size: tuple[int, int]) -> Counter[TimedPart]:
    """How often each part is in an architecture.

    Args:
        spec: The architecture.
        image_size: Height and width in pixels; strips wider than a map are as wide as the map.
    """
    sizes = branch_sizes(image_size, spec.num_branches)
    found: Counter[TimedPart] = Counter()
    found[TimedPart("stem", (0,), (spec.stem_width,))] += 1
    for plan, module in zip(spec.fusions, spec.modules, strict=True):
        for out, into in plan.edges:
            if out != into:
                widths = (plan.incoming[into], plan.outgoing[out])
                found[TimedPart("fusion", (into, out), widths)] += 1
        for b, branch in enumerate(module.branches):
            inputs = plan.outgoing[b]
            found[TimedPart("activation", (b,), (inputs,))] += 1
            kind = branch.patch_embedding
            found[TimedPart("patch_embedding", (b,), (inputs, branch.width), (kind,))] += 1
            attention_part, feed_forward_part = _halves(branch, b, max(sizes[b]))
            found[attention_part] += branch.blocks
            found[feed_forward_part] += branch.blocks
    every = tuple(range(spec.num_branches))
    found[TimedPart("head", every, (*spec.out_widths, spec.head_width), (spec.head_kind,))] += 1
    return found


@lru_cache(CACHE_SIZE)
def _halves(branch: BranchSpec, b: int, longest: int) -> tuple[TimedPart, TimedPart]:
    """Attention with its shortcut, and feed-forward."""
    settings = (
        branch.attention,
        min(branch.strip_width or 0, longest),
        branch.num_heads,
        int(branch.kv_sharing),
        int(branch.parallel_conv),
        int(branch.extra_nonlinearity),
        branch.shortcut,
    )
    hidden = (branch.width, branch.hidden_width)
    return (
        TimedPart("attention", (b,), (branch.width,), settings),
        TimedPart("feed_forward", (b,), hidden, (branch.feed_forward,)),
    )


@lru_cache(CACHE_SIZE)
def work_of(part: TimedPart, image_size: tuple[int, int], num_classes: int) -> Part:
    """Closed-form multiply-adds and parameters of a part."""
    sizes = branch_sizes(image_size, max(part.branches) + 1)
    tokens = tuple(h * w for h, w in sizes)
    b, widths, settings = part.branches[0], part.widths, cast("tuple[str, ...]", part.settings)
    match part.kind:
        case "stem":
            return terms.stem(*widths, *image_size)
        case "fusion":
            into, out = part.branches
            return terms.fusion_path(*widths, out - into, tokens[into], tokens[out])
        case "activation":
            return part_of([])
        case "patch_embedding":
            return terms.patch_embedding(settings[0], *widths, tokens[b])
        case "attention":
            return _attention(part, sizes[b])
        case "feed_forward":
            return terms.feed_forward(settings[0], *widths, tokens[b])
        case "head":
            site = HeadSite(widths[:-1], tokens, widths[-1], num_classes)
            return head(settings[0], site)


def _attention(part: TimedPart, size: tuple[int, int]) -> Part:
    kind, strip, _, sharing, parallel, nonlinearity, shortcut = part.settings
    (b,), (c,), (h, w) = part.branches, part.widths, size
    at = Site(c, h, w, int(strip) or None, bool(sharing), bool(parallel), b)
    mixing = attention(kind, at, bool(nonlinearity))
    beside = terms.shortcut(shortcut, c, h * w)
    return part_of([*mixing.terms, *beside.terms])


@lru_cache(CACHE_SIZE)
def features_of(
    part: TimedPart, image_size: tuple[int, int], num_classes: int
) -> tuple[float, ...]:
    """What the time of a part that is in no table is estimated from, in millions but the first.

    Returns:
        One; multiply-adds of convolutions and linear maps; those of attention products; attention
        weights; parameters; elements that are read and written.
    """
    work = work_of(part, image_size, num_classes)
    products = sum(term.macs for term in work.terms if term.operator == "attention")
    weights = 0.0
    if part.kind == "attention":
        channels = part.widths[0] // (2 if part.settings[0] == "cross_shaped" else 1)
        weights = products / 2 / channels * int(part.settings[2])
    sizes = branch_sizes(image_size, max(part.branches) + 1)
    tokens = [h * w for h, w in sizes]
    if part.kind in ("fusion", "head"):
        elements = sum(tokens[b] * c for b, c in zip(part.branches, part.widths, strict=False))
    else:
        elements = tokens[part.branches[0]] * sum(part.widths)
    if part.kind == "head":  # each map is brought to the finest
        elements += len(part.branches) * tokens[0] * part.widths[-1]
    counts = (work.macs - products, products, weights, work.params, elements)
    return (1.0, *(count / 1e6 for count in counts))
