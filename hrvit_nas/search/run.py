"""The life of a run of any kind: made, opened again, gone on with until all is done.

A run can be interrupted at any time. Its directory holds what `RunLayout` names, and what the
commands make of it.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol

from ..arch import Arch, ArchSpec, PyramidSpec, get_arch
from ..cost import estimate_cost
from ..data import SegmentationData, load_data
from ..execution import make_executor
from ..models import build_segmentor
from ..results import (
    RunSummary,
    Trial,
    TrialRecord,
    TrialResult,
    TrialStore,
    replacing,
    summarise,
)
from ..samplers import default_population
from ..samplers.optuna_sampler import OptunaSampler
from ..space import Space, SpaceError
from .ablation_config import AblationConfig
from .config import AnySearch, SpaceConfig, SupernetSearchConfig
from .config_parts import ConfigError
from .layout import RunLayout
from .plan import trials_of
from .selection import frontier_members, objective_values
from .sittings import began, note_sitting
from .stored import AnyConfig, C, read_config, write_config
from .timeshare import TimeShare
from .tracking import Tracking

if TYPE_CHECKING:
    from .supernet import Step


class Observer(Protocol):
    """Who watches a run: a terminal, or nothing."""

    def started(self, trial: Trial) -> None:
        """A trial was handed out."""

    def ended(self, record: TrialRecord, summary: RunSummary | None) -> None:
        """A trial ended; the summary, if there is time for one, includes it."""

    def supernet(self, step: Step | None) -> None:
        """How far a supernet's training is; None before its first step."""


@dataclass(kw_only=True)
class Run(Generic[C]):
    """One run directory, open for writing.

    Attributes:
        layout: Where its files lie.
        config: What it is to do.
        data: The data set, loaded once to check it and to fill the node's copy.
        store: The trials.
        space: Its space, narrowed; None for an ablation without supernets.
        new: Whether this sitting made the run.
        resources_changed: Whether this sitting asks for other resources than those on record, which
            they replace once they are found to be there.
    """

    layout: RunLayout
    config: C
    data: SegmentationData
    store: TrialStore
    space: Space | None
    new: bool = False
    resources_changed: bool = False
    _table: TimeShare = field(default_factory=TimeShare, repr=False)
    _tracking: Tracking = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._tracking = Tracking(self.layout.tensorboard)

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self.layout.directory

    def summary(self) -> RunSummary:
        """What the run has found so far."""
        return summarise(self.store.records(), **self.config.ranking)

    def supernet_layout(self, seed: int) -> RunLayout:
        """Where the supernet of a seed lies; an ablation has one a seed."""
        return self.layout.of_seed(seed) if isinstance(self.config, AblationConfig) else self.layout

    def keep(self, trial: Trial, result: TrialResult) -> TrialRecord:
        """Writes what came of a trial; from then on it need not be done again."""
        cost = estimate_cost(trial.arch, self.config.image_size, num_classes=self.data.num_classes)
        record = TrialRecord(
            **trial.identity,
            macs=cost.macs,
            published_macs=cost.published_macs,
            params=cost.params,
            peak_activation_bytes=cost.peak_activation_bytes,
            finished_at=datetime.now(UTC),
            **dict(result),
        )
        self.store.append(record)
        self._tracking.add(record)
        self.layout.training_of(trial).unlink(missing_ok=True)
        self._table.do(self.store.write_parquet)
        return record

    def close(self) -> None:
        """Writes the table once more, lets others write, and sends what could not be sent."""
        if self.store.records():
            self.store.write_parquet()
        self.store.close()
        self._tracking.close()

    def discard_if_unused(self) -> None:
        """Removes what this sitting made, if no trial and no step of a supernet came of it."""
        layout = self.layout
        seeds = [self.supernet_layout(seed) for seed in self.config.supernet_seeds]
        trained = any(s.supernet_training.exists() or s.supernet_curve.exists() for s in seeds)
        if not self.new or trained or self.store.records():
            return
        self.store.close()
        for of_seed in seeds:
            of_seed.supernet_steps.unlink(missing_ok=True)
            of_seed.supernet.unlink(missing_ok=True)
            _remove_empty(of_seed.training, *([of_seed.directory] if of_seed != layout else []))
        for path in (self.store.journal, layout.config, layout.provenance, layout.study):
            path.unlink(missing_ok=True)
        _remove_empty(layout.training, layout.directory)

    def begin(self) -> None:
        """Notes this sitting, and shows other tools the trials they have missed.

        Raises:
            ConfigError: MLflow is not installed, the URI does not answer, or the run is damaged.
        """
        config, provenance = self.config, self.layout.provenance
        note = partial(note_sitting, provenance, config.resources, config.seeds)
        if self.new:  # how it began is its name elsewhere
            note()
        name = self.directory.resolve().name
        self._tracking.start(self.store.records(), config.mlflow, name, began(provenance))
        if not self.new:
            note()


def create_run(
    config: AnyConfig,
    directory: Path,
    *,
    data: SegmentationData | None = None,
    supernet: Path | None = None,
) -> Run[Any]:
    """Checks everything that can be checked, then makes the run directory.

    Args:
        config: What the run is to do.
        directory: The run directory.
        data: Its data set, if that is loaded already.
        supernet: A trained supernet of the same space, which is copied into it.

    Raises:
        ConfigError: The directory holds a run already, or anything else, or a network cannot be
            built here, or is no member of the supernets that are to score it.
        SpaceError: No member of the space meets its limits.
        DataError: The data set is at fault.
    """
    layout = RunLayout(directory)
    _check_new(layout)
    space: Space | None
    if isinstance(config, AblationConfig):
        _check_buildable(spec for _, spec in config.architectures())
        space = _space_of_arms(config)
        data = data or load_data(config.data)
    else:
        if isinstance(config, AnySearch):
            _check_buildable(get_arch(name) for name in config.references)
        config.load_space()  # before a data set, which may be large, is read
        data = data or load_data(config.data)
        config = config.with_num_classes(data.num_classes)
        space = config.load_space()
        space.sample(random.Random(config.seed))
        config = config.model_copy(update={"as_started": space.to_dict()})
    if supernet is not None:
        config = _with_supernet(config, supernet, data.num_classes)
    store = TrialStore(directory, write=True)
    run = Run(layout=layout, config=config, space=space, data=data, store=store, new=True)
    try:
        run.begin()
        write_config(layout, config)
        if supernet is not None:
            with replacing(layout.supernet) as temporary:
                shutil.copyfile(supernet, temporary)
    except BaseException:
        run.discard_if_unused()
        raise
    return run


def open_run(
    directory: Path,
    changes: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
) -> Run[Any]:
    """Opens a run to continue it, with the space that it was started with.

    Args:
        directory: The run directory.
        changes: Fields of the configuration that this sitting changes.
        resources: Fields of its resources that this sitting changes.

    Raises:
        ConfigError: There is no run, its configuration is damaged, or has not what is changed.
        DataError: The data set is at fault.
    """
    layout = RunLayout(directory)
    recorded: AnyConfig = read_config(directory)
    config: AnyConfig = read_config(
        directory, changes={**(changes or {}), "resources": resources or {}}
    )
    _check_seeds_grow(directory, recorded, config)
    try:
        space = _stored_space(config)
    except SpaceError as error:
        raise ConfigError(f"{layout.config} is damaged: {error}") from error
    data = load_data(config.data)
    run = Run(
        layout=layout,
        config=config,
        space=space,
        data=data,
        store=TrialStore(directory, write=True),
        resources_changed=bool(resources),
    )
    try:
        _check_journal(run.store)
        run.begin()
        if changes:
            write_config(layout, config.model_copy(update={"resources": recorded.resources}))
    except BaseException:
        run.store.close()
        raise
    return run


def continue_run(
    run: Run[Any], observer: Observer, interrupted: Callable[[], bool] = lambda: False
) -> list[str]:
    """Does whatever the run's configuration still asks for.

    Args:
        run: The run, open for writing.
        observer: Who is told.
        interrupted: Whether the user has asked to stop; looked at once the executor runs, since an
            exception raised while Ray starts can be lost in one of its callbacks.

    Returns:
        Notes for the user, such as that the space was exhausted.

    Raises:
        InterruptedError: The run was interrupted and can be resumed.
        KeyboardInterrupt: Likewise.
    """
    from .ablation_results import measure_latencies
    from .supernet import ensure_supernet
    from .worker import TrialWorker, shared_by_trials

    config = run.config
    notes: list[str] = []
    executor = make_executor(config.resources)
    sampler = sampler_of(run) if isinstance(config, AnySearch) else None
    overview = TimeShare()
    with executor.session():
        if interrupted():
            raise KeyboardInterrupt
        if run.resources_changed:
            write_config(run.layout, config)
        # Each supernet's trials before the next one is trained: a score a seed is of use early.
        for seed in config.supernet_seeds or (None,):
            if seed is not None:
                ensure_supernet(
                    run.supernet_layout(seed),
                    config.supernet_plan(seed),
                    config.resources,
                    executor,
                    observer.supernet,
                )
            seeds = config.seeds if seed is None else (seed,)
            trials = trials_of(config, run.space, run.store, sampler, run.data.num_classes, seeds)

            def ended(trial: Trial, result: TrialResult, trials: Any = trials) -> None:
                record = run.keep(trial, result)
                trials.ended(trial, record)
                observer.ended(record, overview.do(partial(_look_over, run)))

            executor.run_trials(trials, TrialWorker, shared_by_trials(run), observer.started, ended)
            _look_over(run)
            notes += trials.notes
            if not trials.finished:
                raise InterruptedError
        if isinstance(config, AblationConfig):
            notes += measure_latencies(run.layout, config, executor)
    _remove_empty(run.layout.training, run.layout.weights)
    return notes


def sampler_of(run: Run[AnySearch]) -> OptunaSampler:
    """What proposes the architectures of a search, which knows what it has scored so far.

    Raises:
        SamplerError: The storage cannot be opened, or is of something else.
    """
    config = run.config
    assert run.space is not None
    stage = config.first_stage
    return OptunaSampler(
        run.space,
        config.cost_of,
        name=config.sampler,
        seed=config.seed,
        population=config.population or default_population(config.trials),
        storage=config.storage or f"sqlite:///{run.layout.study.resolve()}",
        study=config.study,
        presets=config.initial,
        told=[
            (ArchSpec.from_json(r.arch), objective_values(r, config.cost, config.searched_by))
            for r in run.store.records()
            if r.stage == stage
        ],
        # What the supernet has scored to check its ranking would not be scored again.
        taken=[
            r.arch_id
            for r in run.store.records()
            if stage.evaluator == r.evaluator == "inherited" and r.stage != stage
        ],
    )


def _look_over(run: Run[Any]) -> RunSummary | None:
    """What a search has found, with the weights of what it has found to be dominated gone.

    Confirming redraws the frontier with every seed that arrives, so what is being confirmed is
    kept throughout. A file without a record is that of a trial about to be recorded. Other runs
    keep none.
    """
    if not isinstance(run.config, AnySearch):
        for _, path in run.layout.all_weights():
            path.unlink(missing_ok=True)
        return None
    summary = run.summary()
    found = frontier_members(run.store.records(), run.config)
    rows = (*found, *summary.rows)
    keep = {row.arch_id for row in rows if row.on_frontier or row.reference or row.confirmed}
    dominated = {row.arch_id for row in summary.rows} - keep
    for arch_id, path in run.layout.all_weights():
        if arch_id in dominated:
            path.unlink(missing_ok=True)
    return summary


def _space_of_arms(config: AblationConfig) -> Space | None:
    """The space of an ablation's supernets, of which all its arms are members."""
    space = _stored_space(config)
    for arm in config.arms:
        if space is None:
            break
        if not isinstance(arm.spec, ArchSpec) or not space.contains(arm.spec):
            raise ConfigError(
                f"a supernet scores its own subnets, and {arm.name!r} is none: it changes more than"
                " its fields; leave it out, or train it"
            )
    return space


def _stored_space(config: AnyConfig) -> Space | None:
    if isinstance(config, SpaceConfig):
        return config.load_space()
    if config.supernet is not None and config.as_started is None:
        raise SpaceError("the space of its supernets is gone")
    return None if config.as_started is None else Space.from_dict(config.as_started)


def _with_supernet(config: AnyConfig, path: Path, num_classes: int) -> SupernetSearchConfig:
    """The search with the steps that a supernet was trained for, if it fits."""
    from ..training import load_supernet
    from .supernet import build_from

    if not isinstance(config, SupernetSearchConfig):
        raise ConfigError("a supernet is of use to a search with a supernet alone")
    if not path.is_file():
        raise ConfigError(f"no supernet at {path}")
    steps = load_supernet(path, build_from(config.supernet_plan(config.seed), num_classes)).step
    supernet = config.supernet.model_copy(update={"steps": steps})
    return config.model_copy(update={"supernet": supernet})


def _check_new(layout: RunLayout) -> None:
    directory = layout.directory
    if layout.config.exists():
        raise ConfigError(f"{directory} holds a run already; resume it, or name another directory")
    if directory.is_dir() and any(directory.iterdir()):
        raise ConfigError(f"a run needs a new or empty directory, and {directory} holds files")


def _check_buildable(specs: Iterable[Arch]) -> None:
    """Refuses architectures that this installation cannot build, before anything is trained."""
    for family in {spec.family: spec for spec in specs if isinstance(spec, PyramidSpec)}.values():
        try:
            build_segmentor(family, 1)
        except ImportError as error:
            raise ConfigError(str(error)) from error


def _check_seeds_grow(directory: Path, before: AnyConfig, now: AnyConfig) -> None:
    """Refuses to take seeds from an ablation, whose differences are paired by seed."""
    if isinstance(before, AblationConfig) and len(now.seeds) < len(before.seeds):
        raise ConfigError(
            f"{directory} has {len(before.seeds)} seeds; num_seeds can only grow, got"
            f" {len(now.seeds)}"
        )


def _check_journal(store: TrialStore) -> None:
    """Refuses a journal that lost trials which the table beside it has."""
    if (kept := store.rows_in_table()) > len(store.records()):
        raise ConfigError(
            f"{store.journal} holds {len(store.records())} trials, and the table beside it"
            f" {kept}; the journal has lost some: restore it, or start a new run"
        )


def _remove_empty(*folders: Path) -> None:
    """Removes folders that are there and hold nothing."""
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            with suppress(OSError):  # such as that somebody stands in it
                folder.rmdir()
