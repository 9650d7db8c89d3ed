"""What a sampler is, whoever makes it. Without Optuna, whose import takes half a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeAlias

from ..arch import ArchSpec

SAMPLERS = {
    "nsga2": "evolution by non-dominated sorting",
    "tpe": "tree-structured Parzen estimator",
    "gp": "Gaussian processes",
    "ehvi": "expected hypervolume improvement with costs that are known",
    "random": "uniform draws",
}
"""What each sampler is, by name; `optuna_sampler` makes them."""
Values: TypeAlias = tuple[float, ...]
"""Score, more being better, and costs."""

SamplerName: TypeAlias = str
"""One of `SAMPLERS`."""
REPEATABLE = ("nsga2", "random")
"""Samplers whose proposals can hang on the seed alone: see `optuna_sampler`, `deterministic`."""
MIN_POPULATION, MAX_POPULATION = 4, 50
MOST_FIRST: Mapping[SamplerName, int] = {"tpe": 6, "gp": 6, "ehvi": MIN_POPULATION}
"""Largest first generations of samplers that learn from each score."""


def known_sampler(name: str) -> SamplerName:
    """The name of a sampler.

    Raises:
        ValueError: It is none.
    """
    if name not in SAMPLERS:
        raise ValueError(f"a sampler must be one of {', '.join(SAMPLERS)}, got {name!r}")
    return name


class SamplerError(ValueError):
    """A study cannot be opened or used; the message names its storage."""


class SpaceExhaustedError(RuntimeError):
    """No architecture was found that is in the space and not yet taken."""


class Proposal(NamedTuple):
    """What to score next, and the number to tell its score by."""

    number: int
    spec: ArchSpec


class Sampler(Protocol):
    """Proposes architectures of a space, and learns from what they score."""

    def ask(self) -> Proposal | None:
        """The next architecture, within the limits and never proposed before; None = not before it
        is told more of what it has proposed.

        Raises:
            SpaceExhaustedError: All that could be found is taken.
        """

    def tell(self, number: int, values: Values | None) -> None:
        """Takes what a proposal scored; None = its trial failed. Telling the same twice changes
        nothing; a score after a failure counts.
        """

    def number_of(self, arch_id: str) -> int | None:
        """The number of the proposal of an architecture; None if it was never proposed."""


def default_population(sampler: SamplerName, trials: int) -> int:
    """Size of a first generation, and of NSGA-II's others: a quarter of a budget, within 4 to 50;
    within 4 to 6 where a model learns from each score, and 4 where it knows the costs before.
    """
    return max(MIN_POPULATION, min(MOST_FIRST.get(sampler, MAX_POPULATION), round(trials / 4)))
