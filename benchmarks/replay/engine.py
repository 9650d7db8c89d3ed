"""A search as it runs, its trainings answered by a world."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple, Protocol

from hrvit_nas.arch import ArchSpec
from hrvit_nas.cost import estimate_cost
from hrvit_nas.results import Trial, TrialRecord, TrialResult, hypervolume, pareto_front
from hrvit_nas.results.records import SEARCHED, HistoryPoint
from hrvit_nas.samplers import Sampler, Values
from hrvit_nas.search.config import SearchConfig
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.halving import MoAsha
from hrvit_nas.search.plan import Resolved
from hrvit_nas.search.search_plan import SearchTrials
from hrvit_nas.search.selection import objective_values
from hrvit_nas.space import Space
from hrvit_nas.space.by_cost import extreme_arch

from . import rival
from .world import Floats


class World(Protocol):
    """What answers for training."""

    space: Space
    steps: tuple[int, ...]

    def scores(self, spec: ArchSpec, macs: float, seed: int) -> Floats:
        """Scores of one training: (steps, criteria), more being better."""

    def truth(self, spec: ArchSpec, macs: float) -> Floats:
        """What they are judged by: (steps, criteria)."""

    def seconds(self, macs: float, steps: int) -> float:
        """Core-seconds of so many steps."""


class Point(NamedTuple):
    """What a search has after some core-seconds.

    Attributes:
        seconds: Core-seconds spent.
        hypervolume: Of the true mIoU of what it would hand over.
        size: How many architectures those are.
    """

    seconds: float
    hypervolume: float
    size: int


class Records:
    """What a plan reads of a store, in memory."""

    def __init__(self) -> None:
        self._records: list[TrialRecord] = []

    def records(self) -> list[TrialRecord]:
        """In the order in which they ended."""
        return list(self._records)

    def append(self, record: TrialRecord) -> None:
        """Adds one."""
        self._records.append(record)


class Judge:
    """Keeps what a search would hand over, and judges it.

    Args:
        world: What knows the true scores.
        corner: Worst mIoU and dearest cost that count.
    """

    def __init__(self, world: World, corner: Sequence[float]) -> None:
        self._world, self._corner = world, corner
        self._seen: dict[str, Values] = {}
        self._true: dict[str, Values] = {}
        self.points: list[Point] = []

    def take(self, seconds: float, spec: ArchSpec, seen: Values) -> None:
        """Takes an architecture that was trained to the end, and what that gave."""
        macs = seen[1]
        self._seen[spec.id] = seen
        self._true[spec.id] = float(self._world.truth(spec, macs)[-1, 0]), macs
        on = pareto_front(list(self._seen.values()))
        front = [arch_id for arch_id, is_on in zip(self._seen, on, strict=True) if is_on]
        volume = hypervolume([self._true[arch_id] for arch_id in front], self._corner)
        self.points.append(Point(seconds, volume, len(front)))


def answered(world: World, trial: Trial, config: SearchConfig) -> TrialRecord:
    """The record of a trial, as the world has it."""
    spec = trial.arch
    assert isinstance(spec, ArchSpec)
    cost = estimate_cost(spec, config.image_size, num_classes=config.num_classes)
    curve = world.scores(spec, cost.macs, trial.seed)
    history = tuple(
        HistoryPoint(
            step=step,
            miou=min(1.0, max(0.0, miou)),
            cross_entropy=-entropy,
            seconds=world.seconds(cost.macs, step),
        )
        for step, (miou, entropy) in zip(world.steps, curve.tolist(), strict=True)
        if step <= trial.budget
    )
    result = TrialResult(
        state="complete",
        miou=history[-1].miou,
        seconds=history[-1].seconds,
        steps=trial.budget,
        history=history,
    )
    return TrialRecord.of(trial, result, cost)


def replayed(
    world: World, config: SearchConfig, sampler: Sampler, budget: float, corner: Sequence[float]
) -> list[Point]:
    """Searches with one worker until the core-seconds are spent.

    Args:
        world: What answers.
        config: Of the search.
        sampler: What proposes.
        budget: Core-seconds.
        corner: Worst mIoU and dearest cost that count.
    """
    store, judge = Records(), Judge(world, corner)
    resolved = Resolved(
        seeds=[config.seed], num_classes=config.num_classes, space=world.space, sampler=sampler
    )
    trials = SearchTrials(config, store, resolved)
    spent = 0.0
    while spent < budget and (trial := trials.next()):
        record = answered(world, trial, config)
        store.append(record)
        trials.ended(trial, record)
        before = world.seconds(record.macs, trial.goes_on_from) if trial.goes_on_from else 0.0
        spent += record.seconds - before
        if record.stage == SEARCHED:
            values = objective_values(record, config.costs, config.searched_by)
            assert values is not None
            judge.take(spent, record.spec, values)
    return judge.points


def replayed_rival(
    world: World,
    config: SearchConfig,
    name: str,
    python: Path,
    budget: float,
    corner: Sequence[float],
) -> list[Point]:
    """The same of a search of another package, in a process of its own.

    What it proposes outside the limits gives way to an architecture near it, whose score it is told
    as that of its proposal.

    Args:
        world: What answers.
        config: Of a search with halving, whose rungs it has too.
        name: Of `rival.RIVALS`.
        python: That has the package.
        budget: Core-seconds.
        corner: Worst mIoU and dearest cost that count.
    """
    space, scheduler, rng = world.space, config.scheduler, Random(config.seed)
    assert isinstance(scheduler, MoAsha)
    genes = {gene.name: gene.choices for gene in space.genes if len(gene.choices) > 1}

    def places(spec: ArchSpec) -> dict[str, int]:
        values = space.genes_of(spec)
        return {name: choices.index(values[name]) for name, choices in genes.items()}

    task = {
        "rival": name,
        "seed": config.seed,
        "genes": {name: len(choices) for name, choices in genes.items()},
        "grace_period": config.rungs[0],
        "max_t": config.rungs[-1],
        "reduction_factor": scheduler.reduction_factor,
        "dearest": places(extreme_arch(space, config.cost_of, rng, largest=True)),
        "cheapest": places(extreme_arch(space, config.cost_of, rng, largest=False)),
    }
    judge = Judge(world, corner)
    spent = 0.0
    process = subprocess.Popen(
        [python, rival.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        print(json.dumps(task), file=process.stdin, flush=True)
        while spent < budget:
            if not (line := process.stdout.readline()):
                raise ConfigError(
                    f"{name} ended; {python} must have what benchmarks/rivals.txt names"
                )
            config_asked, steps, before = json.loads(line)
            asked = {name: choices[config_asked[name]] for name, choices in genes.items()}
            spec = space.nearest(asked, rng)
            macs = config.cost_of(spec)
            spent += world.seconds(macs, steps) - (world.seconds(macs, before) if before else 0.0)
            at = world.steps.index(steps)
            miou = float(world.scores(spec, macs, config.seed)[at, 0])
            if steps == world.steps[-1]:
                judge.take(spent, spec, (miou, macs))
            print(json.dumps([-miou, macs / 1e6]), file=process.stdin, flush=True)
    finally:
        process.kill()
        process.communicate()
    return judge.points
