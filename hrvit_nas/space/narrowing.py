"""Choices taken away from a space, on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .genes import Gene, SpaceError, Value, holds


@dataclass(frozen=True)
class Narrowing:
    """One record of choices taken away from a space.

    Attributes:
        gene: The gene narrowed.
        before: Its choices until then; `None` where the space has no such gene (and was left as
            it is).
        after: The choices asked for.
        by: Who asked: the name of a space or profile.
    """

    gene: str
    before: tuple[Value, ...] | None
    after: tuple[Value, ...]
    by: str

    def to_dict(self) -> dict[str, Any]:
        """The record as plain data."""
        before = None if self.before is None else list(self.before)
        return {"gene": self.gene, "before": before, "after": list(self.after), "by": self.by}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Narrowing:
        """Rebuilds a record from its `to_dict`."""
        before = None if data["before"] is None else tuple(data["before"])
        return cls(data["gene"], before, tuple(data["after"]), data["by"])


def narrowed(
    space: str,
    genes: Sequence[Gene],
    choices: Mapping[str, Sequence[Value]],
    *,
    ignore_unknown: bool,
    by: str,
) -> tuple[tuple[Gene, ...], list[Narrowing]]:
    """Genes with fewer choices, and a record for each that was to be narrowed.

    Args:
        space: Name of the space, for messages.
        genes: Its genes.
        choices: For some genes, the choices that stay.
        ignore_unknown: Whether genes and choices that the space does not have are passed over.
        by: Who narrows.

    Raises:
        SpaceError: A gene is unknown, or a choice is not one of its present ones.
    """
    known = {gene.name: gene for gene in genes}
    records = []
    for name, wanted in choices.items():
        gene = known.get(name)
        if gene is None:
            if not ignore_unknown:
                raise SpaceError(
                    f"space {space!r} has no gene {name!r} to narrow; known: {', '.join(known)}",
                    ("narrow", name),
                )
            records.append(Narrowing(name, None, tuple(wanted), by))
            continue
        if ignore_unknown:
            wanted = [c for c in wanted if holds(gene.choices, c)] or gene.choices
        records.append(Narrowing(name, gene.choices, tuple(wanted), by))
        _check_choices(gene, wanted)
        kept = tuple(choice for choice in gene.choices if holds(wanted, choice))
        known[name] = replace(gene, choices=kept)
    return tuple(known.values()), records


def _check_choices(gene: Gene, wanted: Sequence[Value]) -> None:
    """Refuses what a gene cannot be narrowed to."""
    for position, choice in enumerate(wanted):
        twice = holds(wanted[:position], choice)
        if twice or not holds(gene.choices, choice):
            fault = "twice" if twice else "not a choice"
            raise SpaceError(
                f"gene {gene.name!r} cannot be narrowed to {choice!r} ({fault});"
                f" its choices are {', '.join(map(repr, gene.choices))}",
                ("narrow", gene.name, position),
            )
    if not wanted:
        raise SpaceError(
            f"gene {gene.name!r} cannot be narrowed to no choice at all", ("narrow", gene.name)
        )
