"""Codes of genes: which architecture they mean, and what is wrong with those that mean none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

from hrvit_nas.arch import ArchError, ArchSpec, BranchSpec, ModuleSpec

from .genes import BRANCH_FIELDS, SPEC_FIELDS, Constraint, SpaceError, Target, Value, holds
from .rules import INACTIVE, Blueprint, as_read

MOST_KNOWN = 4096
"""Architectures whose codes are kept."""


class Coding:
    """Translates between architectures, values of genes and codes; limits do not matter here.

    Args:
        name: Of the space, for messages.
        plan: Its genes laid over its base.
        constraints: What may not go together.
    """

    def __init__(self, name: str, plan: Blueprint, constraints: Sequence[Constraint]) -> None:
        self._name = name
        self._plan = plan
        self._base = plan.base
        self._genes = plan.genes
        self._constraints = constraints
        # A search reads the same few architectures again and again.
        self._known: dict[ArchSpec, tuple[int, ...] | str] = {}

    @cached_property
    def _branch_sources(self) -> tuple[tuple[tuple[tuple[int, Value | None], ...], ...], ...]:
        """For each field of each branch of each module: gene number (or -1), value of the base."""
        setters = self._plan.setters
        sources: list[list[tuple[tuple[int, Value | None], ...]]] = [[] for _ in self._base.modules]
        for m, b, branch in self._base.walk():
            row = [(setters.get(Target(f, m, b), -1), getattr(branch, f)) for f in BRANCH_FIELDS]
            sources[m].append(tuple(row))
        return tuple(map(tuple, sources))

    def build(self, codes: Sequence[int]) -> ArchSpec:
        """The architecture that codes mean, which must have no fault."""
        choices = self._choices
        modules = []
        for m, branches in enumerate(self._branch_sources):
            specs = tuple(
                [
                    _branch(
                        tuple(
                            [
                                choices[n][codes[n]] if n >= 0 and codes[n] >= 0 else fixed
                                for n, fixed in sources
                            ]
                        )
                    )
                    for sources in branches
                ]
            )
            fusion: Any = self._plan.value(self._fusions[m], codes)
            modules.append(ModuleSpec(branches=specs, fusion=fusion))
        values: dict[str, Any] = {
            name: self._plan.value(Target(name), codes) for name in SPEC_FIELDS
        }
        return ArchSpec(modules=tuple(modules), **values)

    @cached_property
    def _choices(self) -> tuple[tuple[Value, ...], ...]:
        return tuple(gene.choices for gene in self._genes)

    @cached_property
    def _fusions(self) -> tuple[Target, ...]:
        return tuple(Target("fusion", m) for m in range(len(self._base.modules)))

    def values(self, codes: Sequence[int]) -> dict[str, Value | None]:
        """The value of each gene, by its name; `None` where it is inactive."""
        return {
            gene.name: None if code == INACTIVE else gene.choices[code]
            for gene, code in zip(self._genes, codes, strict=True)
        }

    def codes_of(self, values: Mapping[str, Value | None]) -> dict[int, int]:
        """Codes of the genes that have a value, by the genes' numbers.

        Raises:
            SpaceError: A gene or choice is unknown.
        """
        numbers = {gene.name: number for number, gene in enumerate(self._genes)}
        codes = {}
        for name, value in values.items():
            if name not in numbers:
                raise SpaceError(
                    f"space {self._name!r} has no gene {name!r}; known: {', '.join(numbers)}"
                )
            if value is None:
                continue
            choices = self._genes[numbers[name]].choices
            if not holds(choices, value):
                raise SpaceError(_not_a_choice(name, value, choices))
            codes[numbers[name]] = choices.index(value)
        return codes

    def read(self, spec: ArchSpec) -> tuple[int, ...] | str:
        """The codes of an architecture, or why it has none."""
        if spec not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[spec] = self._read(spec)
        return self._known[spec]

    def _read(self, spec: ArchSpec) -> tuple[int, ...] | str:
        shape = [len(module.branches) for module in spec.modules]
        expected = [len(module.branches) for module in self._base.modules]
        if shape != expected:
            return f"its modules must have {expected} branches, got {shape}"
        codes = [INACTIVE] * len(self._genes)
        for number in self._plan.order:
            if not self._plan.is_active(number, codes):
                continue
            name, choices = self._genes[number].name, self._genes[number].choices
            targets = [t for t in self._plan.targets[number] if self._plan.is_read(t, codes)]
            value = targets[0].of(spec)
            for target in targets[1:]:
                if target.of(spec) != value:
                    return (
                        f"gene {name!r} is shared, but {targets[0]} is {value!r}"
                        f" and {target} is {target.of(spec)!r}"
                    )
            if value not in choices:
                return f"{_not_a_choice(name, value, choices)} ({targets[0]})"
            codes[number] = choices.index(value)
        if fault := self.fault(codes):
            return fault
        mine = self.build(codes)
        if mine != spec:
            return _first_difference(spec, mine)
        return tuple(codes)

    def fault(self, codes: Sequence[int]) -> str | None:
        """Why no architecture has these codes, limits aside, or `None`."""
        if len(codes) != len(self._genes):
            return f"it needs {len(self._genes)} codes, got {len(codes)}"
        for number, code in enumerate(codes):
            if not INACTIVE <= code < len(self._genes[number].choices):
                return (
                    f"code of gene {self._genes[number].name!r} must be {INACTIVE} to"
                    f" {len(self._genes[number].choices) - 1}, got {code}"
                )
        for number in self._plan.order:
            gene, code = self._genes[number], codes[number]
            active = self._plan.is_active(number, codes)
            if active and code == INACTIVE:
                return f"gene {gene.name!r} needs a value"
            if not active and code != INACTIVE:
                return f"gene {gene.name!r} is inactive here, got {gene.choices[code]!r}"
        for number, code in enumerate(codes):
            targets = self._plan.targets[number]
            if code != INACTIVE and not any(
                self._plan.tells(number, code, target, codes) for target in targets
            ):
                gene = self._genes[number]
                return (
                    f"gene {gene.name!r}: {gene.choices[code]!r} makes every head group one head,"
                    f" as does {self._plan.smaller_choice(number, code)}; take that"
                )
        values = self.values(codes)
        for constraint in self._constraints:
            for names, allowed in constraint.pieces():
                if not allowed(tuple(values[name] for name in names)):
                    got = ", ".join(f"{name} {values[name]!r}" for name in names)
                    return f"constraint {constraint}: got {got}"
        try:
            self.build(codes)
        except ArchError as error:
            return str(error)
        return None


@lru_cache(maxsize=65536, typed=True)
def _branch(values: tuple[Any, ...]) -> BranchSpec:
    return BranchSpec(**as_read(dict(zip(BRANCH_FIELDS, values, strict=True))))


def _not_a_choice(name: str, value: Value | None, choices: Sequence[Value]) -> str:
    return f"gene {name!r} must be one of {', '.join(map(repr, choices))}; got {value!r}"


def _first_difference(spec: ArchSpec, mine: ArchSpec) -> str:
    targets = [Target(name) for name in SPEC_FIELDS]
    targets += [Target("fusion", m) for m in range(len(spec.modules))]
    targets += [Target(name, m, b) for m, b, _ in spec.walk() for name in BRANCH_FIELDS]
    target = next(target for target in targets if target.of(spec) != target.of(mine))
    return f"no gene sets {target} to {target.of(spec)!r}; here it is {target.of(mine)!r}"
