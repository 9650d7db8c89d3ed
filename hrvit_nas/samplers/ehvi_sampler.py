"""Proposes the architecture that is expected to add the most hypervolume for the work of its score,
as Snoek, Larochelle and Adams ("Practical Bayesian Optimization of Machine Learning Algorithms",
NeurIPS 2012) weigh an expected improvement by seconds.

Scores are predicted by a Gaussian process: a plane in the logarithms of the costs, and about it
what the genes tell. Costs need no prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from optuna.trial import TrialState

from ..arch import ArchSpec
from ..results import pareto_front
from ..space import Space
from ..space.by_cost import CostOf
from .base import Proposal
from .ehvi import expected_hypervolume_improvement
from .gaussian_process import GaussianProcess
from .optuna_sampler import ARCH_ATTRIBUTE, OptunaSampler

Floats: TypeAlias = NDArray[np.float64]
Gains: TypeAlias = Callable[[Sequence[ArchSpec]], Floats]

POOL = 384
CLIMBS, CLIMBERS, NEIGHBOURS = 3, 4, 8
MOST_SCORES = 300
"""Scores that the process is fitted to; of more, the last."""
MOST_ROWS = 20_000
"""Architectures whose costs and features are kept."""
MARGIN = 0.1


class EhviSampler(OptunaSampler):
    """Expected hypervolume improvement with costs that are known; see `ehvi`.

    The study is kept as that of any other sampler; proposals are queued there.

    Args:
        space: See `OptunaSampler`.
        costs: Every cost of the search, each a function of the architecture. The first generation
            is spread over the first.
        work: What a score takes to have, in any unit, such as the multiply-adds that a training's
            seconds go with.
        others: See `OptunaSampler`.
    """

    def __init__(
        self, space: Space, costs: Sequence[CostOf], *, work: CostOf, **others: Any
    ) -> None:
        super().__init__(space, costs[0], num_costs=len(costs), **others)
        self._costs_of, self._work_of = costs, work
        self._of_trial: dict[int, ArchSpec] = {}
        self._rows: dict[str, tuple[Floats, Floats, float]] = {}

    @cached_property
    def _pool(self) -> list[ArchSpec]:
        """Uniform draws, which are candidates throughout."""
        return list(dict.fromkeys(self._space.sample(self._rng) for _ in range(POOL)))

    @cached_property
    def _scale(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the logarithms of the costs."""
        logs = np.log(self._costs(self._pool))
        spread = logs.std(0)
        return logs.mean(0), np.where(spread > 0, spread, 1.0)

    def _suggested(self) -> Proposal:
        told: dict[ArchSpec, float] = {}
        pending = []
        states = (TrialState.COMPLETE, TrialState.RUNNING)
        for trial in self._study.get_trials(deepcopy=False, states=states):
            if trial.number not in self._of_trial:
                text = trial.user_attrs[ARCH_ATTRIBUTE]
                self._of_trial[trial.number] = ArchSpec.from_json(text)
            spec = self._of_trial[trial.number]
            if trial.state == TrialState.RUNNING:
                pending.append(spec)
            else:
                told[spec] = trial.values[0]
        if len(told) < 2:
            return super()._suggested()
        best = self._climbed(*self._model(told, pending))
        if best is None:
            return super()._suggested()
        return self._taken_up(self._fixed(best), best)

    def _model(
        self, told: dict[ArchSpec, float], pending: list[ArchSpec]
    ) -> tuple[list[ArchSpec], Gains]:
        """The frontier that is believed in, and what candidates are expected to add to it for the
        work of each.
        """
        specs = [*list(told)[-MOST_SCORES:], *pending]
        scores = np.array(list(told.values())[-MOST_SCORES:])
        plane, features = self._inputs(specs)
        process = GaussianProcess(plane[: len(scores)], features[: len(scores)], scores)
        means, _ = process.predict(plane, features)
        # Those that run are taken to score what is expected of them.
        believed = np.append(scores, means[len(scores) :])
        process = GaussianProcess(plane, features, believed, like=process)
        costs = self._costs(specs)
        dearest = np.maximum(costs.max(0), self._costs(self._pool).max(0))
        corner = np.array([means.min() - MARGIN * np.ptp(means), *((1 + MARGIN) * dearest)])
        known = np.column_stack([means, costs])
        on_front = pareto_front(known)

        def gains(candidates: Sequence[ArchSpec]) -> Floats:
            mean, deviation = process.predict(*self._inputs(candidates))
            own = self._costs(candidates)
            added = expected_hypervolume_improvement(mean, deviation, own, known[on_front], corner)
            work: Floats = np.array([self._row(spec)[2] for spec in candidates])
            return added / work

        return [spec for spec, on in zip(specs, on_front, strict=True) if on], gains

    def _climbed(self, front: Sequence[ArchSpec], gains: Gains) -> ArchSpec | None:
        """The best that a climb from the best candidates finds; None if all are taken."""
        near = [self._space.mutate(spec, self._rng) for spec in front for _ in range(2)]
        fresh = [self._space.sample(self._rng) for _ in range(NEIGHBOURS)]
        found: dict[str, tuple[float, ArchSpec]] = {}
        candidates = {spec.id: spec for spec in (*self._pool, *near, *fresh)}
        for climb in range(1 + CLIMBS):
            new = [candidates[key] for key in candidates.keys() - found.keys() - self._seen]
            new.sort(key=lambda spec: spec.id)  # sets have no order that two runs share
            if new:
                values = gains(new).tolist()
                found |= {spec.id: (gain, spec) for gain, spec in zip(values, new, strict=True)}
            best = sorted(found.values(), key=lambda one: one[0], reverse=True)[:CLIMBERS]
            if climb == CLIMBS:
                break
            moved = [
                self._space.mutate(spec, self._rng) for _, spec in best for _ in range(NEIGHBOURS)
            ]
            candidates = {spec.id: spec for spec in moved}
        return best[0][1] if best else None

    def _costs(self, specs: Sequence[ArchSpec]) -> Floats:
        """(n, costs)."""
        return np.array([self._row(spec)[0] for spec in specs])

    def _inputs(self, specs: Sequence[ArchSpec]) -> tuple[Floats, Floats]:
        """Standardised logarithms of the costs, and features of the genes."""
        centre, spread = self._scale
        plane = (np.log(self._costs(specs)) - centre) / spread
        return plane, np.array([self._row(spec)[1] for spec in specs])

    def _row(self, spec: ArchSpec) -> tuple[Floats, Floats, float]:
        """The costs of an architecture, its features (the place of an ordered gene's choice, from 0
        to 1, and a column a choice of any other), and the work of its score.
        """
        if spec.id not in self._rows:
            if len(self._rows) >= MOST_ROWS:
                self._rows.clear()
            row: list[float] = []
            for gene, code in zip(self._space.genes, self._space.encode(spec), strict=True):
                count = len(gene.choices)
                if count == 1:
                    continue
                if gene.ordered:
                    row.append(max(code, 0) / (count - 1))
                else:
                    row += [0.5**0.5 * (code == place) for place in range(count)]
            costs = np.array([cost(spec) for cost in self._costs_of])
            self._rows[spec.id] = costs, np.array(row), self._work_of(spec)
        return self._rows[spec.id]
