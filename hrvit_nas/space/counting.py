"""Counts and draws the solutions of a finite constraint problem, exactly, by variable elimination.

Method: bucket elimination over count tables (Dechter, "Bucket elimination: a unifying framework
for reasoning", Artificial Intelligence 113, 1999). Each variable in turn is summed out of the
tables that mention it; the sums are exact integers, and drawing the variables in the opposite
order, each in proportion to its sums, gives uniform solutions without rejection.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from operator import itemgetter
from typing import Any

Row = tuple[int, ...]
Table = dict[Row, int]

MAX_ROWS = 1_000_000
"""Rows a table may have; a problem that needs more ties too many variables together."""


class TooCoupledError(ValueError):
    """So many variables are tied together that their combinations cannot be listed."""

    def __init__(self, variables: Sequence[int], rows: int) -> None:
        super().__init__(f"{rows} combinations to list; at most {MAX_ROWS}")
        self.variables = tuple(variables)
        self.rows = rows


@dataclass(frozen=True)
class _Step:
    """Elimination of one variable: which tables are multiplied, and what the sum depends on."""

    variable: int
    context: tuple[int, ...]
    factors: tuple[tuple[int, itemgetter[Any]], ...]  # table number, where a row holds its scope
    messages: tuple[tuple[int, itemgetter[Any]], ...]  # earlier step, likewise
    closes: bool  # whether the sum depends on fixed variables alone, so that no later step has it


@dataclass(frozen=True)
class Solution:
    """Every solution of a problem over some of its variables, in a form to draw from.

    Attributes:
        count: Number of solutions.
    """

    count: int
    _steps: tuple[_Step, ...]
    _tables: tuple[dict[Row, tuple[Row, Row]], ...]  # context -> values, cumulative counts

    def draw(
        self,
        rng: random.Random,
        state: Sequence[int],
        wishes: Mapping[int, Sequence[int]] | None = None,
    ) -> list[int]:
        """Draws a solution, uniform unless wishes are given.

        Args:
            rng: Source of randomness.
            state: Values of all variables; those not solved for are kept.
            wishes: For a variable, the values it should have, best first. The first that some
                solution still allows is taken; where none is, the value is drawn.
        """
        assert self.count, "no solution to draw"
        result = list(state)
        for step, table in zip(reversed(self._steps), reversed(self._tables), strict=True):
            values, cumulative = table[tuple([result[v] for v in step.context])]
            if len(values) == 1:
                result[step.variable] = values[0]
                continue
            if wishes is not None:
                wanted = next((w for w in wishes.get(step.variable, ()) if w in values), None)
                if wanted is not None:
                    result[step.variable] = wanted
                    continue
            drawn = rng.randrange(cumulative[-1])
            result[step.variable] = values[bisect_right(cumulative, drawn)]
        return result


@dataclass
class Problem:
    """Variables with finite domains, and tables of the value combinations allowed to a few of them.

    Attributes:
        domains: Values of each variable.
    """

    domains: list[Row] = field(default_factory=list)
    _tables: dict[Row, Table] = field(default_factory=dict)
    _plans: dict[Row, tuple[_Step, ...]] = field(default_factory=dict)

    def add_variable(self, domain: Iterable[int]) -> int:
        """Adds a variable; returns its number."""
        self.domains.append(tuple(domain))
        return len(self.domains) - 1

    def require(self, scope: Sequence[int], allowed: Callable[..., bool]) -> None:
        """Allows only the values of a few distinct variables that a predicate accepts.

        Raises:
            TooCoupledError: The variables have too many combinations to list.
        """
        _check_rows(self.domains, scope)
        rows: Iterable[Row] = product(*(self.domains[v] for v in scope))
        before = self._tables.get(tuple(scope))
        if before is not None:
            rows = list(before)
        self._plans.clear()
        self._tables[tuple(scope)] = {row: 1 for row in rows if allowed(*row)}

    def neighbours(self, variable: int) -> set[int]:
        """The variables that share a table with one, itself included."""
        return {variable}.union(*(scope for scope in self._tables if variable in scope))

    def solve(
        self,
        variables: Sequence[int] | None = None,
        state: Sequence[int] = (),
        domains: Mapping[int, Row] | None = None,
    ) -> Solution:
        """Solves for some variables, the others being fixed.

        Args:
            variables: What to solve for; all where `None`.
            state: Values of all variables, read for the fixed ones.
            domains: Smaller domains for some of the variables solved for.

        Raises:
            TooCoupledError: An intermediate table would be too large.
        """
        free = tuple(range(len(self.domains))) if variables is None else tuple(variables)
        if free not in self._plans:
            self._plans[free] = self._plan(free)
        now: list[Row] = [(value,) for value in state] or list(self.domains)
        for variable in free:
            now[variable] = self.domains[variable]
        for variable, domain in (domains or {}).items():
            now[variable] = domain

        tables = list(self._tables.values())
        sums: list[Table] = []
        draws: list[dict[Row, tuple[Row, Row]]] = []
        count = 1
        for step in self._plans[free]:
            inputs = [(tables[n], view) for n, view in step.factors]
            inputs += [(sums[n], view) for n, view in step.messages]
            _check_rows(now, (*step.context, step.variable))
            totals: Table = {}
            draw: dict[Row, tuple[Row, Row]] = {}
            for context in product(*(now[v] for v in step.context)):
                values, cumulative, total = [], [], 0
                for value in now[step.variable]:
                    row = (*context, value)
                    weight = 1
                    for table, view in inputs:
                        weight *= table.get(view(row), 0)
                        if not weight:
                            break
                    if weight:
                        total += weight
                        values.append(value)
                        cumulative.append(total)
                if total:
                    totals[context] = total
                    draw[context] = (tuple(values), tuple(cumulative))
            sums.append(totals)
            draws.append(draw)
            if step.closes:
                count *= sum(totals.values())
        return Solution(count, self._plans[free], tuple(draws))

    def _plan(self, free: Row) -> tuple[_Step, ...]:
        """Order of elimination: always the variable whose table is smallest (greedy min-weight)."""
        scopes: list[tuple[str, int, Row]] = [
            ("factor", n, scope)
            for n, scope in enumerate(self._tables)
            if not set(free).isdisjoint(scope)
        ]
        left = list(free)
        steps: list[_Step] = []
        while left:
            best: tuple[int, int, Row] | None = None
            for variable in left:
                joint = set().union(*(scope for *_, scope in scopes if variable in scope))
                rows = prod(len(self.domains[v]) for v in joint if v in left)
                if best is None or rows < best[0]:
                    best = (rows, variable, tuple(sorted(joint - {variable})))
            assert best is not None
            _, variable, context = best
            place = {v: n for n, v in enumerate((*context, variable))}
            used = [entry for entry in scopes if variable in entry[2]]
            scopes = [entry for entry in scopes if variable not in entry[2]]
            step = _Step(
                variable,
                context,
                tuple((n, _view(s, place)) for kind, n, s in used if kind == "factor"),
                tuple((n, _view(s, place)) for kind, n, s in used if kind == "message"),
                closes=not any(v in left for v in context),
            )
            if not step.closes:
                scopes.append(("message", len(steps), context))
            steps.append(step)
            left.remove(variable)
        return tuple(steps)


def _view(scope: Row, place: Mapping[int, int]) -> itemgetter[Any]:
    """What picks a scope's values out of a row, as a tuple also where there is only one."""
    places = [place[v] for v in scope]
    if len(places) == 1:
        return itemgetter(slice(places[0], places[0] + 1))
    return itemgetter(*places)


def _check_rows(domains: Sequence[Row], scope: Sequence[int]) -> None:
    rows = prod(len(domains[v]) for v in scope)
    if rows > MAX_ROWS:
        raise TooCoupledError(scope, rows)
