"""Architectures of a space drawn and changed, limits aside.

A state holds the codes of the genes, then the auxiliary variables of the space's problem.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property

from .counting import Row, Solution
from .rules import INACTIVE, Blueprint


class Moves:
    """Draws states of architectures, and leads from one to others.

    Args:
        plan: The genes of a space laid over its base.
        solution: All architectures, as solutions of its problem.
    """

    def __init__(self, plan: Blueprint, solution: Solution) -> None:
        self._plan = plan
        self._solution = solution
        self._blank = [INACTIVE] * len(plan.problem.domains)

    def drawn(self, rng: random.Random) -> list[int]:
        """An architecture's state, drawn uniformly."""
        return self._solution.draw(rng, self._blank)

    def _settled(self, wishes: Sequence[Sequence[int]], rng: random.Random) -> list[int]:
        """A state with the first code wished for each gene, or none where the gene is inactive.

        An active gene without a wish is drawn. Rules and constraints are not looked at.
        """
        codes = [INACTIVE] * len(self._plan.genes)
        for number in self._plan.order:
            if self._plan.is_active(number, codes):
                wished = next((code for code in wishes[number] if code != INACTIVE), None)
                size = len(self._plan.genes[number].choices)
                codes[number] = rng.randrange(size) if wished is None else wished
        return self._plan.state(codes)

    def repaired(self, wishes: Sequence[Sequence[int]], rng: random.Random) -> list[int]:
        """A state (limits aside) that departs from codes wished for in few genes."""
        settled = self._settled(wishes, rng)
        preferred: dict[int, Sequence[int]] = {v: (code,) for v, code in enumerate(settled)}
        for number, codes in enumerate(wishes):
            near = self._from_near(number, settled[number])
            preferred[number] = (settled[number], *codes[1:], *near)
        return self._solution.draw(rng, self._blank, preferred)

    def _from_near(self, number: int, code: int) -> Sequence[int]:
        """A code, and for a gene with numbers all its others, from near to far."""
        if not self._plan.genes[number].ordered:
            return (code,)
        return (code, *self.alternatives(number, code))

    @cached_property
    def _blocks(self) -> tuple[tuple[Row, Row], ...]:
        """For each gene, what moves with it at least, and what may move with it besides."""
        genes = range(len(self._plan.genes))
        tied = [self._plan.problem.neighbours(v) for v in range(len(self._plan.problem.domains))]

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

    def changed(
        self, state: Sequence[int], number: int, code: int, rng: random.Random
    ) -> list[int] | None:
        """A state with another code for a gene and few other changes; `None` if there is none."""
        codes = [(c,) for c in state[: len(self._plan.genes)]]
        codes[number] = (code,)
        wishes = {v: (c,) for v, c in enumerate(self._settled(codes, rng))}
        for block in self._blocks[number]:
            solution = self._plan.problem.solve(block, state, {number: (code,)})
            if solution.count:
                return solution.draw(rng, state, wishes)
        return None

    def redrawn(self, state: list[int], rng: random.Random) -> list[int]:
        """One gene, and what is tied to it, drawn anew: uniformly given all others."""
        block = rng.choice(self._blocks[rng.randrange(len(self._plan.genes))])
        return self._plan.problem.solve(block, state).draw(rng, state)

    def alternatives(self, number: int, code: int) -> list[int]:
        """The other codes of an active gene, from near to far; none for an inactive one."""
        codes = range(len(self._plan.genes[number].choices)) if code != INACTIVE else ()
        return sorted(set(codes) - {code}, key=lambda other: abs(other - code))
