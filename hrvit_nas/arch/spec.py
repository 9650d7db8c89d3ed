"""What a network is: a frozen, self-checking description of one HRViT architecture.

The description follows Gu et al., "Multi-Scale High-Resolution Vision Transformer for
Semantic Segmentation" (CVPR 2022, arXiv 2111.01236). Two specs that build different
networks are unequal, and a field that an attention kind does not read must be left unset,
so that one network has one spec.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple, Self, TypeVar, final, get_args

from .attention import (
    ATTENTIONS,
    HEADED_ATTENTIONS,
    STRIP_ATTENTIONS,
    Attention,
    attention_group_width,
)
from .heads import HEAD_KINDS, HeadKind

T = TypeVar("T")

SCHEMA_VERSION = 1
MAX_BRANCHES = 4

FIRST_FIELDS = {
    "BranchSpec": frozenset(
        {
            *("width", "blocks", "expansion_ratio", "attention", "strip_width", "head_dim"),
            *("kv_sharing", "parallel_conv", "extra_nonlinearity", "feed_forward"),
            *("patch_embedding", "shortcut"),
        }
    ),
    "ModuleSpec": frozenset({"fusion"}),
    "ArchSpec": frozenset({"stem_width", "head_width"}),
    "PyramidStage": frozenset(
        {
            *("width", "blocks", "num_heads", "expansion_ratio"),
            *("reduction_ratio", "strip_width"),
        }
    ),
    "PyramidSpec": frozenset({"family", "head_width"}),
}
"""Fields that canonical JSON has held from the first, defaults included, and holds for good.

A field that is added later stands there only where it departs from its default, so that no id of
an architecture changes: stored runs go by them.
"""

FeedForward = Literal["mix_cfn", "ffn"]
PatchEmbedding = Literal["efficient", "convolution"]
Shortcut = Literal["des", "identity"]
Fusion = Literal["dense", "sparse"]

FEED_FORWARDS: tuple[FeedForward, ...] = get_args(FeedForward)
PATCH_EMBEDDINGS: tuple[PatchEmbedding, ...] = get_args(PatchEmbedding)
SHORTCUTS: tuple[Shortcut, ...] = get_args(Shortcut)
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)


class ArchError(ValueError):
    """An architecture breaks a rule; the message names the rule, the value and the remedy."""


def des_factor(width: int) -> int:
    """Size p of the right Kronecker factor of the DES, which must divide the width."""
    exponent = width.bit_length() - 1
    return 1 << (exponent - exponent // 2)


@lru_cache
def _fusion_edges(fusion: Fusion, incoming: int, outgoing: int) -> tuple[tuple[int, int], ...]:
    """Pairs of outgoing and incoming branch that a fusion joins."""
    return tuple(
        (out, into)
        for out in range(outgoing)
        for into in range(incoming)
        if fusion == "dense" or abs(out - into) <= 1
    )


def require_int(name: str, value: object, minimum: int) -> None:
    """Refuses what is no integer of at least `minimum`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise ArchError(f"{name} must be an integer of at least {minimum}, got {value!r}")


def require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuses what is none of the choices."""
    if value not in choices:
        raise ArchError(f"{name} must be one of {', '.join(choices)}; got {value!r}")


def _nearest_multiples(value: int, step: int) -> str:
    below = value // step * step
    return f"{below}, {below + step}" if below else f"{step}"


@dataclass(frozen=True, kw_only=True)
class BranchSpec:
    """One branch of one module: a patch embedding, then `blocks` transformer blocks.

    Attributes:
        width: Channels (even).
        blocks: Number of transformer blocks, at least 1.
        expansion_ratio: Hidden channels of the feed-forward over `width`.
        attention: Token mixer of every block of the branch.
        strip_width: Rows or columns of a strip (`cross_shaped`) or side of a square
            (`window`), in tokens; `None` for the kinds that have neither.
        head_dim: Channels a head; where a group has fewer channels, the group is one head.
            `None` for `convolution`.
        kv_sharing: Whether the value serves as the key too.
        parallel_conv: Whether Hardswish and a 3x3 depth-wise convolution of the value are
            added to the attention output.
        extra_nonlinearity: Whether Hardswish precedes and BatchNorm follows the output projection.
        feed_forward: `mix_cfn` (3x3 and 5x5 depth-wise convolutions inside) or plain `ffn`.
        patch_embedding: `efficient` (1x1 then 3x3 depth-wise) or a full 3x3 `convolution`.
        shortcut: `des` adds the diversity-enhanced shortcut beside the attention.

    Raises:
        ArchError: A field is out of range, or is set although the attention kind ignores it.
    """

    width: int
    blocks: int
    expansion_ratio: int
    attention: Attention = "cross_shaped"
    strip_width: int | None = None
    head_dim: int | None = None
    kv_sharing: bool = True
    parallel_conv: bool = True
    extra_nonlinearity: bool = True
    feed_forward: FeedForward = "mix_cfn"
    patch_embedding: PatchEmbedding = "efficient"
    shortcut: Shortcut = "des"

    def __post_init__(self) -> None:
        require_int("width", self.width, 2)
        require_int("blocks", self.blocks, 1)
        require_int("expansion_ratio", self.expansion_ratio, 1)
        require_choice("attention", self.attention, ATTENTIONS)
        require_choice("feed_forward", self.feed_forward, FEED_FORWARDS)
        require_choice("patch_embedding", self.patch_embedding, PATCH_EMBEDDINGS)
        require_choice("shortcut", self.shortcut, SHORTCUTS)
        for name in ("kv_sharing", "parallel_conv", "extra_nonlinearity"):
            if not isinstance(getattr(self, name), bool):
                raise ArchError(f"{name} must be true or false, got {getattr(self, name)!r}")
        if self.width % 2:
            raise ArchError(f"width must be even, got {self.width}")
        self._check_attention()
        if self.shortcut == "des" and self.width % des_factor(self.width):
            factor = des_factor(self.width)
            raise ArchError(
                f"width must be a multiple of its DES factor {factor}, got {self.width};"
                f" nearest: {_nearest_multiples(self.width, factor)} (or shortcut='identity')"
            )

    def _check_attention(self) -> None:
        if self.attention in STRIP_ATTENTIONS:
            require_int(f"strip_width of {self.attention} attention", self.strip_width, 1)
        elif self.strip_width is not None:
            raise ArchError(
                f"{self.attention} attention has no strips; leave strip_width unset,"
                f" got {self.strip_width}"
            )
        if self.attention in HEADED_ATTENTIONS:
            require_int(f"head_dim of {self.attention} attention", self.head_dim, 1)
            assert self.head_dim is not None
            group = attention_group_width(self.attention, self.width)
            if group >= self.head_dim and group % self.head_dim:
                step = self.head_dim * self.width // group
                raise ArchError(
                    f"width must be a multiple of {step} (head_dim {self.head_dim},"
                    f" {self.attention} attention) or less than {step}, got {self.width};"
                    f" nearest: {_nearest_multiples(self.width, step)}"
                )
            return
        if self.head_dim is not None:
            raise ArchError(
                f"{self.attention} attention has no heads; leave head_dim unset,"
                f" got {self.head_dim}"
            )
        if not self.kv_sharing:
            raise ArchError(f"{self.attention} attention has no keys; leave kv_sharing at true")
        if not self.parallel_conv:
            raise ArchError(
                f"{self.attention} attention is the parallel convolution alone;"
                " parallel_conv must be true"
            )

    @property
    def group_width(self) -> int:
        """Channels of one attention group: half the width for cross-shaped, else all of it."""
        return attention_group_width(self.attention, self.width)

    @property
    def num_heads(self) -> int:
        """Heads of one attention group; 0 for an attention kind without heads."""
        return 0 if self.head_dim is None else max(1, self.group_width // self.head_dim)

    @property
    def hidden_width(self) -> int:
        """Hidden channels of the feed-forward."""
        return self.width * self.expansion_ratio


@dataclass(frozen=True, kw_only=True)
class ModuleSpec:
    """One module: a cross-resolution fusion, then one stage a branch (finest first).

    Attributes:
        branches: One spec a branch; branch i works at stride 4 * 2**i.
        fusion: `dense` joins every pair of resolutions, `sparse` only neighbours.
    """

    branches: tuple[BranchSpec, ...]
    fusion: Fusion = "dense"

    def __post_init__(self) -> None:
        object.__setattr__(self, "branches", tuple(self.branches))
        require_choice("fusion", self.fusion, FUSIONS)
        if not 1 <= len(self.branches) <= MAX_BRANCHES:
            raise ArchError(f"a module has 1 to {MAX_BRANCHES} branches, got {len(self.branches)}")

    @property
    def depth(self) -> int:
        """Blocks of the deepest branch, which is what drop-path rates count."""
        return max(branch.blocks for branch in self.branches)


class FusionPlan(NamedTuple):
    """Widths that go into and come out of a fusion, and its (output, input) branch pairs."""

    incoming: tuple[int, ...]
    outgoing: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]


class Identified(ABC):
    """An architecture as plain data: canonical JSON, and an id made from it."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The spec as plain data, with its schema version."""

    @classmethod
    @abstractmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuilds a spec from `to_dict`."""

    def to_json(self) -> str:
        """The canonical JSON: sorted keys, no spaces. `from_json` returns an equal spec."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Rebuilds a spec from `to_json`.

        Raises:
            ArchError: As `from_dict`, or the text is not JSON.
        """
        return cls.from_dict(read_json(text))


def read_json(text: str) -> Any:
    """What JSON says.

    Raises:
        ArchError: It is none.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ArchError(f"an architecture must be JSON: {error}") from error


@final
@dataclass(frozen=True, kw_only=True)
class ArchSpec(Identified):
    """One architecture, complete: a network can be built from this and a number of classes.

    Attributes:
        stem_width: Channels after the stem (even); the first convolution has half of them.
        head_width: Channels of the segmentation head.
        head_kind: Segmentation head, one of `HEAD_KINDS`.
        modules: The modules, in order; a module has as many branches as the one before or
            one more, and the first has one.

    Raises:
        ArchError: A rule is broken; the message names the module and branch.
    """

    stem_width: int
    head_width: int
    modules: tuple[ModuleSpec, ...]
    head_kind: HeadKind = "segformer"

    def __post_init__(self) -> None:
        object.__setattr__(self, "modules", tuple(self.modules))
        require_int("stem_width", self.stem_width, 2)
        require_int("head_width", self.head_width, 1)
        require_choice("head_kind", self.head_kind, tuple(HEAD_KINDS))
        if self.stem_width % 2:
            raise ArchError(f"stem_width must be even, got {self.stem_width}")
        if not self.modules:
            raise ArchError("an architecture has at least one module, got none")
        before = 0
        for index, module in enumerate(self.modules):
            now = len(module.branches)
            if not (now == 1 if index == 0 else before <= now <= before + 1):
                allowed = "1" if index == 0 else f"{before} or {before + 1}"
                raise ArchError(f"module {index + 1} must have {allowed} branches, got {now}")
            if module.fusion == "sparse" and now != before:
                raise ArchError(
                    f"module {index + 1} opens a branch, so its fusion must be dense, got 'sparse'"
                )
            if module.fusion == "sparse" and now < 3:
                raise ArchError(
                    f"module {index + 1} has {now} branches, where sparse fusion is the dense one;"
                    " write 'dense'"
                )
            before = now

    @property
    def num_branches(self) -> int:
        """Branches of the last module, which is the number of maps the backbone returns."""
        return len(self.modules[-1].branches)

    @property
    def out_widths(self) -> tuple[int, ...]:
        """Channels of the maps the backbone returns, finest first."""
        return tuple(branch.width for branch in self.modules[-1].branches)

    def walk(self) -> Iterator[tuple[int, int, BranchSpec]]:
        """Yields (module index, branch index, branch) in the order of execution, from 0."""
        for m, module in enumerate(self.modules):
            for b, branch in enumerate(module.branches):
                yield m, b, branch

    @cached_property
    def fusions(self) -> tuple[FusionPlan, ...]:
        """What each module's fusion joins.

        Fusion keeps each branch's incoming width; only a branch that it opens already has
        the width of the new module.
        """
        plans = []
        incoming: tuple[int, ...] = (self.stem_width,)
        for module in self.modules:
            widths = tuple(branch.width for branch in module.branches)
            outgoing = incoming + widths[len(incoming) :]
            edges = _fusion_edges(module.fusion, len(incoming), len(outgoing))
            plans.append(FusionPlan(incoming, outgoing, edges))
            incoming = widths
        return tuple(plans)

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain data, with its schema version."""
        modules = [
            {**canonical(module), "branches": [canonical(branch) for branch in module.branches]}
            for module in self.modules
        ]
        return {"schema_version": SCHEMA_VERSION, **canonical(self), "modules": modules}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ArchSpec:
        """Rebuilds a spec from `to_dict`.

        Raises:
            ArchError: The schema is newer than this program, a key is unknown or missing, the
                architecture breaks a rule, or it is a pyramid.
        """
        data = require_mapping("an architecture", data)
        take_version(data)
        if "family" in data:
            raise ArchError(
                f"an HRViT has modules of branches, got a pyramid of family {data['family']!r}"
            )
        modules = []
        for m, module in enumerate(require_list("modules", data.pop("modules", None))):
            where = f"module {m + 1}"
            module = require_mapping(where, module)
            branches = []
            for b, branch in enumerate(require_list(where, module.pop("branches", None))):
                at = f"{where}, branch {b + 1}"
                branches.append(construct(BranchSpec, at, require_mapping(at, branch)))
            modules.append(construct(ModuleSpec, where, {**module, "branches": tuple(branches)}))
        return construct(cls, "architecture", {**data, "modules": tuple(modules)})


def canonical(spec: Any) -> dict[str, Any]:
    """The plain fields of a part of an architecture that its canonical JSON holds.

    Those of `FIRST_FIELDS`, and what was added since where it is not at its default. Parts that are
    held in a tuple are the caller's to add.
    """
    first = FIRST_FIELDS[type(spec).__name__]
    values = {field.name: (getattr(spec, field.name), field.default) for field in fields(spec)}
    return {
        name: value
        for name, (value, default) in values.items()
        if not isinstance(value, tuple) and (name in first or value != default)
    }


def take_version(data: dict[str, Any]) -> None:
    """Takes the schema version out of plain data; refuses another one than this program's."""
    version = data.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise ArchError(f"schema_version must be {SCHEMA_VERSION}, got {version!r}")


def require_mapping(where: str, value: object) -> dict[str, Any]:
    """A copy of a mapping; refuses anything else."""
    if not isinstance(value, Mapping):
        raise ArchError(f"{where} must be a mapping, got {type(value).__name__}")
    return dict(value)


def require_list(where: str, value: object) -> list[Any]:
    """A copy of a list; refuses anything else."""
    if not isinstance(value, list | tuple):
        raise ArchError(f"{where} must hold a list, got {type(value).__name__}")
    return list(value)


def construct(cls: type[T], where: str, data: dict[str, Any]) -> T:
    """Makes a dataclass from plain data; refuses unknown and missing keys, saying where."""
    known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(data) - known):
        raise ArchError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")
    try:
        return cls(**data)
    except ArchError as error:
        raise ArchError(f"{where}: {error}") from error
    except TypeError as error:
        raise ArchError(f"{where}: {error}") from error
