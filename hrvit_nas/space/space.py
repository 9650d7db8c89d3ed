"""A search space: its members, how many there are, and how to draw and vary them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from hrvit_nas.arch import ArchError, ArchSpec, BranchSpec, ModuleSpec

from .counting import Problem, Row, Solution, TooCoupledError
from .genes import BRANCH_FIELDS, Constraint, Gene, SpaceError, Target, Value, constraint_of
from .limits import Limit, total_excess
from .rules import INACTIVE, Blueprint, as_read, draw_up

REJECTION_TRIES = 100
"""Members drawn in search of one within the limits, before a random walk takes over."""
WALK_SWEEPS = 4
"""Steps of the walk for each gene."""
DESCENT_EVALUATIONS = 600
"""Costs looked at in search of a first member within the limits."""
KICK_GENES = 4
"""Genes drawn anew where that search is stuck."""
VARIATION_TRIES = 20
"""Mutants or children drawn in search of one within the limits, before the last is repaired."""


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


@dataclass(frozen=True, kw_only=True)
class Space:
    """A set of architectures: a base, and genes that vary some of its fields.

    A member is known by the codes of its genes: for each gene the index of its choice, or -1
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
        """Number of members, exactly, limits aside."""
        return self._solution.count

    def sample(self, rng: random.Random) -> ArchSpec:
        """Draws a member, uniformly.

        Limits are met by rejection while that is quick (then the draw is exactly uniform), else
        by a random walk among the members within them, whose stationary distribution is uniform.

        Raises:
            SpaceError: No member within the limits was found.
        """
        closest: tuple[float, list[int]] | None = None
        for _ in range(REJECTION_TRIES):
            state = self._solution.draw(rng, self._blank)
            excess = self._excess(state)
            if not excess:
                return self._build(state)
            if closest is None or excess < closest[0]:
                closest = excess, state
        assert closest is not None
        return self._build(self._walk(self._brought_within(closest[1], rng), rng))

    def contains(self, spec: ArchSpec) -> bool:
        """Whether an architecture is a member, within the limits."""
        return self.refusal(spec) is None

    def refusal(self, spec: ArchSpec) -> str | None:
        """Why an architecture is not a member, or `None` if it is one."""
        codes = self._read(spec)
        if isinstance(codes, str):
            return codes
        return next(filter(None, (limit.refusal(spec) for limit in self.limits)), None)

    def encode(self, spec: ArchSpec) -> tuple[int, ...]:
        """The codes of a member, a gene at a time (limits are not checked).

        Raises:
            SpaceError: The architecture is not a member.
        """
        codes = self._read(spec)
        if isinstance(codes, str):
            raise SpaceError(f"not a member of space {self.name!r}: {codes}")
        return codes

    def decode(self, codes: Sequence[int]) -> ArchSpec:
        """The member with some codes (limits are not checked); the inverse of `encode`.

        Raises:
            SpaceError: No member has these codes.
        """
        if fault := self._fault(codes):
            raise SpaceError(f"not a member of space {self.name!r}: {fault}")
        return self._build(codes)

    def genes_of(self, spec: ArchSpec) -> dict[str, Value | None]:
        """A member's value for each gene, `None` where the gene is inactive.

        Raises:
            SpaceError: The architecture is not a member.
        """
        return self._values(self.encode(spec))

    def spec_of(self, values: Mapping[str, Value | None]) -> ArchSpec:
        """The member with these values of its genes, within the limits; `genes_of` inverted.

        Args:
            values: A value for each active gene. Inactive genes are left out, or `None`.

        Raises:
            SpaceError: There is no such member; the message says why.
        """
        codes = self._codes(values)
        full = [codes.get(number, INACTIVE) for number in range(len(self.genes))]
        spec = self.decode(full)
        if reason := self.refusal(spec):
            raise SpaceError(f"not a member of space {self.name!r}: {reason}")
        return spec

    def nearest(self, values: Mapping[str, Value | None], rng: random.Random) -> ArchSpec:
        """A member within the limits that departs from an assignment in few genes.

        Args:
            values: Values wished for; those of genes that turn out inactive are passed over, and
                genes left out are drawn. The values of a member give that member.
            rng: Decides between equals.

        Raises:
            SpaceError: A gene or choice is unknown, or no member is within the limits.
        """
        codes = self._codes(values)
        state = self._repaired([(codes.get(n, INACTIVE),) for n in range(len(self.genes))], rng)
        return self._build(self._brought_within(state, rng))

    def mutate(self, spec: ArchSpec, rng: random.Random, *, rate: float | None = None) -> ArchSpec:
        """A member within the limits that differs from a given one in a few genes.

        Args:
            spec: The member to vary.
            rng: Source of randomness.
            rate: Chance of each active gene to change (at least one does); by default one over
                their number.

        Returns:
            Another member, or the same where it has no neighbour within the limits.

        Raises:
            SpaceError: The architecture is not a member, or nothing is within the limits.
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
                others = self._alternatives(number, codes[number])
                changes = (
                    self._changed(state, number, code, rng)
                    for code in rng.sample(others, len(others))
                )
                state = next(filter(None, changes), state)
            if state != start and not self._excess(state):
                return self._build(state)
        return self._build(self._brought_within(state, rng))

    def crossover(self, first: ArchSpec, second: ArchSpec, rng: random.Random) -> ArchSpec:
        """A member within the limits that takes each gene from one of two members.

        Where constraints forbid a mixture, a gene is taken from the other parent, or drawn.

        Raises:
            SpaceError: A parent is not a member, or nothing is within the limits.
        """
        parents = self.encode(first), self.encode(second)
        state: list[int] = []
        for _ in range(VARIATION_TRIES):
            pairs = zip(*parents, strict=True)
            mixed = [pair if rng.random() < 0.5 else pair[::-1] for pair in pairs]
            state = self._repaired(mixed, rng)
            if not self._excess(state):
                return self._build(state)
        return self._build(self._brought_within(state, rng))

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
        genes = {gene.name: gene for gene in self.genes}
        records = []
        for name, wanted in choices.items():
            gene = genes.get(name)
            if gene is None and not ignore_unknown:
                raise SpaceError(
                    f"space {self.name!r} has no gene {name!r} to narrow;"
                    f" known: {', '.join(genes)}",
                    ("narrow", name),
                )
            before = None if gene is None else gene.choices
            if gene is not None and ignore_unknown:
                known = [choice for choice in wanted if _holds(gene.choices, choice)]
                wanted = known or gene.choices
            records.append(Narrowing(name, before, tuple(wanted), by))
            if gene is None:
                continue
            for position, choice in enumerate(wanted):
                if not _holds(gene.choices, choice) or _holds(wanted[:position], choice):
                    fault = "twice" if _holds(wanted[:position], choice) else "not a choice"
                    raise SpaceError(
                        f"gene {name!r} cannot be narrowed to {choice!r} ({fault});"
                        f" its choices are {', '.join(map(repr, gene.choices))}",
                        ("narrow", name, position),
                    )
            if not wanted:
                raise SpaceError(
                    f"gene {name!r} cannot be narrowed to no choice at all", ("narrow", name)
                )
            kept = tuple(choice for choice in gene.choices if _holds(wanted, choice))
            genes[name] = replace(gene, choices=kept)
        return replace(
            self,
            base=self.base if base is None else base,
            genes=tuple(genes.values()),
            limits=(*self.limits, *limits),
            narrowing=(*self.narrowing, *records),
        )

    def to_dict(self) -> dict[str, Any]:
        """The space as plain data, to be stored with a run."""
        return {
            "name": self.name,
            "base": json.loads(self.base.to_json()),
            "genes": [
                {
                    "name": gene.name,
                    "field": gene.field,
                    "choices": list(gene.choices),
                    "when": {name: list(choices) for name, choices in gene.when},
                }
                for gene in self.genes
            ],
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
                genes=tuple(
                    Gene(
                        name=gene["name"],
                        field=gene["field"],
                        choices=tuple(gene["choices"]),
                        when=tuple((name, tuple(c)) for name, c in gene["when"].items()),
                    )
                    for gene in data["genes"]
                ),
                constraints=tuple(constraint_of(item) for item in data["constraints"]),
                limits=tuple(Limit.model_validate(item) for item in data["limits"]),
                narrowing=tuple(
                    Narrowing(
                        item["gene"],
                        None if item["before"] is None else tuple(item["before"]),
                        tuple(item["after"]),
                        item["by"],
                    )
                    for item in data["narrowing"]
                ),
            )
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, SpaceError):
                raise
            raise SpaceError(f"these are not the data of a space: {error!r:.200}") from error

    def values_at(self, target: Target) -> tuple[Value | None, ...]:
        """What a field may hold in some member: its gene's choices.

        Where there is no gene, or its conditions may leave it inactive, the base's value counts.
        """
        number = self._plan.setters.get(target)
        fixed = target.of(self.base)
        if number is None:
            return (fixed,)
        gene = self.genes[number]
        if not gene.when or _holds(gene.choices, fixed):
            return gene.choices
        return (*gene.choices, fixed)

    # Codes and fields

    @cached_property
    def _plan(self) -> Blueprint:
        try:
            return draw_up(self.base, self.genes, self.constraints)
        except TooCoupledError as error:
            raise self._too_coupled(error) from error

    @property
    def _problem(self) -> Problem:
        return self._plan.problem

    @cached_property
    def _solution(self) -> Solution:
        try:
            return self._problem.solve()
        except TooCoupledError as error:
            raise self._too_coupled(error) from error

    def _too_coupled(self, error: TooCoupledError) -> SpaceError:
        names = [self.genes[n].name for n in error.variables if n < len(self.genes)]
        return SpaceError(
            f"space {self.name!r}: constraints tie too many choices together"
            f" ({', '.join(names)}): {error}"
        )

    @cached_property
    def _blank(self) -> list[int]:
        return [INACTIVE] * len(self._problem.domains)

    @cached_property
    def _branch_sources(self) -> tuple[tuple[tuple[tuple[int, Value | None], ...], ...], ...]:
        """For each field of each branch of each module: gene number (or -1), value of the base."""
        setters = self._plan.setters
        sources: list[list[tuple[tuple[int, Value | None], ...]]] = [[] for _ in self.base.modules]
        for m, b, branch in self.base.walk():
            row = [(setters.get(Target(f, m, b), -1), getattr(branch, f)) for f in BRANCH_FIELDS]
            sources[m].append(tuple(row))
        return tuple(map(tuple, sources))

    def _build(self, codes: Sequence[int]) -> ArchSpec:
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
        stem_width: Any = self._plan.value(Target("stem_width"), codes)
        head_width: Any = self._plan.value(Target("head_width"), codes)
        return ArchSpec(stem_width=stem_width, head_width=head_width, modules=tuple(modules))

    @cached_property
    def _choices(self) -> tuple[tuple[Value, ...], ...]:
        return tuple(gene.choices for gene in self.genes)

    @cached_property
    def _fusions(self) -> tuple[Target, ...]:
        return tuple(Target("fusion", m) for m in range(len(self.base.modules)))

    def _values(self, codes: Sequence[int]) -> dict[str, Value | None]:
        return {
            gene.name: None if code == INACTIVE else gene.choices[code]
            for gene, code in zip(self.genes, codes, strict=True)
        }

    def _codes(self, values: Mapping[str, Value | None]) -> dict[int, int]:
        """Codes of the genes that have a value."""
        numbers = {gene.name: number for number, gene in enumerate(self.genes)}
        codes = {}
        for name, value in values.items():
            if name not in numbers:
                raise SpaceError(
                    f"space {self.name!r} has no gene {name!r}; known: {', '.join(numbers)}"
                )
            if value is None:
                continue
            choices = self.genes[numbers[name]].choices
            if not _holds(choices, value):
                raise SpaceError(_not_a_choice(name, value, choices))
            codes[numbers[name]] = choices.index(value)
        return codes

    def _read(self, spec: ArchSpec) -> tuple[int, ...] | str:
        """The codes of an architecture, or why it has none."""
        shape = [len(module.branches) for module in spec.modules]
        expected = [len(module.branches) for module in self.base.modules]
        if shape != expected:
            return f"its modules must have {expected} branches, got {shape}"
        codes = [INACTIVE] * len(self.genes)
        for number in self._plan.order:
            if not self._plan.is_active(number, codes):
                continue
            name, choices = self.genes[number].name, self.genes[number].choices
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
        if fault := self._fault(codes):
            return fault
        mine = self._build(codes)
        if mine != spec:
            return _first_difference(spec, mine)
        return tuple(codes)

    def _fault(self, codes: Sequence[int]) -> str | None:
        """Why no member has these codes, limits aside, or `None`."""
        if len(codes) != len(self.genes):
            return f"it needs {len(self.genes)} codes, got {len(codes)}"
        for number, code in enumerate(codes):
            if not INACTIVE <= code < len(self.genes[number].choices):
                return (
                    f"code of gene {self.genes[number].name!r} must be {INACTIVE} to"
                    f" {len(self.genes[number].choices) - 1}, got {code}"
                )
        for number in self._plan.order:
            gene, code = self.genes[number], codes[number]
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
                return (
                    f"gene {self.genes[number].name!r}: {self._choices[number][code]!r} makes every"
                    " head group one head, as does"
                    f" {self._plan.smaller_choice(number, code)}; take that"
                )
        values = self._values(codes)
        for constraint in self.constraints:
            for names, allowed in constraint.pieces():
                if not allowed(tuple(values[name] for name in names)):
                    got = ", ".join(f"{name} {values[name]!r}" for name in names)
                    return f"constraint {constraint}: got {got}"
        try:
            self._build(codes)
        except ArchError as error:
            return str(error)
        return None

    # Drawing and varying; a state holds the codes of the genes, then the auxiliary variables

    def _excess(self, state: Sequence[int]) -> float:
        return total_excess(self.limits, self._build(state)) if self.limits else 0.0

    def _settled(self, wishes: Sequence[Sequence[int]], rng: random.Random) -> list[int]:
        """A state with the first code wished for each gene, or none where the gene is inactive.

        An active gene without a wish is drawn. Rules and constraints are not looked at.
        """
        codes = [INACTIVE] * len(self.genes)
        for number in self._plan.order:
            if self._plan.is_active(number, codes):
                wished = next((code for code in wishes[number] if code != INACTIVE), None)
                size = len(self.genes[number].choices)
                codes[number] = rng.randrange(size) if wished is None else wished
        return self._plan.state(codes)

    def _repaired(self, wishes: Sequence[Sequence[int]], rng: random.Random) -> list[int]:
        """A member's state (limits aside) that departs from codes wished for in few genes."""
        settled = self._settled(wishes, rng)
        preferred: dict[int, Sequence[int]] = {v: (code,) for v, code in enumerate(settled)}
        for number, codes in enumerate(wishes):
            near = self._from_near(number, settled[number])
            preferred[number] = (settled[number], *codes[1:], *near)
        return self._solution.draw(rng, self._blank, preferred)

    def _from_near(self, number: int, code: int) -> Sequence[int]:
        """A code, and for a gene with numbers all its others, from near to far."""
        if not self.genes[number].ordered:
            return (code,)
        return (code, *self._alternatives(number, code))

    @cached_property
    def _blocks(self) -> tuple[tuple[Row, Row], ...]:
        """For each gene, what moves with it at least, and what may move with it besides."""
        genes = range(len(self.genes))
        tied = [self._problem.neighbours(v) for v in range(len(self._problem.domains))]

        def complete(variables: set[int]) -> Row:
            """Adds the auxiliary variables that hang on some variables, directly or by another."""
            found, rest = set(variables), list(variables)
            while rest:
                more = {v for v in tied[rest.pop()] if v not in genes} - found
                found |= more
                rest += more
            return tuple(sorted(found))

        blocks = []
        for number in genes:
            small = {number} | self._plan.dependents[number]
            near = small | {v for v in tied[number] if v in genes}
            large = near.union(*(self._plan.dependents[v] for v in near))
            blocks.append((complete(small), complete(large)))
        return tuple(blocks)

    def _changed(
        self, state: Sequence[int], number: int, code: int, rng: random.Random
    ) -> list[int] | None:
        """A state with another code for a gene and few other changes; `None` if there is none."""
        codes = [(c,) for c in state[: len(self.genes)]]
        codes[number] = (code,)
        wishes = {v: (c,) for v, c in enumerate(self._settled(codes, rng))}
        for block in self._blocks[number]:
            solution = self._problem.solve(block, state, {number: (code,)})
            if solution.count:
                return solution.draw(rng, state, wishes)
        return None

    def _walk(self, state: list[int], rng: random.Random) -> list[int]:
        """A random walk within the limits.

        A step (`_redrawn`) stays where it would leave the limits. Steps are symmetric, so the
        walk's stationary distribution is uniform (Metropolis).
        """
        for _ in range(WALK_SWEEPS * len(self.genes)):
            there = self._redrawn(state, rng)
            if there != state and not self._excess(there):
                state = there
        return state

    def _redrawn(self, state: list[int], rng: random.Random) -> list[int]:
        """One gene, and what is tied to it, drawn anew: uniformly given all others."""
        block = rng.choice(self._blocks[rng.randrange(len(self.genes))])
        return self._problem.solve(block, state).draw(rng, state)

    def _brought_within(self, state: list[int], rng: random.Random) -> list[int]:
        """Changes genes until all limits hold, those first that bring most.

        Where no single gene helps, a few are drawn anew and the descent goes on.

        Raises:
            SpaceError: No member was found within `DESCENT_EVALUATIONS` costs.
        """
        excess = self._excess(state)
        closest = excess, state
        evaluations = 0
        while excess and evaluations < DESCENT_EVALUATIONS:
            moves: list[tuple[float, int, int]] = []
            for number in rng.sample(range(len(self.genes)), len(self.genes)):
                tried = []
                for code in self._alternatives(number, state[number]):
                    there = self._changed(state, number, code, rng)
                    if there is None:
                        continue
                    evaluations += 1
                    tried.append((self._excess(there), number, code))
                    if not tried[-1][0]:
                        return there
                moves += [min(tried)] if tried else []
            before = excess
            for promised, number, code in sorted(moves):
                there = self._changed(state, number, code, rng) if promised < before else None
                if there is not None and (now := self._excess(there)) < excess:
                    state, excess = there, now
                    if not excess:
                        return state
            closest = min(closest, (excess, state))
            if excess == before:
                for _ in range(KICK_GENES):
                    state = self._redrawn(state, rng)
                excess = self._excess(state)
                evaluations += 1
        if excess:
            spec = self._build(closest[1])
            limit = next(limit for limit in self.limits if limit.excess(spec))
            raise SpaceError(
                f"space {self.name!r}: found no member with {limit.metric} {limit};"
                f" the closest found has {limit.value(spec):.6g}"
            )
        return state

    def _alternatives(self, number: int, code: int) -> list[int]:
        """The other codes of an active gene, from near to far; none for an inactive one."""
        codes = range(len(self.genes[number].choices)) if code != INACTIVE else ()
        return sorted(set(codes) - {code}, key=lambda other: abs(other - code))


@lru_cache(maxsize=65536, typed=True)
def _branch(values: tuple[Any, ...]) -> BranchSpec:
    return BranchSpec(**as_read(dict(zip(BRANCH_FIELDS, values, strict=True))))


def _holds(choices: Sequence[Value], value: object) -> bool:
    """Whether a value is among choices; unlike `in`, tells `True` from 1."""
    return any(type(choice) is type(value) and choice == value for choice in choices)


def _not_a_choice(name: str, value: Value | None, choices: Sequence[Value]) -> str:
    return f"gene {name!r} must be one of {', '.join(map(repr, choices))}; got {value!r}"


def _first_difference(spec: ArchSpec, mine: ArchSpec) -> str:
    targets = [Target("stem_width"), Target("head_width")]
    targets += [Target("fusion", m) for m in range(len(spec.modules))]
    targets += [Target(name, m, b) for m, b, _ in spec.walk() for name in BRANCH_FIELDS]
    target = next(target for target in targets if target.of(spec) != target.of(mine))
    return f"no gene sets {target} to {target.of(spec)!r}; here it is {target.of(mine)!r}"
