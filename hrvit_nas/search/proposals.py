"""Architectures proposed by an Optuna sampler, kept inside the space and never twice the same.

The study is Optuna's own: one categorical parameter a gene that has a choice, a score maximised
(mIoU; of inherited weights, cross entropy negated) and a cost minimised.
What the sampler proposes is checked before anything is trained. A proposal outside the space's
limits is recorded as pruned and one already trained as failed, with the reason; a near, untrained
member takes its place in the study, so that the sampler learns from what was really trained.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from ..arch import ArchSpec, get_hrvit
from ..results import CostName, Criterion, Trial, TrialRecord
from ..space import Space
from ..space.allocation import scaled_member
from ..space.by_cost import spread_members
from .config import ConfigError, SamplerName, SearchConfig, first_line

ARCH_ATTRIBUTE = "arch"
NEIGHBOURS_TRIED = 50
SAMPLES_TRIED = 200
START_DRAWS = 64
INITIAL_COSTS = 3
"""Costs that an allocation to start from is scaled to."""
ALREADY_TRAINED = "already trained"
MIN_POPULATION, MAX_POPULATION = 4, 50


class SpaceExhaustedError(RuntimeError):
    """No architecture was found that is in the space and not yet trained."""


def default_population(trials: int) -> int:
    """NSGA-II's population for a budget: some four generations, within 4 to 50."""
    return max(MIN_POPULATION, min(MAX_POPULATION, round(trials / 4)))


def build_sampler(name: SamplerName, seed: int, population: int) -> BaseSampler:
    """The Optuna sampler of a name."""
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


class Proposals:
    """The sampler's side of a search: what to train next, and what came of it.

    Args:
        config: The search.
        space: Its space, narrowed.
        storage: Optuna storage URL.
        records: What earlier sittings of the run have trained.

    Raises:
        ConfigError: The storage cannot be opened, or belongs to another search.
    """

    def __init__(
        self, config: SearchConfig, space: Space, storage: str, records: Iterable[TrialRecord]
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._stage = config.first_stage
        records = [record for record in records if record.stage == self._stage]
        # Another sitting must not repeat the draws of the first, so it has a seed of its own.
        seed = config.seed + 1_000_003 * len(records)
        self._space = space
        self._seed = config.seed
        self._budget = config.budget(self._stage.evaluator)
        self._cost = config.cost
        self._criterion = config.searched_by
        self._rng = random.Random(seed)
        self._distributions = {
            gene.name: optuna.distributions.CategoricalDistribution(gene.choices)
            for gene in space.genes
            if len(gene.choices) > 1
        }
        population = config.population or default_population(config.trials)
        try:
            self._study = optuna.create_study(
                study_name=config.study,
                storage=storage,
                directions=["maximize", "minimize"],
                sampler=build_sampler(config.sampler, seed % 2**32, population),
                load_if_exists=True,
            )
        except Exception as error:
            reason = first_line(error)
            shown = re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", storage)
            raise ConfigError(
                f"the study's storage {shown!r} cannot be used: {reason.replace(storage, shown)}"
            ) from error
        self._seen = {record.arch_id for record in records}
        self._waiting = self._reconciled(records)
        if not self._study.get_trials(deepcopy=False):
            self._first(population, config)

    def next(self, number: int) -> Trial:
        """The next architecture to train.

        Raises:
            SpaceExhaustedError: All that could be found is trained already.
        """
        if self._waiting:
            proposal, spec = self._waiting.pop(0)
        else:
            proposal, spec = self._propose()
        self._seen.add(spec.id)
        return Trial(
            number=number,
            arch=spec,
            seed=self._seed,
            **self._stage._asdict(),
            budget=self._budget,
            proposal=proposal,
        )

    def finish(self, proposal: int, values: tuple[float, float] | None) -> None:
        """Tells the study what a proposal scored; no values = the trial failed."""
        state = TrialState.COMPLETE if values else TrialState.FAIL
        self._study.tell(proposal, values, state=state, skip_if_finished=True)

    def _first(self, count: int, config: SearchConfig) -> None:
        """Queues a first generation spread evenly over the logarithm of the cost.

        Uniform draws crowd around the middle of the cost range, where most members are, and
        leave a small budget without a cheap or a dear architecture to start from. Presets that the
        search is to start from come first, each at several costs; random search starts from these
        alone.
        """
        if config.sampler == "random" and not config.initial:
            return
        drawn = spread_members(self._space, count, config.cost_of, self._rng, draws=START_DRAWS)
        ends = [math.log(config.cost_of(drawn[end])) for end in (0, -1)]
        first: list[ArchSpec] = []
        for name in config.initial:
            for place in range(INITIAL_COSTS):
                share = (place + 0.5) / INITIAL_COSTS
                target = math.exp(ends[0] + share * (ends[1] - ends[0]))
                found = scaled_member(self._space, get_hrvit(name), config.cost_of, target)
                if found is not None and self._space.contains(found) and found not in first:
                    first.append(found)
        if config.sampler != "random":
            # As many of the spread as there is room for, its ends among them.
            room = max(2, count - len(first))
            first += [drawn[round(n * (len(drawn) - 1) / (room - 1))] for n in range(room)]
        for spec in dict.fromkeys(first):
            self._study.enqueue_trial(self._params(spec))

    def _params(self, spec: ArchSpec) -> dict[str, object]:
        """A member as Optuna's parameters; a gene that it does not read keeps some value."""
        genes = self._space.genes_of(spec)
        return {
            name: distribution.choices[0] if genes[name] is None else genes[name]
            for name, distribution in self._distributions.items()
        }

    def _propose(self) -> tuple[int, ArchSpec]:
        trial = self._study.ask(self._distributions)
        spec, reason = self._admitted(trial.params)
        if reason:
            trial.set_user_attr("refused", reason)
            # A sampler reads 'pruned' as bad, and what it proposes twice is what scored well.
            outside = not reason.startswith(ALREADY_TRAINED)
            self._study.tell(trial, state=TrialState.PRUNED if outside else TrialState.FAIL)
            self._study.enqueue_trial(params := self._params(spec))
            trial = self._study.ask(self._distributions)
            assert trial.params == params, "another queued trial came first"
        trial.set_user_attr(ARCH_ATTRIBUTE, spec.to_json())
        trial.set_user_attr("arch_id", spec.id)
        return trial.number, spec

    def _admitted(self, params: dict[str, object]) -> tuple[ArchSpec, str]:
        """A member not yet trained, and why it is not the proposal (empty if it is)."""
        spec = self._space.nearest(params, self._rng)  # type: ignore[arg-type]
        mine = self._space.genes_of(spec)
        moved = [name for name, value in params.items() if mine[name] not in (None, value)]
        reason = f"outside the space: changed {', '.join(moved)}" if moved else ""
        if spec.id not in self._seen:
            return spec, reason
        reason = f"{ALREADY_TRAINED}: {spec.id}"
        near = spec
        for _ in range(NEIGHBOURS_TRIED):
            near = self._space.mutate(near, self._rng)
            if near.id not in self._seen:
                return near, reason
        for _ in range(SAMPLES_TRIED):
            sample = self._space.sample(self._rng)
            if sample.id not in self._seen:
                return sample, reason
        raise SpaceExhaustedError(
            f"space {self._space.name!r} holds no further architecture that could be found:"
            f" {len(self._seen)} trained"
        )

    def _reconciled(self, records: list[TrialRecord]) -> list[tuple[int, ArchSpec]]:
        """Brings the study in line with the store, and returns what was left in the middle."""
        scored = {record.arch_id: record for record in records}
        waiting = []
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            text = trial.user_attrs.get(ARCH_ATTRIBUTE)
            if text is None:
                self._study.tell(trial.number, state=TrialState.FAIL)
                continue
            spec = ArchSpec.from_json(text)
            record = scored.get(spec.id)
            if record is None:
                waiting.append((trial.number, spec))
            else:
                values = objective_values(record, self._cost, self._criterion)
                self.finish(trial.number, values)
        return waiting


def objective_values(
    record: TrialRecord, cost: CostName, criterion: Criterion = "miou"
) -> tuple[float, float] | None:
    """Score and cost of a record as the study has them; None where the trial failed."""
    score = record.score(criterion)
    return None if score is None else (score, float(getattr(record, cost)))
