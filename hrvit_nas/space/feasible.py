"""Architectures within limits: brought there by a descent, kept there on a random walk."""

from __future__ import annotations

import random
from collections.abc import Sequence

from .coding import Coding
from .genes import SpaceError
from .limits import Limit, total_excess
from .moves import Moves

WALK_SWEEPS = 4
"""Steps of the walk for each gene."""
DESCENT_EVALUATIONS = 600
"""Costs looked at in search of a first architecture within the limits."""
KICK_GENES = 4
"""Genes drawn anew where that search is stuck."""


class Feasible:
    """Leads states of architectures into the limits.

    Args:
        name: Of the space, for messages.
        limits: Hard bounds on cost.
        coding: What its codes mean.
        moves: What leads from one state to others.
        num_genes: Number of its genes.
    """

    def __init__(
        self, name: str, limits: Sequence[Limit], coding: Coding, moves: Moves, num_genes: int
    ) -> None:
        self._name = name
        self._limits = limits
        self._coding = coding
        self._moves = moves
        self._num_genes = num_genes

    def excess(self, state: Sequence[int]) -> float:
        """How far outside the limits an architecture is; 0 within them."""
        return total_excess(self._limits, self._coding.build(state)) if self._limits else 0.0

    def walk(self, state: list[int], rng: random.Random) -> list[int]:
        """A random walk within the limits.

        A step (`Moves.redrawn`) stays where it would leave the limits. Steps are symmetric, so the
        walk's stationary distribution is uniform (Metropolis).
        """
        for _ in range(WALK_SWEEPS * self._num_genes):
            there = self._moves.redrawn(state, rng)
            if there != state and not self.excess(there):
                state = there
        return state

    def brought_within(self, state: list[int], rng: random.Random) -> list[int]:
        """Changes genes until all limits hold, those first that bring most.

        Where no single gene helps, a few are drawn anew and the descent goes on.

        Raises:
            SpaceError: No architecture was found within `DESCENT_EVALUATIONS` costs.
        """
        excess = self.excess(state)
        closest = excess, state
        evaluations = 0
        while excess and evaluations < DESCENT_EVALUATIONS:
            moves: list[tuple[float, int, int]] = []
            for number in rng.sample(range(self._num_genes), self._num_genes):
                tried = []
                for code in self._moves.alternatives(number, state[number]):
                    there = self._moves.changed(state, number, code, rng)
                    if there is None:
                        continue
                    evaluations += 1
                    tried.append((self.excess(there), number, code))
                    if not tried[-1][0]:
                        return there
                moves += [min(tried)] if tried else []
            before = excess
            for promised, number, code in sorted(moves):
                there = self._moves.changed(state, number, code, rng) if promised < before else None
                if there is not None and (now := self.excess(there)) < excess:
                    state, excess = there, now
                    if not excess:
                        return state
            closest = min(closest, (excess, state))
            if excess == before:
                for _ in range(KICK_GENES):
                    state = self._moves.redrawn(state, rng)
                excess = self.excess(state)
                evaluations += 1
        if excess:
            spec = self._coding.build(closest[1])
            limit = next(limit for limit in self._limits if limit.excess(spec))
            raise SpaceError(
                f"space {self._name!r}: found no architecture with {limit.metric} {limit};"
                f" the closest found has {limit.value(spec):.6g}"
            )
        return state
