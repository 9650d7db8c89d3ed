"""An ablation from its plan to its run directory, interruptible at any time.

The run directory holds `config.json` (every architecture, resolved), `provenance.json`, the trials
(`trials.jsonl`, `trials.parquet`), and what the command makes of them. Trials run on the same
executors and into the same store as those of a search. Seeds come one after the other, so that an
unfinished run has whole pairs of the first ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml
from pydantic import Field, model_validator

from ..arch import Arch, ArchSpec, parse_arch
from ..cost import estimate_cost
from ..data import DataConfig, SegmentationData, load_data
from ..execution import Executor, Resources, WorkerError, make_executor
from ..results import (
    Ablation,
    ArmCost,
    Criterion,
    Stage,
    Trial,
    TrialKey,
    TrialRecord,
    TrialResult,
    TrialStore,
    ablate,
    write_text,
)
from ..space import Space, load_space
from ..training import Recipe, SupernetRecipe
from .ablation import BASE_NAME, Arm, check_seeds
from .config import (
    CONFIG_NAME,
    MOST_SEEDS,
    ConfigError,
    Frozen,
    SearchConfig,
    TrackingUri,
    image_size_of,
    read_run,
)
from .evaluators import TRAINING_DIR, WEIGHTS_DIR, time_architectures
from .folder import (
    RunFolder,
    check_buildable,
    check_new,
    note_provenance,
    remove_empty,
    shared_by_trials,
    write_json,
)

if TYPE_CHECKING:
    from .supernet import Step

CONTROL_LABEL = "control of {}"
LATENCY_NAME = "latency.json"
MOST_SEED = 2**32
SPACE_NAME = "space.yaml"


class AblationConfig(Frozen):
    """One ablation, resolved.

    Attributes:
        plan: Name of its plan.
        base: The base, as it was named.
        factor: What widths were multiplied by.
        arms: The base, then what is compared with it.
        data: Data set.
        num_classes: Its classes, which every network has.
        recipe: How each architecture is trained.
        supernet: How the supernets are trained, one a seed, whose weights score the arms; None =
            each arm is trained alone.
        seed: First seed.
        seeds: Number of seeds.
        mlflow: MLflow's tracking URI, to which trials are copied; None = to none.
        resources: What a trial asks of the machine.
    """

    plan: str
    base: str
    factor: float = Field(gt=0)
    arms: tuple[Arm, ...] = Field(min_length=2)
    data: DataConfig
    num_classes: int = Field(ge=1)
    recipe: Recipe
    supernet: SupernetRecipe | None = None
    seed: int = Field(default=0, ge=0)
    seeds: int = Field(le=MOST_SEEDS)
    mlflow: TrackingUri | None = None
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _check(self) -> AblationConfig:
        check_seeds(self.seeds)
        if self.seed + self.seeds > MOST_SEED:
            raise ValueError(f"seeds must be below {MOST_SEED}, got {self.seed_range[-1]}")
        image_size_of(self.data, self.recipe)
        return self

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that architectures are trained, scored and costed at."""
        return image_size_of(self.data, self.recipe)

    @property
    def title(self) -> str:
        """What was done to what, at which scale, on which data."""
        scale = "" if self.factor == 1 else f", widths times {self.factor:g}"
        height, width = self.image_size
        return f"{self.plan}: {self.base}{scale}, {self.data.name} at {height}x{width}"

    @property
    def conditions(self) -> dict[str, object]:
        """Under which scores were had: data, size, steps and scale."""
        height, width = self.image_size
        return {
            "data": self.data.name,
            "image_height": height,
            "image_width": width,
            "steps": self.budget,
            "width_factor": self.factor,
        }

    @property
    def seed_range(self) -> range:
        """The seeds."""
        return range(self.seed, self.seed + self.seeds)

    @property
    def budget(self) -> int:
        """Optimiser steps behind every score: of an arm, or of the supernet of its seed."""
        return self.recipe.trained_steps if self.supernet is None else self.supernet.steps

    @property
    def stage(self) -> Stage:
        """What its trials are for, and how they are scored."""
        return Stage("ablation", "trained" if self.supernet is None else "inherited")

    def trials(self) -> Iterator[Trial]:
        """Every trial of the ablation, numbered from 0."""
        number = 0
        done: set[TrialKey] = set()
        for seed in self.seed_range:
            for label, spec in self.architectures():
                trial = Trial(
                    number=number,
                    arch=spec,
                    seed=seed,
                    **self.stage._asdict(),
                    budget=self.budget,
                    label=label,
                )
                if trial.key not in done:
                    done.add(trial.key)
                    number += 1
                    yield trial

    def architectures(self) -> Iterator[tuple[str, Arch]]:
        """Name and architecture of each arm, and of its control after it."""
        for arm in self.arms:
            yield arm.name, arm.spec
            if arm.control is not None:
                yield CONTROL_LABEL.format(arm.name), parse_arch(arm.control)


class Observer(Protocol):
    """Who watches an ablation."""

    def started(self, trial: Trial) -> None:
        """A trial was handed out."""

    def ended(self, record: TrialRecord) -> None:
        """A trial ended."""

    def supernet(self, step: Step | None) -> None:
        """How far a supernet's training is; None before its first step."""


@dataclass(kw_only=True)
class AblationRun(RunFolder):
    """One run directory of an ablation, open for writing.

    Attributes:
        config: The ablation.
    """

    config: AblationConfig

    @property
    def num_trials(self) -> int:
        """Trials in all."""
        return sum(1 for _ in self.config.trials())

    def found(self, criterion: Criterion = "miou") -> Ablation:
        """What the run has found so far."""
        return found(self.config, self.directory, self.store.records(), criterion)

    def discard_if_unused(self) -> None:
        """Removes what this sitting made, if no trial came of it."""
        if self.new and not self.store.records():
            for seed in self.config.seed_range:
                remove_empty(seed_directory(self.directory, seed))
            if not any(self.directory.glob(seed_directory(Path(), "*").name)):
                self.discard(BASE_NAME, SPACE_NAME)


class _Queue:
    """The trials that are not done, in order."""

    def __init__(self, trials: Iterable[Trial]) -> None:
        self._trials = iter(trials)
        self._running = 0
        self._empty = False

    @property
    def finished(self) -> bool:
        return self._empty and not self._running

    def next(self) -> Trial | None:
        trial = next(self._trials, None)
        if trial is None:
            self._empty = True
        else:
            self._running += 1
        return trial

    def done(self) -> None:
        self._running -= 1


def found(
    config: AblationConfig, directory: Path, records: Iterable[TrialRecord], criterion: Criterion
) -> Ablation:
    """What the trials of an ablation say, and its latencies where they were measured."""
    records = list(records)

    def cost(spec: Arch) -> ArmCost:
        estimate = estimate_cost(spec, config.image_size, num_classes=config.num_classes)
        return ArmCost(
            arch_id=spec.id,
            macs=estimate.macs,
            params=estimate.params,
            peak_activation_bytes=estimate.peak_activation_bytes,
        )

    base, *arms = config.arms
    changes = [
        (arm.name, cost(arm.spec), None if arm.control is None else cost(parse_arch(arm.control)))
        for arm in arms
    ]
    latencies = _read_latencies(directory / LATENCY_NAME)
    return ablate(cost(base.spec), changes, records, criterion, latencies)


def _read_latencies(path: Path) -> dict[str, list[float]] | None:
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(arch_id): [float(ms) for ms in row] for arch_id, row in content["ms"].items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is damaged: {error!r}") from error


def create_ablation(
    config: AblationConfig,
    data: SegmentationData,
    directory: Path,
    space: Mapping[str, Any] | None = None,
    whole: ArchSpec | None = None,
) -> AblationRun:
    """Makes the run directory.

    Args:
        config: The ablation.
        data: Its data set, loaded.
        directory: The run directory.
        space: Declaration of the supernets' space (see `plan_space`), where there are such.
        whole: The base that it is declared over.

    Raises:
        ConfigError: The directory holds a run already, or anything else, a network cannot be
            built here, or an arm is no member of the space.
    """
    check_new(directory, "hrvit-ablate")
    check_buildable(spec for _, spec in config.architectures())
    store = TrialStore(directory, write=True)
    run = AblationRun(directory=directory, config=config, data=data, store=store, new=True)
    try:
        if space is not None and whole is not None:
            write_text(directory / BASE_NAME, whole.to_json())
            write_text(directory / SPACE_NAME, yaml.safe_dump(dict(space), sort_keys=False))
            _check_members(config, load_space(directory / SPACE_NAME))
        note_provenance(directory, config.resources, config.seed_range)
        run.start_tracking(config.mlflow)
        _write_config(directory, config)
    except BaseException:
        run.discard_if_unused()
        raise
    return run


def open_ablation(
    directory: Path, changes: dict[str, Any], resources: dict[str, Any]
) -> AblationRun:
    """Opens a run to continue it.

    Args:
        directory: The run directory.
        changes: Fields of the configuration that this sitting changes.
        resources: Fields of its resources that this sitting changes.

    Raises:
        ConfigError: There is no ablation, or it is damaged.
        DataError: The data set is at fault.
    """
    recorded = read_ablation(directory)
    config = read_ablation(directory, {**changes, "resources": resources})
    if config.seeds < recorded.seeds:
        raise ConfigError(
            f"{directory} has {recorded.seeds} seeds; --seeds can only add, got {config.seeds}"
        )
    data = load_data(config.data)
    store = TrialStore(directory, write=True)
    run = AblationRun(
        directory=directory,
        config=config,
        data=data,
        store=store,
        resources_changed=bool(resources),
    )
    try:
        run.check_journal()
        run.start_tracking(config.mlflow)
        if changes:
            _write_config(directory, config.model_copy(update={"resources": recorded.resources}))
        note_provenance(directory, config.resources, config.seed_range)
    except BaseException:
        store.close()
        raise
    return run


def read_ablation(directory: Path, changes: dict[str, Any] | None = None) -> AblationConfig:
    """Reads the configuration of an ablation.

    Args:
        directory: The run directory.
        changes: Fields to change before it is checked; `resources` are merged.

    Raises:
        ConfigError: There is none, or it is damaged.
    """
    return read_run(directory, AblationConfig, "ablation", changes, kind="ablation")[0]


def continue_ablation(
    run: AblationRun, observer: Observer, interrupted: Callable[[], bool] = lambda: False
) -> list[str]:
    """Trains whatever the run's configuration still asks for.

    Args:
        run: The run, open for writing.
        observer: Who is told.
        interrupted: Whether the user has asked to stop; looked at once the executor runs.

    Returns:
        Notes for the user, such as that latencies could not be measured.

    Raises:
        InterruptedError: The run was interrupted and can be resumed.
        KeyboardInterrupt: Likewise.
    """
    config = run.config
    executor = make_executor(config.resources)
    with executor.session():
        if interrupted():
            raise KeyboardInterrupt
        if run.resources_changed:
            _write_config(run.directory, config)
        if config.supernet is None:
            _run(run, config.trials(), executor, observer, run.directory)
        else:
            for seed in config.seed_range:
                _score(run, config.supernet, seed, executor, observer)
        measured = (run.directory / LATENCY_NAME).exists()
        notes = [] if measured else _measure_latencies(run, executor)
    remove_empty(run.directory / TRAINING_DIR)
    remove_empty(run.directory / WEIGHTS_DIR)
    return notes


def seed_directory(directory: Path, seed: int | str) -> Path:
    """Where the supernet of a seed lies."""
    return directory / f"seed-{seed}"


def _score(
    run: AblationRun, recipe: SupernetRecipe, seed: int, executor: Executor, observer: Observer
) -> None:
    """Trains the supernet of one seed and scores every arm with its weights."""
    from .supernet import ensure_supernet

    config = run.config
    directory = seed_directory(run.directory, seed)
    directory.mkdir(exist_ok=True)
    search = SearchConfig(
        space=str((run.directory / SPACE_NAME).resolve()),
        data=config.data,
        recipe=config.recipe,
        strategy="supernet",
        supernet=recipe,
        trials=1,
        seed=seed,
        resources=config.resources,
    )
    ensure_supernet(directory, search, config.num_classes, executor, observer.supernet)
    trials = (trial for trial in config.trials() if trial.seed == seed)
    _run(run, trials, executor, observer, directory, search=search.model_dump(mode="json"))


def _run(
    run: AblationRun,
    trials: Iterable[Trial],
    executor: Executor,
    observer: Observer,
    directory: Path,
    **shared: Any,
) -> None:
    """Does the trials that are not done.

    Raises:
        InterruptedError: It was interrupted.
    """
    from .worker import TrialWorker

    config = run.config
    done = {record.key for record in run.store.records()}
    queue = _Queue(trial for trial in trials if trial.key not in done)

    def ended(trial: Trial, result: TrialResult) -> None:
        record = run.keep(trial, result, config.image_size)
        (run.directory / WEIGHTS_DIR / trial.file_name).unlink(missing_ok=True)
        queue.done()
        observer.ended(record)

    shared |= shared_by_trials(
        directory,
        config.data,
        (config.recipe,),
        config.image_size,
        config.resources,
        with_latency=False,
    )
    executor.run_trials(queue, TrialWorker, shared, observer.started, ended)
    if not queue.finished:
        raise InterruptedError


def _check_members(config: AblationConfig, space: Space) -> None:
    for arm in config.arms:
        if not isinstance(arm.spec, ArchSpec) or not space.contains(arm.spec):
            raise ConfigError(
                f"--cheap scores members of one supernet, which {arm.name!r} is not: it changes"
                " more than its fields; leave it out with --only, or train it"
            )


def _measure_latencies(run: AblationRun, executor: Executor) -> list[str]:
    """Times every architecture by turns, with the machine's other cores at rest.

    Returns:
        Why they could not be measured: a reason to do without them, not to lose the rest.
    """
    config = run.config
    specs = {spec.id: spec for _, spec in config.architectures()}
    shared = {
        "arches": [spec.to_json() for spec in specs.values()],
        "num_classes": config.num_classes,
        "image_size": list(config.image_size),
        "threads": config.resources.cpus_per_trial,
        "gpus": config.resources.gpus_per_trial,
    }
    try:
        times = executor.run_once(time_architectures, shared)
    except WorkerError as error:
        return [f"latencies could not be measured ({error}); --resume tries again"]
    write_json(run.directory / LATENCY_NAME, {**shared, "ms": times})
    return []


def _write_config(directory: Path, config: AblationConfig) -> None:
    content = {"ablation": config.model_dump(mode="json"), "image_size": config.image_size}
    write_json(directory / CONFIG_NAME, content)
