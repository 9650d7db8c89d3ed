"""Optuna's samplers, kept inside a space and never twice at the same architecture.

The study is Optuna's own: one parameter a gene that has a choice, a score maximised and its costs
minimised. An ordered gene is an integer, the place of its choice, so that a sampler knows which
choices are near each other; any other is categorical. What the sampler proposes is checked before
anything is trained: a proposal outside the space's limits is recorded as pruned and one already
taken as failed, with the reason; a new architecture near it takes its place in the study, so that
the sampler learns from what was really trained.

The sampler works on a copy of the study in memory, and each trial is written to the database as a
whole: Optuna itself commits every parameter, which for the genes of a space took half a second.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.samplers import NSGAIISampler
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from ..arch import ArchSpec
from ..space import Space, Value
from ..space.by_cost import CostOf
from .base import Proposal, SamplerError, SamplerName, SpaceExhaustedError, Values
from .database import unusable
from .first import first_generation
from .optuna_parts import OPTUNA_SAMPLERS, Parameter
from .whole_trials import WholeTrials

ARCH_ATTRIBUTE, GENES_ATTRIBUTE, REFUSED_ATTRIBUTE = "arch", "genes", "refused"
ORDERED_ATTRIBUTE, FIRST_ATTRIBUTE = "ordered genes", "first generation"
"""Of a study: whether its ordered genes are integers, and the codes of its first architectures.
Studies of earlier versions lack both."""
NEIGHBOURS_TRIED = 50
SAMPLES_TRIED = 200
ALREADY_TRAINED = "already trained"

_GENERATION = NSGAIISampler._get_generation_key()

_log = logging.getLogger(__name__)


class OptunaSampler:
    """A sampler of Optuna on a space, its study in a database.

    Args:
        space: The space, narrowed.
        cost: What a first generation is spread over.
        name: Which sampler.
        seed: Of its draws.
        population: Size of the first generation, and of NSGA-II's others.
        storage: URL of the database, which is made where there is none; None = in memory.
        study: Name of the study there.
        num_costs: How many costs are minimised beside the score that is maximised.
        presets: Whose allocation the search starts from.
        told: What earlier sittings proposed, and what it scored.
        taken: Further architectures, by id, that are not to be proposed.
        deterministic: Whether proposals hang on the seed alone, and for NSGA-II on the scores of
            the generations before, not on when scores come in or on interruptions. A generation
            is then asked for once the one before is told.

    Raises:
        SamplerError: The storage cannot be used, or what is in it is not what was told.
    """

    def __init__(
        self,
        space: Space,
        cost: CostOf,
        *,
        name: SamplerName,
        seed: int,
        population: int,
        storage: str | None,
        study: str = "search",
        num_costs: int = 1,
        presets: Sequence[str] = (),
        told: Sequence[tuple[ArchSpec, Values | None]] = (),
        taken: Iterable[str] = (),
        deterministic: bool = False,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # Another sitting must not repeat the draws of the first, so it has a seed of its own.
        own_seed = seed + 1_000_003 * len(told)
        self._name, self._seed, self._population = name, seed, population
        self._deterministic, self._storage = deterministic, storage
        self._held: dict[int, Values | None] = {}
        self._space = space
        self._rng = random.Random(own_seed)
        directions = [StudyDirection.MAXIMIZE] + [StudyDirection.MINIMIZE] * num_costs
        self._kept = _opened(storage, study, directions)
        begun = self._kept.get_trials(deepcopy=False)
        if not begun and ORDERED_ATTRIBUTE not in self._kept.user_attrs:
            first = first_generation(
                space, cost, population, presets, random.Random(seed), spread=name != "random"
            )
            self._kept.set_user_attr(FIRST_ATTRIBUTE, [space.encode(spec) for spec in first])
            self._kept.set_user_attr(ORDERED_ATTRIBUTE, True)
        ordered = self._kept.user_attrs.get(ORDERED_ATTRIBUTE, False)
        self._parameters = [
            Parameter(gene, ordered=ordered and gene.ordered)
            for gene in space.genes
            if len(gene.choices) > 1
        ]
        self._distributions = {p.name: p.distribution for p in self._parameters}
        self._seen = {spec.id for spec, _ in told} | set(taken)
        self._first = self._begin_with()
        self._study = optuna.create_study(
            directions=directions,
            sampler=OPTUNA_SAMPLERS[name](own_seed % 2**32, population),
        )
        self._take_over()
        self._waiting = self._reconciled(dict(told))
        self._take_in(dict(told))

    def ask(self) -> Proposal | None:
        """See `Sampler`."""
        if self._waiting:
            proposal = self._waiting.pop(0)
        elif self._deterministic and not self._next_generation():
            return None
        else:
            with self._storing():
                proposal = self._proposed()
        self._seen.add(proposal.spec.id)
        return proposal

    @contextmanager
    def _storing(self) -> Iterator[None]:
        """Says in a line that the storage fails, such as on a full disk."""
        try:
            yield
        except (StorageInternalError, SQLAlchemyError) as error:
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            raise unusable(self._storage or "", cause) from error

    def tell(self, number: int, values: Values | None) -> None:
        """See `Sampler`."""
        with self._storing():
            self._take_score(number, values)

    def _take_score(self, number: int, values: Values | None) -> None:
        known = self._study.get_trials(deepcopy=False)[number]
        failed = known.state == TrialState.FAIL or self._held.get(number, values) is None
        if values and failed:  # it was tried again
            again = _copy(known, TrialState.COMPLETE, values)
            self._kept.add_trial(again)
            self._study.add_trial(again)
            return
        _tell(self._kept, number, values)
        if self._in_generations:
            self._held[number] = values
        else:
            _tell(self._study, number, values)

    def number_of(self, arch_id: str) -> int | None:
        """See `Sampler`."""
        trials = self._study.get_trials(deepcopy=False)
        return next((t.number for t in trials if t.user_attrs.get("arch_id") == arch_id), None)

    @property
    def _in_generations(self) -> bool:
        """Whether scores are held back until those of a whole generation are there."""
        return self._deterministic and self._name == "nsga2"

    def _next_generation(self) -> bool:
        """Whether the next proposal may be made: the scores of the generations before it are there,
        and are told in the order of proposals.
        """
        proposed = len(_taken_up(self._study))
        if self._in_generations and proposed % self._population == 0:
            running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if any(trial.number not in self._held for trial in running):
                return False
            for number in sorted(self._held):
                _tell(self._study, number, self._held.pop(number))
        # Draws that hang on how many came before, not on what this process has drawn.
        self._rng = random.Random(f"{self._seed}:{proposed}")
        own = self._rng.randrange(2**32)
        self._study.sampler = OPTUNA_SAMPLERS[self._name](own, self._population)
        return True

    def _take_over(self) -> None:
        """Copies the study from the database; of an unfinished generation nothing is told yet."""
        taken = _taken_up(self._kept)
        whole = len(taken) - len(taken) % self._population
        for trial in self._kept.get_trials(deepcopy=False):
            of_generation = taken.get(trial.user_attrs.get("arch_id", ""), -1) >= whole
            if self._in_generations and of_generation and trial.state.is_finished():
                complete = trial.state == TrialState.COMPLETE
                self._held[trial.number] = tuple(trial.values) if complete else None
                trial = _copy(trial, TrialState.RUNNING)
            self._study.add_trial(trial)

    def _params(self, spec: ArchSpec) -> dict[str, object]:
        """An architecture as Optuna's parameters; a gene that it does not read keeps some value."""
        genes = self._space.genes_of(spec)
        return {p.name: p.of(genes[p.name]) for p in self._parameters}

    def _values_of(self, params: Mapping[str, Any]) -> dict[str, Value]:
        """The choices that parameters of Optuna stand for."""
        return {p.name: p.value(params[p.name]) for p in self._parameters}

    def _proposed(self) -> Proposal:
        while self._first:
            spec = self._first.pop(0)
            if spec.id not in self._seen:
                return self._taken_up(self._fixed(spec), spec)
        return self._suggested()

    def _suggested(self) -> Proposal:
        """What follows the first generation."""
        last = self._study.get_trials(deepcopy=False)[-1:]
        if last and REFUSED_ATTRIBUTE in last[0].user_attrs:  # a sitting ended just then
            spec, _ = self._admitted(self._values_of(last[0].params))
            return self._taken_up(self._fixed(spec), spec)
        trial = self._study.ask(self._distributions)
        try:
            spec, reason = self._admitted(self._values_of(trial.params))
        except SpaceExhaustedError:
            self._study.tell(trial, state=TrialState.FAIL)
            raise
        if reason:
            trial.set_user_attr(REFUSED_ATTRIBUTE, reason)
            # A sampler reads 'pruned' as bad, and what it proposes twice is what scored well.
            outside = not reason.startswith(ALREADY_TRAINED)
            self._study.tell(trial, state=TrialState.PRUNED if outside else TrialState.FAIL)
            self._keep(trial.number)
            trial = self._fixed(spec)
        return self._taken_up(trial, spec)

    def _fixed(self, spec: ArchSpec) -> optuna.Trial:
        """A trial of an architecture, which the sampler takes for its own."""
        self._study.enqueue_trial(params := self._params(spec))
        trial = self._study.ask(self._distributions)
        assert trial.params == params, "another queued trial came first"
        sampler = self._study.sampler
        if isinstance(sampler, NSGAIISampler):
            # Optuna gives one that was queued no generation, and it would be nobody's parent.
            known = self._study.get_trials(deepcopy=False)[trial.number]
            sampler.get_trial_generation(self._study, known)
        return trial

    def _taken_up(self, trial: optuna.Trial, spec: ArchSpec) -> Proposal:
        for name, value in self._attributes(spec).items():
            trial.set_user_attr(name, value)
        self._keep(trial.number)
        return Proposal(trial.number, spec)

    def _keep(self, number: int) -> None:
        """Writes a trial to the database, where it gets the same number."""
        self._kept.add_trial(self._study.get_trials(deepcopy=False)[number])

    def _begin_with(self) -> list[ArchSpec]:
        """What is left of the first generation.

        Earlier versions queued it in the study; such trials give way, since they would be numbered
        before what comes now.
        """
        first = [self._space.decode(c) for c in self._kept.user_attrs.get(FIRST_ATTRIBUTE, [])]
        for trial in self._kept.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            held = trial.system_attrs.get("fixed_params", {})
            values = {p.name: p.value(held[p.name]) for p in self._parameters if p.name in held}
            first.append(self._space.nearest(values, self._rng))
            self._kept.tell(self._kept.ask(), state=TrialState.FAIL)
        return first

    def _admitted(self, values: dict[str, Value]) -> tuple[ArchSpec, str]:
        """A new architecture, and why it is not the proposal (empty if it is)."""
        spec = self._space.nearest(values, self._rng)
        mine = self._space.genes_of(spec)
        moved = [name for name, value in values.items() if mine[name] not in (None, value)]
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

    def _reconciled(self, told: dict[ArchSpec, Values | None]) -> list[Proposal]:
        """Brings the study in line with what is known, and returns what was left in the middle."""
        waiting = []
        for trial in self._kept.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            text = trial.user_attrs.get(ARCH_ATTRIBUTE)
            spec = None if text is None else ArchSpec.from_json(text)
            if spec is not None and spec not in told:
                waiting.append(Proposal(trial.number, spec))
            else:
                self.tell(trial.number, None if spec is None else told[spec])
        return waiting

    def _take_in(self, told: dict[ArchSpec, Values | None]) -> None:
        """Adds what the study does not know of what was told: all of it, where it is made anew.

        What the study knows and was not told has been lost elsewhere, and is proposed first.

        Raises:
            SamplerError: The study holds something else than was told.
        """
        known: dict[ArchSpec, Values | None] = {}
        for trial in self._kept.get_trials(deepcopy=False):
            if trial.state.is_finished() and (text := trial.user_attrs.get(ARCH_ATTRIBUTE)):
                spec = ArchSpec.from_json(text)
                complete = trial.state == TrialState.COMPLETE
                if complete and not self._describes(trial, spec):
                    raise SamplerError(f"trial {trial.number} of the study is not of {spec.id}")
                if complete or spec not in known:
                    known[spec] = tuple(trial.values) if complete else None
        for spec, scored in known.items():
            if scored and spec in told and told[spec] != scored:
                raise SamplerError(f"the study has scored {spec.id} otherwise than the run has")
        lost = [spec for spec, scored in known.items() if scored and spec not in told]
        self._first = [spec for spec in lost if self._space.contains(spec)] + self._first
        missing = [
            spec
            for spec, values in told.items()
            if (spec not in known or (values and not known[spec])) and self._space.contains(spec)
        ]
        ended = sum(scored is not None for scored in known.values())
        for spec in missing:
            generation = {_GENERATION: ended // self._population} if self._name == "nsga2" else {}
            self._add(spec, told[spec], generation)
            ended += told[spec] is not None
        if missing:
            _log.warning(
                "the study lacked %d of %d trials; they are in it again", len(missing), len(told)
            )

    def _describes(self, trial: optuna.trial.FrozenTrial, spec: ArchSpec) -> bool:
        """Whether a trial's parameters are those of an architecture, where this reads them."""
        genes = self._space.genes_of(spec)
        try:
            describes = all(
                genes[p.name] is None or trial.params.get(p.name) == p.of(genes[p.name])
                for p in self._parameters
            )
        except ValueError:  # a choice that is none
            describes = False
        # Of who has changed the space on purpose, trials may be outside; asking that takes longer.
        return describes or not self._space.contains(spec)

    def _add(self, spec: ArchSpec, values: Values | None, generation: dict[str, Any]) -> None:
        """Adds a trial that has ended."""
        trial = optuna.trial.create_trial(
            state=TrialState.COMPLETE if values else TrialState.FAIL,
            values=values,
            params=self._params(spec),
            distributions=self._distributions,
            user_attrs=self._attributes(spec),
            system_attrs=generation if values else {},
        )
        for study in (self._study, self._kept):
            study.add_trial(trial)

    def _attributes(self, spec: ArchSpec) -> dict[str, Any]:
        return {
            ARCH_ATTRIBUTE: spec.to_json(),
            "arch_id": spec.id,
            GENES_ATTRIBUTE: self._space.genes_of(spec),
        }


def _tell(study: optuna.Study, number: int, values: Values | None) -> None:
    state = TrialState.COMPLETE if values else TrialState.FAIL
    study.tell(number, values, state=state, skip_if_finished=True)


def _taken_up(study: optuna.Study) -> dict[str, int]:
    """Of each architecture that was proposed, how many were before it."""
    trials = study.get_trials(deepcopy=False)
    ids = dict.fromkeys(t.user_attrs["arch_id"] for t in trials if "arch_id" in t.user_attrs)
    return {arch_id: place for place, arch_id in enumerate(ids)}


def _copy(
    trial: optuna.trial.FrozenTrial, state: TrialState, values: Values | None = None
) -> optuna.trial.FrozenTrial:
    """The same proposal in another state."""
    return optuna.trial.create_trial(
        state=state,
        values=values,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs,
    )


def _opened(storage: str | None, study: str, directions: list[StudyDirection]) -> optuna.Study:
    try:
        return optuna.create_study(
            study_name=study,
            storage=None if storage is None else WholeTrials(storage),
            directions=directions,
            sampler=optuna.samplers.RandomSampler(),  # which is asked for nothing
            load_if_exists=True,
        )
    except Exception as error:
        if storage is None:
            raise
        raise unusable(storage, error) from error
