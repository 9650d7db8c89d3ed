"""Genes, the fields of an architecture that they set, and constraints between them.

Modules and branches are numbered from 1 in field patterns, as in the messages of `arch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from hrvit_nas._messages import close_to
from hrvit_nas.arch import HEADED_ATTENTIONS, STRIP_ATTENTIONS, ArchSpec, BranchSpec

Value = int | str | bool

BRANCH_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(BranchSpec))
MODULE_FIELDS: tuple[str, ...] = ("fusion",)
SPEC_FIELDS: tuple[str, ...] = ("stem_width", "head_width", "head_kind")

READERS: dict[str, tuple[str, ...]] = {
    "strip_width": STRIP_ATTENTIONS,
    "head_dim": HEADED_ATTENTIONS,
    "kv_sharing": HEADED_ATTENTIONS,
    "parallel_conv": HEADED_ATTENTIONS,
}
"""Fields that not every attention kind reads, and the kinds that do."""

UNREAD: dict[str, Value | None] = {
    "strip_width": None,
    "head_dim": None,
    "kv_sharing": True,
    "parallel_conv": True,
}
"""The one value that `BranchSpec` accepts where such a field is not read."""


class SpaceError(ValueError):
    """A declaration breaks a rule, or an architecture is outside a space; one line says why.

    Attributes:
        at: Path of keys to the part of the declaration at fault, so that a loader can add its line.
    """

    def __init__(self, message: str, at: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.at = at


def holds(choices: Sequence[Value], value: object) -> bool:
    """Whether a value is among choices; unlike `in`, tells `True` from 1."""
    return any(type(choice) is type(value) and choice == value for choice in choices)


@dataclass(frozen=True)
class Target:
    """One field of one architecture; module and branch count from 0, `None` where it has none."""

    name: str
    module: int | None = None
    branch: int | None = None

    def of(self, spec: ArchSpec) -> Value | None:
        """The value that an architecture has in this field."""
        owner: object = spec
        if self.module is not None:
            owner = spec.modules[self.module]
            if self.branch is not None:
                owner = spec.modules[self.module].branches[self.branch]
        value: Value | None = getattr(owner, self.name)
        return value

    @property
    def pattern(self) -> str:
        """The pattern that matches this field alone."""
        if self.module is None:
            return self.name
        branch = "" if self.branch is None else f"branches.{self.branch + 1}."
        return f"modules.{self.module + 1}.{branch}{self.name}"

    def sibling(self, name: str) -> Target:
        """Another field of the same branch."""
        return Target(name, self.module, self.branch)

    def __str__(self) -> str:
        if self.module is None:
            return self.name
        module = f"module {self.module + 1}"
        where = module if self.branch is None else f"{module}, branch {self.branch + 1}"
        return f"{self.name} of {where}"


@dataclass(frozen=True, kw_only=True)
class Gene:
    """One thing that varies: a choice, and the fields that take it.

    Attributes:
        name: Unique in its space.
        field: Pattern of the fields it sets: `stem_width`, `head_width`, `head_kind`,
            `modules.M.fusion` or `modules.M.branches.B.NAME`, where M and B count from 1 and `*`
            stands for all.
        choices: What the fields may hold, in the order of the encoding.
        when: (gene, its choices) pairs that must all hold for this gene to be active. While it
            is inactive its fields keep the base's value. A gene is inactive, too, where the
            attention kind of every branch it touches does not read the field.
    """

    name: str
    field: str
    choices: tuple[Value, ...]
    when: tuple[tuple[str, tuple[Value, ...]], ...] = ()

    @property
    def ordered(self) -> bool:
        """Whether the choices are numbers, so that one can be nearer to another than a third."""
        return all(
            isinstance(choice, int) and not isinstance(choice, bool) for choice in self.choices
        )

    def targets(self, base: ArchSpec) -> tuple[Target, ...]:
        """The fields of an architecture that the pattern matches.

        Raises:
            SpaceError: The pattern is malformed or matches nothing.
        """
        try:
            return find_targets(self.field, base)
        except SpaceError as error:
            raise SpaceError(
                f"gene {self.name!r}: {error}", ("genes", self.name, "field")
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """The gene as plain data."""
        return {
            "name": self.name,
            "field": self.field,
            "choices": list(self.choices),
            "when": {name: list(choices) for name, choices in self.when},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Gene:
        """Rebuilds a gene from its `to_dict`."""
        return cls(
            name=data["name"],
            field=data["field"],
            choices=tuple(data["choices"]),
            when=tuple((name, tuple(choices)) for name, choices in data["when"].items()),
        )


def find_targets(pattern: str, base: ArchSpec) -> tuple[Target, ...]:
    """The fields of an architecture that a pattern matches.

    Args:
        pattern: As `Gene.field`.
        base: The architecture.

    Raises:
        SpaceError: The pattern is malformed or matches nothing.
    """
    match pattern.split("."):
        case [name] if name in SPEC_FIELDS:
            return (Target(name),)
        case ["modules", module, name] if name in MODULE_FIELDS and _is_index(module):
            found = [Target(name, m) for m in range(len(base.modules)) if _matches(module, m)]
        case ["modules", module, "branches", branch, name] if (
            name in BRANCH_FIELDS and _is_index(module) and _is_index(branch)
        ):
            found = [
                Target(name, m, b)
                for m, b, _ in base.walk()
                if _matches(module, m) and _matches(branch, b)
            ]
        case [*_, name]:
            known = (*SPEC_FIELDS, *MODULE_FIELDS, *BRANCH_FIELDS)
            hint = "" if name in known else close_to(name, known)
            raise SpaceError(
                f"{pattern!r} is no field; allowed: "
                f"{', '.join(SPEC_FIELDS)}, modules.M.fusion, modules.M.branches.B.NAME with"
                f" NAME one of {', '.join(BRANCH_FIELDS)} (M and B from 1, or *){hint}"
            )
    if not found:
        counts = ", ".join(str(len(module.branches)) for module in base.modules)
        raise SpaceError(
            f"{pattern!r} matches nothing; the base has {len(base.modules)} modules, of"
            f" {counts} branches"
        )
    return tuple(found)


def _is_index(text: str) -> bool:
    return text == "*" or (text.isascii() and text.isdecimal() and text[0] != "0")


def _matches(pattern: str, index: int) -> bool:
    return pattern == "*" or int(pattern) == index + 1


Piece = tuple[tuple[str, ...], Callable[[tuple[Value | None, ...]], bool]]
"""Names of a few genes, and whether values of theirs (`None`: inactive) are allowed together."""


@dataclass(frozen=True)
class Nondecreasing:
    """Each gene's value is at least that of the gene before it."""

    genes: tuple[str, ...]
    needs_order: ClassVar[bool] = True

    def pieces(self) -> Iterator[Piece]:
        """The constraint in parts over few genes, which together mean the whole."""
        for pair in zip(self.genes, self.genes[1:], strict=False):
            yield pair, _is_rising

    def to_dict(self) -> dict[str, object]:
        """The constraint as it is declared."""
        return {"nondecreasing": list(self.genes)}

    def __str__(self) -> str:
        return f"nondecreasing [{', '.join(self.genes)}]"


def _is_rising(values: tuple[Value | None, ...]) -> bool:
    low, high = values
    return isinstance(low, int) and isinstance(high, int) and low <= high


@dataclass(frozen=True)
class Forbid:
    """The listed genes may not all hold one of their listed choices at once.

    An inactive gene holds none.
    """

    choices: tuple[tuple[str, tuple[Value, ...]], ...]
    needs_order: ClassVar[bool] = False

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the genes concerned."""
        return tuple(name for name, _ in self.choices)

    def pieces(self) -> Iterator[Piece]:
        """The constraint as one part."""
        listed = [choices for _, choices in self.choices]

        def allowed(values: tuple[Value | None, ...]) -> bool:
            return not all(value in bad for value, bad in zip(values, listed, strict=True))

        yield self.genes, allowed

    def to_dict(self) -> dict[str, object]:
        """The constraint as it is declared."""
        return {"forbid": {name: list(choices) for name, choices in self.choices}}

    def __str__(self) -> str:
        inner = ", ".join(f"{name}: {list(choices)}" for name, choices in self.choices)
        return f"forbid {{{inner}}}"


Constraint = Nondecreasing | Forbid


def constraint_of(data: Mapping[str, Any]) -> Constraint:
    """Rebuilds a constraint from its `to_dict`.

    Raises:
        SpaceError: It is none.
    """
    match dict(data):
        case {"nondecreasing": [*genes], **rest} if not rest:
            return Nondecreasing(tuple(genes))
        case {"forbid": dict(choices), **rest} if not rest:
            return Forbid(tuple((name, tuple(values)) for name, values in choices.items()))
        case _:
            raise SpaceError(f"a constraint is one of nondecreasing and forbid, got {data!r:.200}")
