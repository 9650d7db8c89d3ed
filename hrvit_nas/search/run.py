"""The life of a run of any kind: made, opened again, gone on with until all is done.

A run can be interrupted at any time. Its directory holds what `RunLayout` names, and what the
commands make of it.
"""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .._messages import first_line, one_line
from ..arch import ArchSpec
from ..data import SegmentationData, load_data
from ..execution import MakeWorker, make_executor
from ..results import Trial, TrialResult, TrialStore, replacing
from ..samplers import Sampler, SamplerError, default_population
from ..samplers.database import (
    can_be_written,
    fault_of_database,
    set_database_aside,
    unusable,
)
from ..samplers.make import make_sampler
from ..space import SpaceError
from .ablation_config import AblationConfig
from .ablation_results import measure_latencies
from .checks import (
    check_buildable,
    check_journal,
    check_new,
    check_reachable,
    check_seeds_grow,
    check_trainable,
    space_of_arms,
    stored_space,
    with_supernet,
)
from .config import AnySearch, SearchConfig, SpaceConfig
from .config_parts import ConfigError
from .data_checks import check_images
from .kinds import KINDS
from .layout import RunLayout, remove_empty
from .opened import Observer, Run
from .overview import Overview
from .plan import Resolved, Trials
from .run_config import RunConfig
from .selection import objective_values
from .stored import read_config, write_config
from .supernet import ensure_supernet
from .synthetic import ObjectiveWorker, shared_by_scores
from .timeshare import TimeShare
from .worker import TrialWorker, shared_by_trials

_log = logging.getLogger(__name__)


def create_run(
    config: RunConfig,
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
            built here or trained by the recipe, or is no subnet of the supernets that are to score
            it.
        SpaceError: No architecture of the space meets its limits.
        DataError: The data set is at fault.
        ExecutionError, SamplerError: What it is to run on, or its storage, is not there.
    """
    layout = RunLayout(directory)
    check_new(layout)
    check_buildable(config.named_architectures)
    check_reachable(config)
    # Before a data set, which may be large, is read.
    space = space_of_arms(config) if isinstance(config, AblationConfig) else stored_space(config)
    data = data or load_data(config.data)
    check_images(config)
    config = config.with_num_classes(data.num_classes)
    if isinstance(config, SpaceConfig):
        space = config.load_space()
        space.sample(random.Random(config.seed))
        config = config.model_copy(update={"as_started": space.to_dict()})
    if not config.data.synthetic:
        check_trainable(config, space, len(data.train))
    if supernet is not None:
        config = with_supernet(config, supernet, data.num_classes)
    made = tuple(folder for folder in directory.absolute().parents if not folder.exists())
    store = TrialStore(directory, write=True)
    run = Run(
        layout=layout, config=config, space=space, data=data, store=store, new=True, made=made
    )
    try:
        write_config(layout, config)  # first: a run that is killed from here on is resumed
        run.begin()
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
        ExecutionError, SamplerError: What it is to run on, or its storage, is not there.
    """
    layout = RunLayout(directory)
    recorded: RunConfig = read_config(directory)
    config: RunConfig = read_config(
        directory, changes={**(changes or {}), "resources": resources or {}}
    )
    check_seeds_grow(directory, recorded, config)
    check_reachable(config)
    try:
        space = stored_space(config)
    except SpaceError as error:
        raise ConfigError(f"{layout.config} is damaged: {error}") from error
    data = load_data(config.data)
    check_images(config)
    run = Run(
        layout=layout,
        config=config,
        space=space,
        data=data,
        store=TrialStore(directory, write=True),
        resources_changed=bool(resources),
    )
    try:
        check_journal(run.store)
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
        interrupted: Whether the user has asked to stop; looked at before each stage, since an
            exception that is raised in a callback of Ray can be lost.

    Returns:
        Notes for the user, such as that the space was exhausted.

    Raises:
        InterruptedError: The run was interrupted and can be resumed.
        KeyboardInterrupt: Likewise.
    """
    config = run.config
    notes: list[str] = []
    executor = make_executor(config.resources)
    sampler = sampler_of(run) if isinstance(config, AnySearch) else None
    overview, share = Overview(run), TimeShare()
    make_worker: MakeWorker = ObjectiveWorker if config.data.synthetic else TrialWorker
    shared = (shared_by_scores if config.data.synthetic else shared_by_trials)(run)
    with executor.session():
        if run.resources_changed:
            write_config(run.layout, config)
        # Each supernet's trials before the next one is trained: a score a seed is of use early.
        for seed in config.supernet_seeds or (None,):
            if interrupted():
                raise KeyboardInterrupt
            if seed is not None:
                ensure_supernet(
                    run.supernet_layout(seed),
                    config.supernet_plan(seed),
                    config.resources,
                    executor,
                    run.data.num_classes,
                    observer.supernet,
                )
            seeds = config.seeds if seed is None else (seed,)
            resolved = Resolved(
                seeds=seeds, num_classes=run.data.num_classes, space=run.space, sampler=sampler
            )
            trials = KINDS[config.kind].trials(config, run.store, resolved)

            def ended(trial: Trial, result: TrialResult, trials: Trials[Any] = trials) -> None:
                if result.state == "failed" and interrupted():
                    return  # its worker was ended with this program
                record = run.keep(trial, result)
                trials.ended(trial, record)
                observer.ended(record, share.do(overview.look))

            executor.run_trials(trials, make_worker, shared, observer.started, ended)
            overview.look()
            notes += trials.notes
            if not trials.finished:
                raise InterruptedError
        if interrupted():
            raise KeyboardInterrupt
        if isinstance(config, AblationConfig) and not config.data.synthetic:
            notes += measure_latencies(run.layout, config, executor)
    for path in run.layout.training.glob("*.pt"):
        path.unlink()  # of what was paused and not gone on with
    remove_empty(run.layout.training, run.layout.weights)
    return notes


def sampler_of(run: Run[AnySearch]) -> Sampler:
    """What proposes the architectures of a search, which knows what it has scored so far.

    A study of the run's own that is damaged is set aside, and made anew from the journal.

    Raises:
        SamplerError: The storage cannot be opened, or is of something else.
    """
    config, path = run.config, run.layout.study
    if config.storage is not None:
        try:
            return _make_sampler(run, config.storage)
        except SamplerError:
            raise
        except Exception as error:  # of Optuna, of a database, or of what it holds
            raise unusable(config.storage, error) from error
    own = f"sqlite:///{path.resolve()}"
    fault = fault_of_database(path)
    if not fault:
        held = path.exists()
        try:
            return _make_sampler(run, own)
        except Exception as error:
            if not held or not can_be_written(path):
                raise
            fault = one_line(first_line(error), 120)
    aside = set_database_aside(path)
    try:
        sampler = _make_sampler(run, own)
    except Exception:  # so that it was not the database's fault
        path.unlink(missing_ok=True)
        aside.replace(path)
        raise
    _log.warning(
        "%s is damaged (%s); it is now %s, and made anew from %s",
        path,
        fault,
        aside.name,
        run.store.journal.name,
    )
    return sampler


def _make_sampler(run: Run[AnySearch], storage: str) -> Sampler:
    config = run.config
    assert run.space is not None
    stage = config.first_stage
    return make_sampler(
        run.space,
        config.cost_of,
        name=config.sampler,
        seed=config.seed,
        population=config.population or default_population(config.sampler, config.trials),
        storage=storage,
        study=config.study,
        costs=config.cost_functions,
        work=config.work_of,
        presets=config.initial,
        deterministic=isinstance(config, SearchConfig) and config.deterministic,
        told=[
            (ArchSpec.from_json(r.arch), objective_values(r, config.costs, config.searched_by))
            for r in run.store.records()
            if config.is_proposed(r)
        ],
        # What the supernet has scored to check its ranking would not be scored again.
        taken=[
            r.arch_id
            for r in run.store.records()
            if stage.evaluator == r.evaluator == "inherited" and r.stage != stage
        ],
    )
