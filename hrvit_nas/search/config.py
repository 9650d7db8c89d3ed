"""What one run is to do: everything it needs, resolved before anything is trained.

There is a configuration for each kind of run over a space: a search, a search with a supernet, and
a calibration of the proxy. (That of an ablation is in `ablation_config`.) Each has the fields that
mean something to it, and no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ..arch import Arch, ArchSpec, get_arch, get_hrvit
from ..cost.latency import LatencyModel
from ..objectives import OBJECTIVES
from ..results import CostName, Criterion, Stage, TrialRecord
from ..samplers import REPEATABLE, SamplerName, known_sampler
from ..space import Space
from ..space.by_cost import CostOf
from ..training import Recipe, SupernetRecipe, not_of_supernets
from .config_parts import (
    Costs,
    Narrowing,
    ProxyNoise,
    SupernetPlan,
    counted_cost,
    load_narrowed,
)
from .halving import MoAsha
from .run_config import MOST_SEEDS, RunConfig

MIN_CALIBRATION = 6
"""Architectures below which the interval of a rank correlation does not hold what it says."""


class SpaceConfig(RunConfig):
    """What a run over a space has beside.

    Attributes:
        space: Name or path of the declared space.
        narrowing: How the space is narrowed for this run.
        as_started: The space, narrowed, as it was when the run was started, which it goes on with
            whatever has become of the declaration; None = declared and narrowed now.
        long: How architectures are trained long: to confirm a frontier and its references, or to
            tell how valid the scores of a calibration are; None = they are not.
        costs: What a score is weighed against: one cost, or two.
        latency: What predicts latencies, from a table at the run's image size and number of
            classes; None = nothing does.
    """

    space: str
    narrowing: Narrowing = Narrowing()
    as_started: Mapping[str, Any] | None = Field(default=None, repr=False)
    long: Recipe | None = None
    costs: Costs = ("macs",)
    latency: LatencyModel | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _check_long(self) -> SpaceConfig:
        if self.long is not None:
            if self.long.augment.crop_size != self.recipe.augment.crop_size:
                raise ValueError("the long recipe must have the recipe's augment.crop_size")
            if self.long.trained_steps <= self.recipe.trained_steps:
                raise ValueError(
                    "the long recipe must train for more steps than the recipe's"
                    f" {self.recipe.trained_steps}, got {self.long.trained_steps}"
                )
        return self

    @model_validator(mode="after")
    def _check_latency(self) -> SpaceConfig:
        if self.latency is None and "predicted_latency_ms" in self.costs:
            raise ValueError("cost predicted_latency_ms needs a latency table, got none")
        if self.latency is not None:
            # Classes are known once the data set is: then it is checked again.
            classes = self.num_classes or self.latency.conditions.num_classes
            self.latency.conditions.check(self.image_size, classes)
        return self

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """See `RunConfig`."""
        return (self.recipe,) if self.long is None else (self.recipe, self.long)

    @property
    def ranked_by(self) -> Criterion:
        """The score by which trials are ranked, as their histories name it."""
        return "averaged_miou" if self.recipe.weight_averaging else self.recipe.criterion

    @property
    def ranking(self) -> dict[str, Any]:
        """See `RunConfig`."""
        return {"costs": self.costs, "criterion": self.recipe.criterion}

    @property
    def with_latency(self) -> bool:
        """See `RunConfig`."""
        return any(OBJECTIVES[cost].source == "measured" for cost in self.costs)

    @property
    def counted_cost(self) -> CostName:
        """The first of `costs` that is computed; multiply-adds where all are measured."""
        computed = (cost for cost in self.costs if OBJECTIVES[cost].source == "computed")
        return next(computed, "macs")

    @property
    def cost_functions(self) -> tuple[CostOf | None, ...]:
        """Each of `costs` as a function of an architecture; None for one that is measured."""

        def function(name: CostName) -> CostOf | None:
            if OBJECTIVES[name].source == "measured":
                return None
            return lambda spec: self._counted(spec, name)

        return tuple(map(function, self.costs))

    def cost_of(self, spec: Arch) -> float:
        """An architecture's `counted_cost` at the run's image size and number of classes."""
        return self._counted(spec, self.counted_cost)

    def work_of(self, spec: Arch) -> float:
        """Multiply-adds, with which the seconds of a training go."""
        return self._counted(spec, "macs")

    def _counted(self, spec: Arch, name: CostName) -> float:
        return counted_cost(spec, name, self.image_size, self.num_classes, self.latency)

    def predicted_latency_ms(self, spec: Arch) -> float | None:
        """See `RunConfig`; None of a pyramid, too."""
        if self.latency is None or not isinstance(spec, ArchSpec):
            return None
        return self.latency.predict(spec).ms

    def with_num_classes(self, num_classes: int) -> Self:
        """The same, its limits too, for networks of the data set's number of classes."""
        if self.num_classes is not None:
            return self
        limits = tuple(
            limit
            if "num_classes" in limit.model_fields_set
            else limit.model_copy(update={"num_classes": num_classes})
            for limit in self.narrowing.limits
        )
        narrowing = self.narrowing.model_copy(update={"limits": limits})
        if self.latency is not None:
            self.latency.conditions.check(self.image_size, num_classes)
        return super().with_num_classes(num_classes).model_copy(update={"narrowing": narrowing})

    def load_space(self) -> Space:
        """The space as the run was started with, else as declared, narrowed as this run asks.

        Raises:
            SpaceError: The declaration or the narrowing is at fault.
        """
        if self.as_started is not None:
            return Space.from_dict(self.as_started)
        return load_narrowed(self.space, self.narrowing)


class AnySearch(SpaceConfig):
    """What searches have, however they score what is proposed.

    Attributes:
        initial: Presets whose allocation, at costs evenly over the space's range, is among the
            first proposals.
        trials: Architectures to propose: to train, or to score with inherited weights, for the best
            score and the least `costs`.
        sampler: Optuna sampler that proposes them.
        population: Architectures of the first generation, and of NSGA-II's others; None = from the
            number of trials.
        references: Presets, baselines among them, whose allocation, scaled to the cost of each
            architecture of the frontier, is trained beside it.
        confirm: Further seeds that the finalists and the references are trained with.
        finalists: How many architectures of the frontier those are: the ones that dominate most
            between them; None = all.
        proxy_noise: What a calibration told of the noise of the scores; None = nothing.
        storage: URL of Optuna's storage; None = an SQLite file in the run directory.
        study: Name of the study there, which no other run of the same storage may have.
    """

    initial: tuple[str, ...] = ()
    trials: int = Field(ge=1)
    sampler: Annotated[SamplerName, AfterValidator(known_sampler)] = "nsga2"
    population: int | None = Field(default=None, ge=2)
    references: tuple[str, ...] = ("hrvit_b1",)
    confirm: int = Field(default=0, ge=0, le=MOST_SEEDS)
    finalists: int | None = Field(default=None, ge=1)
    proxy_noise: ProxyNoise | None = None
    storage: str | None = None
    study: str = "search"

    @model_validator(mode="after")
    def _check_names(self) -> AnySearch:
        for name in self.references:
            get_arch(name)
        for name in self.initial:
            get_hrvit(name)
        if self.counted_cost == "predicted_latency_ms":
            for name in self.references:
                if not isinstance(get_arch(name), ArchSpec):
                    raise ValueError(
                        "references must be HRViTs where they are scaled to a predicted latency,"
                        f" got {name}"
                    )
        if self.sampler == "ehvi" and self.with_latency:
            raise ValueError(
                "sampler ehvi must know what an architecture costs before it is built; costs must"
                f" be computed, got {', '.join(self.costs)}"
            )
        if self.finalists is not None and not self.confirm:
            raise ValueError("finalists are trained to confirm them; set confirm to 1 or more")
        return self

    @property
    def searched_by(self) -> Criterion:
        """The score that the search goes by."""
        return self.recipe.criterion

    @property
    def ranking(self) -> dict[str, Any]:
        """See `RunConfig`."""
        known = self.proxy_noise
        noise = known.noise if known and known.criterion == self.recipe.criterion else None
        return {**super().ranking, "noise": noise, "finalists": self.finalists}

    @property
    def named_architectures(self) -> tuple[Arch, ...]:
        """See `RunConfig`."""
        return tuple(get_arch(name) for name in self.references)

    @property
    def num_trials(self) -> int:
        """Trials of the first stage."""
        return self.trials

    @property
    def seeds(self) -> range:
        """See `RunConfig`."""
        return range(self.seed, self.seed + self.confirm + 1)

    def is_proposed(self, record: TrialRecord) -> bool:
        """Whether a trial is of what the sampler proposed, with the score that it is told."""
        return record.stage == self.first_stage

    @property
    def rungs(self) -> tuple[int, ...]:
        """Optimiser steps behind the scores of a search's trials, rising; of several, only the best
        of one go on to the next.
        """
        return (self.recipe.trained_steps,)


class SearchConfig(AnySearch):
    """A search that trains each architecture alone; see `AnySearch`, `SpaceConfig`, `RunConfig`.

    Attributes:
        scheduler: What pauses trainings, and goes on with the best; None = each is trained through.
        deterministic: Whether a seed gives the same trials whatever the number of workers, and
            interrupted or not; for samplers that learn nothing, or from whole generations.
    """

    kind: Literal["search"] = "search"
    scheduler: MoAsha | None = None
    deterministic: bool = False

    @model_validator(mode="after")
    def _check_deterministic(self) -> SearchConfig:
        if self.deterministic and self.sampler not in REPEATABLE:
            raise ValueError(
                f"deterministic must go with sampler {' or '.join(REPEATABLE)}, since others learn"
                f" from each score as it comes; got {self.sampler}"
            )
        if self.deterministic and self.scheduler is not None:
            raise ValueError(
                "deterministic must go with scheduler fifo: mo_asha goes on with what is best among"
                " those that are there by then"
            )
        return self

    @model_validator(mode="after")
    def _check_rungs(self) -> SearchConfig:
        if self.scheduler is not None:
            above = len(self.scheduler.rungs(self.recipe.trained_steps)) - 1
            least = self.scheduler.reduction_factor**above
            if self.trials < least:
                raise ValueError(
                    f"trials must be at least {least} for one to reach the highest of {above + 1}"
                    f" rungs, got {self.trials}"
                )
        return self

    @property
    def rungs(self) -> tuple[int, ...]:
        """See `AnySearch`."""
        highest = super().rungs
        return highest if self.scheduler is None else self.scheduler.rungs(*highest)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """See `RunConfig`; to each of the lower rungs, too, where all is as on the highest."""
        lower = (
            self.recipe.model_copy(update={"stop_after": steps, "evaluations": 1})
            for steps in self.rungs[:-1]
        )
        return (*lower, *super().recipes)

    def is_proposed(self, record: TrialRecord) -> bool:
        """See `AnySearch`; that is its score on the lowest rung."""
        lowest = self.scheduler is None or record.budget == self.rungs[0]
        return lowest and super().is_proposed(record)

    @property
    def num_trials(self) -> int:
        """See `AnySearch`; about as many as all rungs but the highest see."""
        if self.scheduler is None:
            return self.trials
        factor = self.scheduler.reduction_factor
        return sum(self.trials // factor**rung for rung in range(len(self.rungs) - 1))

    @property
    def first_stage(self) -> Stage:
        """See `RunConfig`."""
        return Stage("search" if self.scheduler is None else "rung", "trained")


class SupernetSearchConfig(AnySearch):
    """A search that trains a supernet, scores what is proposed with its weights, and trains the
    best alone; see `AnySearch`, `SpaceConfig`, `RunConfig`.

    Attributes:
        supernet: How the supernet is trained.
        inherited_criterion: Score with inherited weights that is searched by. Cross entropy ranks
            subnets more surely than mIoU, which a supernet leaves nearly alike (docs/supernet.md).
        retrain: Of those scored with inherited weights, how many of the best are trained alone.
        ranking_check: Subnets spread over the cost range that are both scored with inherited
            weights and trained alone, to tell how far the former rank as the latter; 0 = none.
        ranking_seeds: Seeds that each of those is trained alone with.
    """

    kind: Literal["supernet_search"] = "supernet_search"
    supernet: SupernetRecipe = SupernetRecipe()
    inherited_criterion: Literal["miou", "cross_entropy"] = "cross_entropy"
    retrain: int = Field(default=4, ge=1)
    ranking_check: int = Field(default=0, ge=0)
    ranking_seeds: int = Field(default=2, ge=2, le=MOST_SEEDS)

    @model_validator(mode="after")
    def _check_supernet(self) -> SupernetSearchConfig:
        if 0 < self.ranking_check < MIN_CALIBRATION:
            raise ValueError(
                f"ranking_check must compare at least {MIN_CALIBRATION} subnets, or 0 for none, got"
                f" {self.ranking_check}"
            )
        for name in not_of_supernets(self.recipe):
            raise ValueError(f"a search with a supernet must leave the recipe's {name} off")
        return self

    @property
    def searched_by(self) -> Criterion:
        """See `AnySearch`."""
        return self.inherited_criterion

    @property
    def first_stage(self) -> Stage:
        """See `RunConfig`."""
        return Stage("search", "inherited")

    @property
    def seeds(self) -> range:
        """See `RunConfig`."""
        checking = self.ranking_seeds if self.ranking_check else 1
        return range(self.seed, self.seed + max(self.confirm + 1, checking))

    @property
    def rungs(self) -> tuple[int, ...]:
        """See `AnySearch`; of the supernet, whose weights are scored."""
        return (self.supernet.steps,)

    @property
    def supernet_seeds(self) -> tuple[int, ...]:
        """See `RunConfig`."""
        return (self.seed,)

    def supernet_plan(self, seed: int) -> SupernetPlan:
        """See `RunConfig`."""
        return SupernetPlan(
            space=self.as_started or self.load_space().to_dict(),
            data=self.data,
            num_classes=self.num_classes,
            recipe=self.recipe,
            supernet=self.supernet,
            # A supernet needs to tell its subnets apart, and no more.
            cost="macs" if self.counted_cost == "predicted_latency_ms" else self.counted_cost,
            seed=seed,
        )


class CalibrationConfig(SpaceConfig):
    """A calibration of the proxy: architectures spread over the cost range, each trained with
    several seeds, to tell how noisy its scores are, and where there is a long recipe how valid.

    Attributes:
        architectures: How many.
        num_seeds: Seeds that each is trained with.
        wanted_tau: Agreement between two seeds that is looked for.
    """

    kind: Literal["calibration"] = "calibration"
    architectures: int = Field(ge=MIN_CALIBRATION)
    num_seeds: int = Field(default=2, ge=2, le=MOST_SEEDS)
    wanted_tau: float = Field(default=0.7, gt=0, lt=1)

    @property
    def first_stage(self) -> Stage:
        """See `RunConfig`."""
        return Stage("calibration", "trained")

    @property
    def num_trials(self) -> int:
        """Trials in all."""
        return len(self.recipes) * self.architectures * self.num_seeds

    @property
    def seeds(self) -> range:
        """See `RunConfig`."""
        return range(self.seed, self.seed + self.num_seeds)
