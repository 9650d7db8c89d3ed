"""Optuna's samplers by name, and genes as its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler

from ..space import Gene, Value
from .base import SamplerName


class Parameter:
    """A gene as a parameter of Optuna."""

    def __init__(self, gene: Gene, *, ordered: bool) -> None:
        self.name = gene.name
        self._choices = gene.choices
        self._ordered = ordered
        self.distribution: BaseDistribution = (
            IntDistribution(0, len(gene.choices) - 1)
            if ordered
            else CategoricalDistribution(gene.choices)
        )

    def of(self, value: Value | None) -> Value:
        """What the study holds for a choice; None = for any."""
        chosen = self._choices[0] if value is None else value
        return self._choices.index(chosen) if self._ordered else chosen

    def value(self, held: Any) -> Value:
        """The choice that the study holds."""
        value: Value = self._choices[held] if self._ordered else held
        return value


class NSGAIISampler(optuna.samplers.NSGAIISampler):
    """NSGA-II whose parents come in one order, also where another sitting chose them: Optuna's own
    come as ranked when they are chosen, and by number from then on. A study knows it by its name.
    """

    def get_parent_population(
        self, study: optuna.Study, generation: int
    ) -> list[optuna.trial.FrozenTrial]:
        """The parents of a generation, by number."""
        parents = super().get_parent_population(study, generation)
        return sorted(parents, key=lambda trial: trial.number)


def _nsga2(seed: int, population: int) -> BaseSampler:
    return NSGAIISampler(population_size=population, seed=seed)


def _tpe(seed: int, population: int) -> BaseSampler:  # noqa: ARG001
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)


def _gp(seed: int, population: int) -> BaseSampler:  # noqa: ARG001
    return optuna.samplers.GPSampler(seed=seed)


def _random(seed: int, population: int) -> BaseSampler:  # noqa: ARG001
    return optuna.samplers.RandomSampler(seed=seed)


OPTUNA_SAMPLERS: dict[SamplerName, Callable[[int, int], BaseSampler]] = {
    "nsga2": _nsga2,
    "tpe": _tpe,
    "gp": _gp,
    "ehvi": _random,  # until there are scores to go by; see `ehvi_sampler`
    "random": _random,
}
"""What makes each sampler of `SAMPLERS` from a seed and a population."""
