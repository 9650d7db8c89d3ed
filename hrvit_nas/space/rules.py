"""A space as a finite constraint problem over its genes.

The rules of one branch are asked of `BranchSpec` itself, a few fields at a time, so that tables
stay small: attention, width and head dim; width and shortcut; attention and strip width. That
these parts together are all of `BranchSpec`'s rules is held by a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from hrvit_nas.arch import ArchError, ArchSpec, BranchSpec, attention_group_width

from .counting import Problem, Row
from .genes import READERS, SPEC_FIELDS, UNREAD, Constraint, Gene, SpaceError, Target, Value

INACTIVE = -1
"""Code of a gene that has no value."""

_BRANCH_RULES: tuple[tuple[str, ...], ...] = (
    ("attention", "width", "head_dim"),
    ("width", "shortcut"),
    ("attention", "strip_width"),
)
_NEUTRAL: dict[str, Value | None] = {
    "width": 2,
    "blocks": 1,
    "expansion_ratio": 1,
    "attention": "cross_shaped",
    "strip_width": 1,
    "head_dim": 1,
    "shortcut": "identity",
}


def as_read(values: Mapping[str, Any]) -> dict[str, Any]:
    """A branch's fields, with those that its attention kind does not read left unset."""
    attention = values["attention"]
    return {
        name: UNREAD[name] if attention not in READERS.get(name, (attention,)) else value
        for name, value in values.items()
    }


@lru_cache(maxsize=65536, typed=True)  # True is not 1 here
def _branch_error(**values: Any) -> str | None:
    """Why no branch can have these values of a few fields, or `None`."""
    try:
        BranchSpec(**as_read({**_NEUTRAL, **values}))
    except ArchError as error:
        return str(error)
    return None


def value_error(target: Target, value: Value, base: ArchSpec) -> str | None:
    """Why a field cannot hold a value whatever the other fields are, or `None`."""
    if target.module is None:
        assert target.name in SPEC_FIELDS
        changes: dict[str, Any] = {target.name: value}
    elif target.branch is None:
        module = replace(base.modules[target.module], **{"fusion": value})  # type: ignore[arg-type]
        changes = {
            "modules": (
                *base.modules[: target.module],
                module,
                *base.modules[target.module + 1 :],
            )
        }
    else:
        return _branch_error(**{target.name: value})
    try:
        replace(base, **changes)
    except ArchError as error:
        return str(error)
    return None


@dataclass(frozen=True)
class Blueprint:
    """Genes laid over a base: who sets which field, who is active when, what goes together.

    Attributes:
        setters: Number of the gene that sets a field; fields left out keep the base's value.
        targets: Fields that each gene sets.
        order: Gene numbers such that a gene stands after those that decide whether it is active.
        dependents: For each gene, those whose being active hangs on it, also at second hand.
        parents: For each gene, the (number, codes) pairs of its conditions.
        problem: Variables 0 to `len(genes) - 1` are the genes' codes (index of the choice, or
            `INACTIVE`); later ones are auxiliary and follow from the genes.
        auxiliaries: What each of those means: that a gene shows in a field, or that the
            auxiliary variable before it (if any) holds.
    """

    base: ArchSpec
    genes: tuple[Gene, ...]
    setters: dict[Target, int]
    targets: tuple[tuple[Target, ...], ...]
    parents: tuple[tuple[tuple[int, frozenset[int]], ...], ...]
    order: tuple[int, ...]
    dependents: tuple[frozenset[int], ...]
    problem: Problem
    auxiliaries: list[tuple[int, Target, int | None]]

    def value(self, target: Target, codes: Mapping[int, int] | Sequence[int]) -> Value | None:
        """The value of a field, were its attention kind to read it."""
        number = self.setters.get(target)
        if number is None or codes[number] == INACTIVE:
            return target.of(self.base)
        return self.genes[number].choices[codes[number]]

    def is_read(self, target: Target, codes: Mapping[int, int] | Sequence[int]) -> bool:
        """Whether the attention kind of the field's branch reads it."""
        if target.name not in READERS:
            return True
        return self.value(target.sibling("attention"), codes) in READERS[target.name]

    def is_active(self, number: int, codes: Sequence[int]) -> bool:
        """Whether a gene is active, given the codes of the genes before it in `order`."""
        return all(codes[parent] in allowed for parent, allowed in self.parents[number]) and any(
            self.is_read(target, codes) for target in self.targets[number]
        )

    def tells(
        self, number: int, code: int, target: Target, codes: Mapping[int, int] | Sequence[int]
    ) -> bool:
        """Whether a field shows a gene's choice.

        A head dim of at least the width of a head group makes the group one head, so that a
        choice shows only where some group is wider than the next smaller choice: otherwise both
        would spell one network.
        """
        if not self.is_read(target, codes):
            return False
        if target.name != "head_dim" or code == INACTIVE:
            return True
        smaller = self.smaller_choice(number, code)
        if not smaller:
            return True
        attention: Any = self.value(target.sibling("attention"), codes)
        width = self.value(target.sibling("width"), codes)
        assert isinstance(width, int)
        return attention_group_width(attention, width) > smaller

    def state(self, codes: Sequence[int]) -> list[int]:
        """Values of all variables of the problem, given the codes of the genes."""
        state = list(codes)
        for number, target, before in self.auxiliaries:
            held = before is not None and bool(state[before])
            state.append(int(held or self.tells(number, codes[number], target, codes)))
        return state

    def smaller_choice(self, number: int, code: int) -> int:
        """The next smaller choice of a gene with numbers, or 0."""
        choices = [choice for choice in self.genes[number].choices if isinstance(choice, int)]
        return max((choice for choice in choices if choice < choices[code]), default=0)


def draw_up(base: ArchSpec, genes: Sequence[Gene], constraints: Sequence[Constraint]) -> Blueprint:
    """Checks genes and constraints against a base, and states them as a problem.

    Raises:
        SpaceError: A gene or constraint is at fault; `at` says which.
        TooCoupledError: The genes tied together have too many combinations to list.
    """
    numbers = {gene.name: number for number, gene in enumerate(genes)}
    targets = tuple(gene.targets(base) for gene in genes)
    setters: dict[Target, int] = {}
    for number, gene in enumerate(genes):
        _check_choices(gene, targets[number], base)
        for target in targets[number]:
            other = setters.setdefault(target, number)
            if other != number:
                raise SpaceError(
                    f"gene {gene.name!r}: gene {genes[other].name!r} already sets {target}",
                    ("genes", gene.name, "field"),
                )
    parents = tuple(_conditions(gene, genes, numbers) for gene in genes)
    needs = [
        {parent for parent, _ in parents[number]}.union(
            *(
                _setter_of(setters, target.sibling("attention"))
                for target in targets[number]
                if target.name in READERS
            )
        )
        for number in range(len(genes))
    ]
    order = _activity_order(genes, needs)
    dependents: list[frozenset[int]] = [frozenset()] * len(genes)
    for number in reversed(order):
        direct = [child for child, needed in enumerate(needs) if number in needed]
        dependents[number] = frozenset(direct).union(*(dependents[child] for child in direct))
    plan = Blueprint(
        base, tuple(genes), setters, targets, parents, order, tuple(dependents), Problem(), []
    )
    for number in range(len(genes)):
        codes = tuple(range(len(genes[number].choices)))
        plan.problem.add_variable(codes + (INACTIVE,) * _may_rest(plan, number))
    for number in range(len(genes)):
        _require_activity(plan, number)
    _require_branch_rules(plan)
    for position, constraint in enumerate(constraints):
        _require_constraint(plan, constraint, numbers, ("constraints", position))
    return plan


def _check_choices(gene: Gene, targets: Sequence[Target], base: ArchSpec) -> None:
    if not gene.choices:
        raise SpaceError(
            f"gene {gene.name!r}: choices must not be empty", ("genes", gene.name, "choices")
        )
    for position, choice in enumerate(gene.choices):
        at = ("genes", gene.name, "choices", position)
        if any(choice is c or choice == c for c in gene.choices[:position]):
            raise SpaceError(f"gene {gene.name!r}: choice {choice!r} stands twice", at)
        for target in targets:
            if error := value_error(target, choice, base):
                raise SpaceError(f"gene {gene.name!r}: {error}", at)


def _conditions(
    gene: Gene, genes: Sequence[Gene], numbers: Mapping[str, int]
) -> tuple[tuple[int, frozenset[int]], ...]:
    for name, _ in gene.when:
        if name not in numbers:
            raise SpaceError(
                f"gene {gene.name!r}: its condition names {name!r}, which is no gene;"
                f" known: {', '.join(numbers)}",
                ("genes", gene.name, "when", name),
            )
    # Choices that were narrowed away have no code.
    return tuple(
        (numbers[name], frozenset(c for c, v in enumerate(genes[numbers[name]].choices) if v in ok))
        for name, ok in gene.when
    )


def _setter_of(setters: Mapping[Target, int], target: Target) -> set[int]:
    return {setters[target]} if target in setters else set()


def _activity_order(genes: Sequence[Gene], needs: Sequence[set[int]]) -> tuple[int, ...]:
    order: list[int] = []
    while len(order) < len(genes):
        ready = [n for n, needed in enumerate(needs) if n not in order and needed <= set(order)]
        if not ready:
            stuck = [gene.name for n, gene in enumerate(genes) if n not in order]
            raise SpaceError(
                f"gene {stuck[0]!r}: conditions form a circle among {', '.join(stuck)}",
                ("genes", stuck[0], "when"),
            )
        order += ready
    return tuple(order)


def _may_rest(plan: Blueprint, number: int) -> bool:
    """Whether a gene may be inactive for some codes of the others."""
    if plan.parents[number]:
        return True
    return all(_may_be_unread(plan, target) for target in plan.targets[number])


def _may_be_unread(plan: Blueprint, target: Target) -> bool:
    if target.name not in READERS:
        return False
    attention = target.sibling("attention")
    kinds: set[Value | None] = {attention.of(plan.base)}
    setter = plan.setters.get(attention)
    if setter is not None:
        chosen: set[Value | None] = set(plan.genes[setter].choices)
        kinds = kinds | chosen if plan.genes[setter].when else chosen
    return not kinds <= set(READERS[target.name])


def _require_activity(plan: Blueprint, number: int) -> None:
    """A gene has a value exactly where it is active and the value shows (see `Blueprint.tells`).

    With several fields, an auxiliary variable after each says whether any so far shows the
    value; the tables then hold one branch at a time, however many the gene is shared by.
    """
    gene = plan.genes[number]
    graded = gene.field.endswith(".head_dim") and len(gene.choices) > 1
    conditional = INACTIVE in plan.problem.domains[number]
    if not conditional and not graded:
        return
    names = ("attention", "width") if graded else ("attention",)
    groups: dict[tuple[object, ...], Target] = {}
    for target in plan.targets[number]:
        reads = target.name in READERS
        constant = tuple(target.sibling(name).of(plan.base) for name in names) if reads else ()
        groups.setdefault((_scope(plan, target, names) if reads else (), constant), target)

    shown: int | None = None
    for target in groups.values():
        others = _scope(plan, target, names) if target.name in READERS else ()
        before = () if shown is None else (shown,)
        plan.auxiliaries.append((number, target, shown))
        shown = plan.problem.add_variable((0, 1))

        def follows(
            now: int, code: int, *rest: int, target: Target = target, others: Row = others
        ) -> bool:
            so_far = rest[len(others) :] == (1,)
            known = dict(zip(others, rest, strict=False))
            return bool(now) == (so_far or plan.tells(number, code, target, known))

        plan.problem.require((shown, number, *others, *before), follows)

    assert shown is not None
    parents = plan.parents[number]

    def is_right(code: int, some: int, *conditions: int) -> bool:
        held = all(c in ok for c, (_, ok) in zip(conditions, parents, strict=True))
        return (code != INACTIVE) == (held and bool(some)) if conditional else bool(some)

    plan.problem.require((number, shown, *(parent for parent, _ in parents)), is_right)


def _scope(plan: Blueprint, target: Target, names: Sequence[str]) -> Row:
    """The genes, each once, that set some fields of a target's branch."""
    found = [plan.setters.get(target.sibling(name)) for name in names]
    return tuple(dict.fromkeys(number for number in found if number is not None))


def _require_branch_rules(plan: Blueprint) -> None:
    done = set()
    for m, b, branch in plan.base.walk():
        for names in _BRANCH_RULES:
            targets = [Target(name, m, b) for name in names]
            scope = _scope(plan, targets[0], names)
            key = (names, scope, tuple(getattr(branch, name) for name in names))
            if key in done or not scope:
                continue
            done.add(key)

            def error(
                *codes: int, scope: Row = scope, targets: Sequence[Target] = targets
            ) -> str | None:
                known = dict(zip(scope, codes, strict=True))
                return _branch_error(**{t.name: plan.value(t, known) for t in targets})

            if len(scope) == 1:
                _check_alone(plan, scope[0], error)
            plan.problem.require(scope, lambda *codes, error=error: error(*codes) is None)


def _check_alone(plan: Blueprint, number: int, error: Callable[[int], str | None]) -> None:
    """A choice that the base alone rules out would never be taken: better said than passed over."""
    for code, choice in enumerate(plan.genes[number].choices):
        if reason := error(code):
            name = plan.genes[number].name
            raise SpaceError(
                f"gene {name!r}: no architecture can have {choice!r}: {reason}",
                ("genes", name, "choices", code),
            )


def _require_constraint(
    plan: Blueprint,
    constraint: Constraint,
    numbers: Mapping[str, int],
    at: tuple[str | int, ...],
) -> None:
    for name in constraint.genes:
        if name not in numbers:
            raise SpaceError(
                f"constraint {constraint} names {name!r}, which is no gene;"
                f" known: {', '.join(numbers)}",
                at,
            )
    if len(set(constraint.genes)) < max(2, len(constraint.genes)):
        raise SpaceError(f"constraint {constraint} must name two or more genes, each once", at)
    for names, piece in constraint.pieces():
        scope = [numbers[name] for name in names]
        for number in scope:
            gene = plan.genes[number]
            if constraint.needs_order and not gene.ordered:
                raise SpaceError(
                    f"constraint {constraint} needs numbers, but gene {gene.name!r} has"
                    f" {list(gene.choices)}",
                    at,
                )
            if constraint.needs_order and INACTIVE in plan.problem.domains[number]:
                raise SpaceError(
                    f"constraint {constraint} needs genes that are always active, but"
                    f" {gene.name!r} is conditional",
                    at,
                )

        def allowed(*codes: int, scope: Sequence[int] = scope, piece: Any = piece) -> bool:
            return bool(
                piece(
                    tuple(
                        None if code == INACTIVE else plan.genes[number].choices[code]
                        for number, code in zip(scope, codes, strict=True)
                    )
                )
            )

        plan.problem.require(scope, allowed)
