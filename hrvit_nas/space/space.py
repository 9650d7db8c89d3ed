"""A search space: its architectures, how many there are, and how to draw and vary them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from hrvit_nas.arch import ArchSpec

from .coding import Coding
from .counting import Solution, TooCoupledError
from .feasible import Feasible
from .genes import Constraint, Gene, SpaceError, Target, Value, constraint_of, holds
from .limits import Limit
from .moves import Moves
from .narrowing import Narrowing, narrowed
from .rules import INACTIVE, Blueprint, draw_up

REJECTION_TRIES = 100
"""Architectures drawn in search of one within the limits, before a random walk takes over."""
VARIATION_TRIES = 20
"""Mutants or children drawn in search of one within the limits, before the last is repaired."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """A set of architectures: a base, and genes that vary some of its fields.

    An architecture is known by the codes of its genes: for each gene the index of its choice, or -1
    where it is inactive. Different codes are different networks, and the same the same.

    Attributes:
        name: Name of the space.
        base: Gives every field that no gene sets.
        genes: What varies, in the order of the encoding.
        constraints: What may not go together.
        limits: Hard bounds on cost.
        narrowing: What was narrowed, by whom.
        description: One paragraph for readers.

    Raises:
        SpaceError: Genes, constraints and base do not fit, or leave no architecture.
    """

    name: str
    base: ArchSpec
    genes: tuple[Gene, ...]
    constraints: tuple[Constraint, ...] = ()
    limits: tuple[Limit, ...] = ()
    narrowing: tuple[Narrowing, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        if not self.genes:
            raise SpaceError(f"space {self.name!r} has no genes", ("genes",))
        if not self.size:
            raise SpaceError(
                f"space {self.name!r}: its rules and constraints leave no architecture"
            )

    @property
    def size(self) -> int:
        """Number of architectures, exactly, limits aside."""
        return self._solution.count

    def sample(self, rng: random.Random) -> ArchSpec:
        """Draws an architecture, uniformly.

        Limits are met by rejection while that is quick (then the draw is exactly uniform), else
        by a random walk among those within them, whose stationary distribution is uniform.

        Raises:
            SpaceError: No architecture within the limits was found.
        """
        closest: tuple[float, list[int]] | None = None
        for _ in range(REJECTION_TRIES):
            state = self._moves.drawn(rng)
            excess = self._feasible.excess(state)
            if not excess:
                return self._coding.build(state)
            if closest is None or excess < closest[0]:
                closest = excess, state
        assert closest is not None
        within = self._feasible.brought_within(closest[1], rng)
        return self._coding.build(self._feasible.walk(within, rng))

    def contains(self, spec: ArchSpec) -> bool:
        """Whether an architecture is in the space, within the limits."""
        return self.refusal(spec) is None

    def refusal(self, spec: ArchSpec) -> str | None:
        """Why an architecture is not in the space, or is outside the limits; `None` if neither."""
        codes = self._coding.read(spec)
        if isinstance(codes, str):
            return codes
        return next(filter(None, (limit.refusal(spec) for limit in self.limits)), None)

    def encode(self, spec: ArchSpec) -> tuple[int, ...]:
        """The codes of an architecture, a gene at a time (limits are not checked).

        Raises:
            SpaceError: The architecture is not in the space.
        """
        codes = self._coding.read(spec)
        if isinstance(codes, str):
            raise SpaceError(f"not in space {self.name!r}: {codes}")
        return codes

    def decode(self, codes: Sequence[int]) -> ArchSpec:
        """The architecture with some codes (limits are not checked); the inverse of `encode`.

        Raises:
            SpaceError: No architecture has these codes.
        """
        if fault := self._coding.fault(codes):
            raise SpaceError(f"not in space {self.name!r}: {fault}")
        return self._coding.build(codes)

    def genes_of(self, spec: ArchSpec) -> dict[str, Value | None]:
        """An architecture's value for each gene, `None` where the gene is inactive.

        Raises:
            SpaceError: The architecture is not in the space.
        """
        return self._coding.values(self.encode(spec))

    def spec_of(self, values: Mapping[str, Value | None]) -> ArchSpec:
        """The architecture with these values of its genes, within the limits; `genes_of` inverted.

        Args:
            values: A value for each active gene. Inactive genes are left out, or `None`.

        Raises:
            SpaceError: There is no such architecture; the message says why.
        """
        codes = self._coding.codes_of(values)
        full = [codes.get(number, INACTIVE) for number in range(len(self.genes))]
        spec = self.decode(full)
        if reason := self.refusal(spec):
            raise SpaceError(f"not in space {self.name!r}: {reason}")
        return spec

    def nearest(self, values: Mapping[str, Value | None], rng: random.Random) -> ArchSpec:
        """An architecture within the limits that departs from an assignment in few genes.

        Args:
            values: Values wished for; those of genes that turn out inactive are passed over, and
                genes left out are drawn. The values of an architecture give that architecture.
            rng: Decides between equals.

        Raises:
            SpaceError: A gene or choice is unknown, or no architecture is within the limits.
        """
        codes = self._coding.codes_of(values)
        wishes = [(codes.get(number, INACTIVE),) for number in range(len(self.genes))]
        state = self._moves.repaired(wishes, rng)
        return self._coding.build(self._feasible.brought_within(state, rng))

    def mutate(self, spec: ArchSpec, rng: random.Random, *, rate: float | None = None) -> ArchSpec:
        """An architecture within the limits that differs from a given one in a few genes.

        Args:
            spec: The architecture to vary.
            rng: Source of randomness.
            rate: Chance of each active gene to change (at least one does); by default one over
                their number.

        Returns:
            Another architecture, or the same where it has no neighbour within the limits.

        Raises:
            SpaceError: The architecture is not in the space, or nothing is within the limits.
        """
        codes = self.encode(spec)
        start = self._plan.state(codes)
        movable = [
            number
            for number, code in enumerate(codes)
            if code != INACTIVE and len(self.genes[number].choices) > 1
        ]
        if not movable:
            return spec
        chance = 1 / len(movable) if rate is None else rate
        state = start
        for _ in range(VARIATION_TRIES):
            state = start
            chosen = [number for number in movable if rng.random() < chance]
            for number in chosen or [rng.choice(movable)]:
                others = self._moves.alternatives(number, codes[number])
                changes = (
                    self._moves.changed(state, number, code, rng)
                    for code in rng.sample(others, len(others))
                )
                state = next(filter(None, changes), state)
            if state != start and not self._feasible.excess(state):
                return self._coding.build(state)
        return self._coding.build(self._feasible.brought_within(state, rng))

    def crossover(self, first: ArchSpec, second: ArchSpec, rng: random.Random) -> ArchSpec:
        """An architecture within the limits that takes each gene from one of two architectures.

        Where constraints forbid a mixture, a gene is taken from the other parent, or drawn.

        Raises:
            SpaceError: A parent is not in the space, or nothing is within the limits.
        """
        parents = self.encode(first), self.encode(second)
        state: list[int] = []
        for _ in range(VARIATION_TRIES):
            pairs = zip(*parents, strict=True)
            mixed = [pair if rng.random() < 0.5 else pair[::-1] for pair in pairs]
            state = self._moves.repaired(mixed, rng)
            if not self._feasible.excess(state):
                return self._coding.build(state)
        return self._coding.build(self._feasible.brought_within(state, rng))

    def narrow(
        self,
        choices: Mapping[str, Sequence[Value]],
        *,
        base: ArchSpec | None = None,
        limits: Iterable[Limit] = (),
        ignore_unknown: bool = False,
        by: str = "narrow",
    ) -> Space:
        """The space with fewer choices, and perhaps another base and more limits.

        Args:
            choices: For some genes, the choices that stay.
            base: What gives the fields that no gene sets, if not the present base.
            limits: Bounds that come in addition.
            ignore_unknown: Whether genes and choices that the space does not have are passed over
                (genes are recorded as such), so that one profile serves several spaces. A gene
                that has none of its choices stays as it is.
            by: Who narrows, for the record.

        Raises:
            SpaceError: A gene is unknown, or a choice is not one of its present ones.
        """
        genes, records = narrowed(
            self.name, self.genes, choices, ignore_unknown=ignore_unknown, by=by
        )
        return replace(
            self,
            base=self.base if base is None else base,
            genes=genes,
            limits=(*self.limits, *limits),
            narrowing=(*self.narrowing, *records),
        )

    def to_dict(self) -> dict[str, Any]:
        """The space as plain data, to be stored with a run."""
        return {
            "name": self.name,
            "base": json.loads(self.base.to_json()),
            "genes": [gene.to_dict() for gene in self.genes],
            "constraints": [constraint.to_dict() for constraint in self.constraints],
            "limits": [limit.model_dump(mode="json", exclude_none=True) for limit in self.limits],
            "narrowing": [record.to_dict() for record in self.narrowing],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Space:
        """Rebuilds a space from `to_dict`, its description aside.

        Raises:
            SpaceError: The data are not those of a space.
        """
        try:
            return cls(
                name=data["name"],
                base=ArchSpec.from_dict(data["base"]),
                genes=tuple(map(Gene.from_dict, data["genes"])),
                constraints=tuple(constraint_of(item) for item in data["constraints"]),
                limits=tuple(Limit.model_validate(item) for item in data["limits"]),
                narrowing=tuple(map(Narrowing.from_dict, data["narrowing"])),
            )
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, SpaceError):
                raise
            raise SpaceError(f"these are not the data of a space: {error!r:.200}") from error

    def values_at(self, target: Target) -> tuple[Value | None, ...]:
        """What a field may hold in some architecture of the space: its gene's choices.

        Where there is no gene, or its conditions may leave it inactive, the base's value counts.
        """
        number = self._plan.setters.get(target)
        fixed = target.of(self.base)
        if number is None:
            return (fixed,)
        gene = self.genes[number]
        if not gene.when or holds(gene.choices, fixed):
            return gene.choices
        return (*gene.choices, fixed)

    # What the above is made of

    @cached_property
    def _plan(self) -> Blueprint:
        try:
            return draw_up(self.base, self.genes, self.constraints)
        except TooCoupledError as error:
            raise self._too_coupled(error) from error

    @cached_property
    def _solution(self) -> Solution:
        try:
            return self._plan.problem.solve()
        except TooCoupledError as error:
            raise self._too_coupled(error) from error

    def _too_coupled(self, error: TooCoupledError) -> SpaceError:
        names = [self.genes[n].name for n in error.variables if n < len(self.genes)]
        return SpaceError(
            f"space {self.name!r}: constraints tie too many choices together"
            f" ({', '.join(names)}): {error}"
        )

    @cached_property
    def _coding(self) -> Coding:
        return Coding(self.name, self._plan, self.constraints)

    @cached_property
    def _moves(self) -> Moves:
        return Moves(self._plan, self._solution)

    @cached_property
    def _feasible(self) -> Feasible:
        return Feasible(self.name, self.limits, self._coding, self._moves, len(self.genes))
