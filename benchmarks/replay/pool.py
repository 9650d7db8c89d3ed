"""A table of long training as a world of its own: its architectures are all there are."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np

from hrvit_nas.arch import ArchSpec
from hrvit_nas.results.benchmark import Benchmark
from hrvit_nas.space import Space, Value

from .world import Floats, curves_of

NEAREST = 4


class Pool:
    """The architectures of a table, offered as a space is to a sampler.

    Args:
        space: Which they are of.
        specs: The architectures.
    """

    def __init__(self, space: Space, specs: Sequence[ArchSpec]) -> None:
        self._space, self._specs = space, specs
        self.name, self.genes = space.name, space.genes
        self.encode, self.decode, self.genes_of = space.encode, space.decode, space.genes_of
        spans = np.array([max(1, len(gene.choices) - 1) for gene in space.genes])
        self._places = np.array([space.encode(spec) for spec in specs]) / spans
        self._spans = spans

    def sample(self, rng: random.Random) -> ArchSpec:
        """Any of them."""
        return rng.choice(self._specs)

    def contains(self, spec: ArchSpec) -> bool:
        """Whether it is one of them."""
        return spec in self._specs

    def nearest(self, values: Mapping[str, Value | None], rng: random.Random) -> ArchSpec:  # noqa: ARG002
        """The one that differs least."""
        place = [
            gene.choices.index(value) if (value := values.get(gene.name)) is not None else 0
            for gene in self.genes
        ]
        return self._specs[int(np.argmin(self._distances(np.array(place) / self._spans)))]

    def mutate(self, spec: ArchSpec, rng: random.Random) -> ArchSpec:
        """One of those that differ least."""
        order = np.argsort(self._distances(np.array(self.encode(spec)) / self._spans))
        return self._specs[int(order[1 + rng.randrange(NEAREST)])]

    def _distances(self, place: Floats) -> Floats:
        distances: Floats = np.abs(self._places - place).sum(1)
        return distances


class TableWorld:
    """Scores of one seed, judged by those of another."""

    def __init__(self, benchmark: Benchmark, space: Space, seed: int) -> None:
        self.space = Pool(space, benchmark.archs)
        self.steps = benchmark.steps
        curves = curves_of(benchmark)
        seen, judged = (0, 1) if seed % 2 else (1, 0)
        self._seen = dict(zip(benchmark.arch_ids, curves[:, seen], strict=True))
        self._judged = dict(zip(benchmark.arch_ids, curves[:, judged], strict=True))

    def scores(self, spec: ArchSpec, macs: float, seed: int) -> Floats:  # noqa: ARG002
        """(steps, criteria)."""
        return self._seen[spec.id]

    def truth(self, spec: ArchSpec, macs: float) -> Floats:  # noqa: ARG002
        """(steps, criteria), of the other seed."""
        return self._judged[spec.id]

    def seconds(self, macs: float, steps: int) -> float:  # noqa: ARG002
        """In proportion to steps alone: a table's seconds are of busy machines."""
        return 1.0 * steps
