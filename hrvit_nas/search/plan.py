"""What a run of each kind trains, in order.

What is left to do is told from the store alone: an interrupted run goes on where it stopped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from random import Random
from typing import Generic, TypeVar

from ..arch import Arch, ArchSpec
from ..results import (
    Stage,
    Trial,
    TrialKey,
    TrialRecord,
    TrialStore,
)
from ..results.records import CALIBRATING
from ..samplers import Sampler
from ..space import Space
from ..space.by_cost import spread_archs
from .ablation_config import AblationConfig
from .config import (
    CalibrationConfig,
    SpaceConfig,
)
from .run_config import RunConfig

C = TypeVar("C", bound=RunConfig)

CALIBRATION_DRAWS = 2000


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What a plan may need beside the configuration of its run.

    Attributes:
        seeds: Those of the run's seeds that are wanted now.
        num_classes: Classes of the data set.
        space: The run's space, narrowed, where there is one.
        sampler: What proposes architectures to a search, and is told what came of them.
    """

    seeds: Sequence[int]
    num_classes: int
    space: Space | None = None
    sampler: Sampler | None = None


class Trials(ABC, Generic[C]):
    """A plan: hands out the trials of a run, and knows when to wait for those still running.

    Args:
        config: Of the run.
        store: Trials done so far; the caller appends to it.
        resolved: What else there is to go by.

    Attributes:
        notes: What the user should know of how it went.
    """

    def __init__(self, config: C, store: TrialStore, resolved: Resolved) -> None:
        self._config, self._store, self._resolved = config, store, resolved
        self._running: set[TrialKey] = set()
        self._handed_out: set[TrialKey] = set()
        # What was interrupted has left no record, and gets its number again.
        taken = {record.number for record in store.records()}
        self._numbers = (number for number in count() if number not in taken)
        self._trials = chain(self._tried_again(), self._all())
        self._waiting = self._exhausted = False
        self.notes: list[str] = []

    @abstractmethod
    def _all(self) -> Iterator[Trial | None]:
        """Trials in order; None where there is nothing to do until one that runs has ended."""

    def _tried_again(self) -> Iterator[Trial]:
        """Trials that failed in earlier sittings, and may be tried more often than they were."""
        for record in self._store.records():
            failed = record.state == "failed" and record.seed in self._resolved.seeds
            # Of a failure on record with an earlier version alone, the budget may be unknown.
            if failed and record.budget and record.attempts <= self._config.resources.max_retries:
                yield Trial(
                    number=record.number,
                    arch=record.spec,
                    seed=record.seed,
                    **record.stage._asdict(),
                    budget=record.budget,
                    label=record.label,
                    proposal=self._proposal_of(record),
                    attempts=record.attempts,
                )

    def _proposal_of(self, record: TrialRecord) -> int | None:  # noqa: ARG002
        """Number of the proposal that a trial was of; None where none is told its score."""
        return None

    def _all_ended(self) -> Iterator[None]:
        """Waits for all that run: what comes is made from the results of what came before."""
        while self._running:
            yield None

    @property
    def _space(self) -> Space:
        """The run's space; for plans over one."""
        assert self._resolved.space is not None
        return self._resolved.space

    @property
    def finished(self) -> bool:
        """Whether all trials have been handed out, and have ended."""
        return self._exhausted and not self._running

    def next(self) -> Trial | None:
        """The next trial; None if there is none now, for good once `finished` is set."""
        while not self._exhausted and not (self._waiting and self._running):
            self._waiting = False
            try:
                trial = next(self._trials)
            except StopIteration:
                self._exhausted = True
                break
            if trial is not None:
                self._running.add(trial.key)
                self._handed_out.add(trial.key)
                return trial
            self._waiting = True
        return None

    def ended(self, trial: Trial, record: TrialRecord) -> None:  # noqa: ARG002
        """Notes that a trial has ended, and that its record is in the store."""
        self._running.discard(trial.key)
        self._waiting = False

    def _not_done(
        self,
        specs: Sequence[Arch],
        seeds: Iterable[int],
        stage: Stage,
        budget: int,
        *,
        label: str = "",
    ) -> Iterator[Trial]:
        """Trials of architectures with seeds, without those that are in the store."""
        # What calibrates takes what there is. What the search needs it trains itself, weights and
        # all, in the rare case that an architecture calibrates as well.
        calibrates = stage.purpose in CALIBRATING
        done = {
            record.key
            for record in self._store.records()
            if calibrates or record.purpose not in CALIBRATING
        }
        for seed in seeds:
            for spec in specs:
                key = TrialKey(spec.id, seed, stage.evaluator, budget)
                # One may be the reference of another, and calibrate as well.
                if key not in done and key not in self._handed_out:
                    yield Trial(
                        number=next(self._numbers),
                        arch=spec,
                        seed=seed,
                        **stage._asdict(),
                        budget=budget,
                        label=label,
                    )


class AblationTrials(Trials[AblationConfig]):
    """Every architecture of an ablation with every seed. Seeds come one after the other, so that an
    unfinished run has whole pairs of the first ones.
    """

    def _all(self) -> Iterator[Trial | None]:
        config = self._config
        done = {record.key for record in self._store.records()}
        numbered: set[TrialKey] = set()
        for seed in config.seeds:
            for label, spec in config.architectures():
                trial = Trial(
                    number=len(numbered),
                    arch=spec,
                    seed=seed,
                    **config.first_stage._asdict(),
                    budget=config.budget,
                    label=label,
                )
                if trial.key in numbered:  # an arm may be another's control
                    continue
                numbered.add(trial.key)
                if seed in self._resolved.seeds and trial.key not in done:
                    yield trial


class CalibrationTrials(Trials[CalibrationConfig]):
    """Architectures spread over the cost range, by each recipe with each seed."""

    def _all(self) -> Iterator[Trial | None]:
        config, stage = self._config, self._config.first_stage
        specs, note = spread_over_costs(self._space, config, config.architectures)
        self.notes += note
        for recipe in config.recipes:
            yield from self._not_done(specs, config.seeds, stage, recipe.trained_steps)


def spread_over_costs(
    space: Space, config: SpaceConfig, count: int
) -> tuple[list[ArchSpec], list[str]]:
    """Architectures spread over the cost range, and a note where there are fewer than wanted."""
    specs = calibration_archs(space, config, count)
    if len(specs) == count:
        return specs, []
    return specs, [
        f"the space holds no more than {len(specs)} architectures that could be found,"
        f" of {count} wanted"
    ]


def calibration_archs(space: Space, config: SpaceConfig, count: int) -> list[ArchSpec]:
    """Architectures spread over the cost range, the same ones at every call."""
    rng = Random(config.seed)
    return spread_archs(space, count, config.cost_of, rng, draws=CALIBRATION_DRAWS)
