"""What training would say of any architecture of a space, as a table of long training has it.

The scores of an architecture, one a step, are a ridge regression on what is known of it before
training, plus a deviation of its own, plus the noise of a seed. Deviations and noise are those of
the table's own architectures, whole curves at a time, so that early scores tell of late ones about
what they tell there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import kendalltau, theilslopes

from hrvit_nas.arch import ArchSpec
from hrvit_nas.results.benchmark import Benchmark
from hrvit_nas.results.predictors import predictor_tau
from hrvit_nas.space import Space

Floats: TypeAlias = NDArray[np.float64]
CRITERIA = ("miou", "cross_entropy")
TAIL = 8
"""Values at either end by which a scale goes on beyond what the table has."""
PENALTIES = np.geomspace(0.1, 1000, 41)


def curves_of(benchmark: Benchmark) -> Floats:
    """(architectures, seeds, steps, criteria), more being better, without what a seed's own effect
    moves all of them by.
    """
    curves = np.stack(
        [
            np.stack([benchmark.scores(name, step) for step in benchmark.steps], axis=-1)
            for name in CRITERIA
        ],
        axis=-1,
    )
    effects: Floats = curves.mean(0, keepdims=True) - curves.mean((0, 1), keepdims=True)
    centred: Floats = curves - effects
    return centred


@dataclass(frozen=True, eq=False)
class Scales:
    """Each score as a normal quantile, by its place among those of the table.

    Early in a training a few networks lag far behind. By rank, they do not outweigh the rest.

    Attributes:
        values: (n, outputs), rising; what the table has, and an end beyond it on either side.
        quantiles: (n,), the same as normal quantiles.
    """

    values: Floats
    quantiles: Floats

    def normal(self, scores: Floats) -> Floats:
        """Normal quantiles of scores, (..., outputs)."""
        return self._through(scores, lambda y, x: np.interp(x, y, self.quantiles))

    def scores(self, normal: Floats) -> Floats:
        """The scores of normal quantiles, (..., outputs)."""
        return self._through(normal, lambda y, x: np.interp(x, self.quantiles, y))

    def _through(self, given: Floats, of: Callable[[Floats, Floats], Floats]) -> Floats:
        columns = [of(y, given[..., i]) for i, y in enumerate(self.values.T)]
        return np.stack(columns, axis=-1)


def scales_of(scores: Floats) -> Scales:
    """Scales of (n, outputs) scores."""
    values = np.sort(scores, axis=0)
    values += np.arange(len(values))[:, None] * 1e-9  # so that equal ones have an order
    quantiles = ndtri((np.arange(len(values)) + 0.5) / len(values))
    ends = []
    for last, inner, sign in ((0, TAIL, -1.0), (-1, -1 - TAIL, 1.0)):
        slope = (values[last] - values[inner]) / (quantiles[last] - quantiles[inner])
        reach = sign * 2.0
        ends.append((values[last] + reach * slope, quantiles[last] + reach))
    (low, first), (high, end) = ends
    return Scales(np.vstack([low, values, high]), np.array([first, *quantiles, end]))


@dataclass(frozen=True, kw_only=True, eq=False)
class SurrogateWorld:
    """Scores of every architecture of a space; the same each time that one is asked for.

    Attributes:
        space: The space.
        steps: Optimiser steps that scores are known after.
        seed: Of deviations and noise.
        kept: Places of the table's architectures that the regression is fitted to.
    """

    space: Space
    steps: tuple[int, ...]
    seed: int
    kept: tuple[int, ...]
    scales: Scales
    centre: Floats
    spread: Floats
    coefficients: Floats
    deviations: Floats
    noises: Floats
    pace: tuple[float, float]
    _known: dict[str, Floats] = field(default_factory=dict)

    def expected(self, spec: ArchSpec, macs: float) -> Floats:
        """What the regression alone says: (steps, criteria)."""
        return self._shaped(self._regressed(spec, macs))

    def normal(self, spec: ArchSpec, macs: float) -> Floats:
        """Normal quantiles of the scores without the noise of a seed, flat."""
        if spec.id not in self._known:
            own = self._drawn(self.deviations, f"{self.seed} {spec.id}")
            self._known[spec.id] = self._regressed(spec, macs) + own
        return self._known[spec.id]

    def truth(self, spec: ArchSpec, macs: float) -> Floats:
        """Scores without the noise of a seed: (steps, criteria)."""
        return self._shaped(self.normal(spec, macs))

    def scores(self, spec: ArchSpec, macs: float, seed: int) -> Floats:
        """Scores of one training: (steps, criteria)."""
        noise = self._drawn(self.noises, f"{self.seed} {spec.id} {seed}")
        return self._shaped(self.normal(spec, macs) + noise)

    def _regressed(self, spec: ArchSpec, macs: float) -> Floats:
        x = (features(self.space, spec, macs) - self.centre) / self.spread
        found: Floats = np.array([1.0, *x]) @ self.coefficients
        return found

    def _shaped(self, normal: Floats) -> Floats:
        return self.scales.scores(normal).reshape(len(self.steps), len(CRITERIA))

    def seconds(self, macs: float, steps: int) -> float:
        """Core-seconds of so many steps."""
        slope, start = self.pace
        return float(np.exp(start + slope * np.log(macs))) * steps / self.steps[-1]

    def _drawn(self, curves: Floats, name: str) -> Floats:
        """One of some curves, upside down or not, always the same for a name."""
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        return (1 if number % 2 else -1) * curves[number // 2 % len(curves)]


def features(space: Space, spec: ArchSpec, macs: float) -> Floats:
    """Logarithm of multiply-adds, and the place of each gene's choice, from 0 to 1."""
    codes = space.encode(spec)
    places = [
        max(code, 0) / (len(gene.choices) - 1)
        for gene, code in zip(space.genes, codes, strict=True)
        if len(gene.choices) > 1
    ]
    return np.array([np.log(macs), *places])


def make_world(
    benchmark: Benchmark, space: Space, seed: int, held_out: float = 1 / 3
) -> SurrogateWorld:
    """A world of a random part of the table's architectures, which decide what genes do and how far
    scores scatter about that.

    Args:
        benchmark: The table.
        space: What its architectures are of.
        seed: Of the part, and of what is drawn.
        held_out: Share of the architectures that is left out.
    """
    curves = curves_of(benchmark)
    curves = curves.reshape(*curves.shape[:2], -1)
    rng = np.random.default_rng(seed)
    kept = rng.permutation(len(curves))[round(held_out * len(curves)) :]
    scales = scales_of(curves[kept].reshape(-1, curves.shape[-1]))
    y = scales.normal(curves[kept])
    specs = [benchmark.archs[place] for place in kept]
    rows = np.array(
        [features(space, *one) for one in zip(specs, benchmark.macs[kept], strict=True)]
    )
    centre, spread = rows.mean(0), rows.std(0)
    spread[spread == 0] = 1.0
    end = y.shape[-1] - len(CRITERIA)  # mIoU after the last step
    coefficients, left = ridge((rows - centre) / spread, y.mean(1), end)
    num_seeds = y.shape[1]
    noise = (y - y.mean(1, keepdims=True)) * np.sqrt(num_seeds / (num_seeds - 1))
    of_seed, of_misfit = (float((rest[..., end] ** 2).mean()) for rest in (noise, left))
    share = max(0.0, 1 - of_seed / num_seeds / of_misfit)
    table = benchmark.table[benchmark.table["step"] == benchmark.steps[-1]]
    slope, start, *_ = theilslopes(np.log(table["seconds"]), np.log(table["macs"]))
    return SurrogateWorld(
        space=space,
        kept=tuple(kept.tolist()),
        scales=scales,
        steps=benchmark.steps,
        seed=seed,
        centre=centre,
        spread=spread,
        coefficients=coefficients,
        deviations=np.sqrt(share) * left,
        noises=noise.reshape(-1, y.shape[-1]),
        pace=(float(slope), float(start)),
    )


def ridge(x: Floats, y: Floats, judged: int) -> tuple[Floats, Floats]:
    """Coefficients (features, outputs), and what is left, scaled to the variance that it has by the
    degrees of freedom; the penalty is the one by which what is left out of one output is missed by
    the least. The first feature is not penalised.
    """
    design = np.column_stack([np.ones(len(x)), x])
    found: list[tuple[float, Floats, Floats]] = []
    for penalty in PENALTIES:
        weights = np.full(design.shape[1], penalty)
        weights[:2] = 0.0
        solver = np.linalg.solve(design.T @ design + np.diag(weights), design.T)
        leverage = np.einsum("ij,ji->i", design, solver)
        rest = y - design @ (coefficients := solver @ y)
        loss = float(((rest[:, judged] / (1 - leverage)) ** 2).mean())
        found.append((loss, coefficients, rest * np.sqrt(len(x) / (len(x) - leverage.sum()))))
    return min(found, key=lambda one: one[0])[1:]


def describe(benchmark: Benchmark, space: Space, worlds: int = 10) -> str:
    """How far the surrogate is off: of members held out, and how scores of its own rank."""
    specs = benchmark.archs
    ends = benchmark.scores().mean(1)
    early = len(benchmark.steps) // 3 - 1
    errors, taus = [], []
    for seed in range(worlds):
        world = make_world(benchmark, space, seed)
        out = sorted(set(range(len(specs))) - set(world.kept))
        said = [world.expected(specs[i], benchmark.macs[i])[-1, 0] for i in out]
        errors.append((np.sqrt(np.mean((said - ends[out]) ** 2)), kendalltau(said, ends[out])[0]))
        both = [
            np.array(
                [world.scores(spec, m, s) for spec, m in zip(specs, benchmark.macs, strict=True)]
            )
            for s in (0, 1)
        ]
        end = both[1][:, -1, 0]
        taus.append(
            (
                kendalltau(both[0][:, -1, 0], end)[0],
                kendalltau(both[0][:, early, 0], end)[0],
                kendalltau(benchmark.macs, end)[0],
            )
        )
    (rmse, tau), own = np.mean(errors, 0), np.mean(taus, 0)
    real = (
        benchmark.ceiling.value,
        benchmark.validity("miou", benchmark.steps[early]).value,
        predictor_tau(benchmark.macs, benchmark.scores()).value,
    )
    names = ("another seed", f"mIoU after {benchmark.steps[early]} steps", "multiply-adds")
    compared = "; ".join(
        f"{name} {ours:.2f} ({theirs:.2f})"
        for name, ours, theirs in zip(names, own, real, strict=True)
    )
    return (
        f"{benchmark.name}: a surrogate of {len(specs)} architectures with {len(benchmark.seeds)}"
        f" seeds. Of members held out it misses the mean mIoU by {100 * rmse:.1f} points (root mean"
        f" square; tau {tau:.2f}). Tau with the end of another seed, in the surrogate (in the"
        f" table): {compared}"
    )
