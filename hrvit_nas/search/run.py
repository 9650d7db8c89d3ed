"""A search from its configuration to its run directory, interruptible at any time.

The run directory holds `config.json` (as resolved), `provenance.json`, Optuna's study
(`study.db`, unless it is stored elsewhere), the trials (`trials.jsonl`, `trials.parquet`, and for
TensorBoard `tensorboard/`), a supernet and its loss curve where there is one (`supernet.pt`,
`supernet.csv`), the weights of frontier members and references (`checkpoints/`), and the frontier
as `frontier.csv` and `frontier.png`.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..arch import ArchSpec, get_arch
from ..data import load_data
from ..execution import make_executor
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
from .config import CONFIG_NAME, ConfigError, SearchConfig, read_config
from .evaluators import TRAINING_DIR, WEIGHTS_DIR
from .folder import (
    CURVE_NAME,
    STEPS_NAME,
    SUPERNET_NAME,
    RunFolder,
    TimeShare,
    check_buildable,
    check_new,
    note_provenance,
    remove_empty,
    shared_by_trials,
    write_json,
)
from .plan import Plan, frontier_members, objective_values
from .standing import standing

if TYPE_CHECKING:
    from .supernet import Step

STUDY_NAME = "study.db"


class Observer(Protocol):
    """Who watches a run: a terminal, or nothing."""

    def started(self, trial: Trial) -> None:
        """A trial was handed out."""

    def ended(self, record: TrialRecord, summary: RunSummary | None) -> None:
        """A trial ended; the summary, if there is time for one, includes it."""

    def supernet(self, step: Step | None) -> None:
        """How far the supernet's training is; None before its first step."""


@dataclass(kw_only=True)
class Run(RunFolder):
    """One run directory of a search or a calibration, open for writing.

    Attributes:
        config: The search.
        space: Its space, narrowed.
    """

    config: SearchConfig
    space: Space

    def summary(self) -> RunSummary:
        """What the run has found so far."""
        return summarise(self.store.records(), **self.config.ranking)

    def discard_if_unused(self) -> None:
        """Removes what this sitting made, if no trial and no step of a supernet came of it."""
        training = self.directory / TRAINING_DIR
        trained = (training / SUPERNET_NAME).exists() or (self.directory / CURVE_NAME).exists()
        if self.new and not self.store.records() and not trained:
            (training / STEPS_NAME).unlink(missing_ok=True)
            self.discard(STUDY_NAME, SUPERNET_NAME)


def create_run(config: SearchConfig, directory: Path, supernet: Path | None = None) -> Run:
    """Checks everything that can be checked, then makes the run directory.

    Args:
        config: The search.
        directory: The run directory.
        supernet: A trained supernet of the same space, which is copied into it.

    Raises:
        ConfigError: The directory holds a run already, or anything else.
        SpaceError: No member of the space meets its limits.
        DataError: The data set is at fault.
    """
    check_new(directory, "hrvit-search")
    check_buildable(get_arch(name) for name in config.references)
    space = config.load_space()
    data = load_data(config.data)
    config = config.with_num_classes(data.num_classes)
    space = config.load_space()
    space.sample(random.Random(config.seed))
    if supernet is not None:
        steps = _check_supernet(supernet, config, data.num_classes)
        plan = config.supernet.model_copy(update={"steps": steps})
        config = config.model_copy(update={"supernet": plan})
    store = TrialStore(directory, write=True)
    run = Run(directory=directory, config=config, space=space, data=data, store=store, new=True)
    try:
        note_provenance(directory, config.resources, _seeds(config))
        run.start_tracking(config.mlflow)
        _write_config(run, config)
        if supernet is not None:
            with replacing(directory / SUPERNET_NAME) as temporary:
                shutil.copyfile(supernet, temporary)
    except BaseException:
        run.discard_if_unused()
        raise
    return run


def open_run(
    directory: Path,
    changes: dict[str, Any],
    resources: dict[str, Any],
    calibration: Path | None = None,
) -> Run:
    """Opens a run to continue it, with the space that it was started with.

    Args:
        directory: The run directory.
        changes: Fields of the configuration that this sitting changes.
        resources: Fields of its resources that this sitting changes.
        calibration: Run directory of the calibration that the search is to stand on from now on.

    Raises:
        ConfigError: There is no run, its configuration is damaged, or the calibration does not
            fit.
        DataError: The data set is at fault.
    """
    recorded = read_config(directory).resources
    config = read_config(directory, {**changes, "resources": resources})
    if not config.calibrate and "wanted_tau" in changes:
        raise ConfigError(f"{directory} holds a search; --wanted-tau is of a calibration")
    if not config.calibrate and not config.trust and "calibration_seeds" in changes:
        raise ConfigError(
            f"{directory} holds a search; --calibration-seeds are of a calibration, or of --trust"
        )
    if config.strategy != "supernet" and "retrain" in changes:
        raise ConfigError(f"{directory} holds no search with a supernet; --retrain is of one")
    if config.calibrate and (calibration or "trials" in changes):
        raise ConfigError(
            f"{directory} holds a calibration, which has no trials to add and stands on no other;"
            " give it more seeds with --calibration-seeds"
        )
    if calibration is not None:
        changes = changes | {"standing": standing(calibration, config)}
        config = config.model_copy(update={"standing": changes["standing"]})
    try:
        space = config.load_space()
    except SpaceError as error:
        raise ConfigError(f"{directory / CONFIG_NAME} is damaged: {error}") from error
    data = load_data(config.data)
    store = TrialStore(directory, write=True)
    run = Run(
        directory=directory,
        config=config,
        space=space,
        data=data,
        store=store,
        resources_changed=bool(resources),
    )
    try:
        run.check_journal()
        run.start_tracking(config.mlflow)
        if changes:
            _write_config(run, config.model_copy(update={"resources": recorded}))
        note_provenance(directory, config.resources, _seeds(config))
    except BaseException:
        store.close()
        raise
    return run


def continue_run(
    run: Run, observer: Observer, interrupted: Callable[[], bool] = lambda: False
) -> list[str]:
    """Trains whatever the run's configuration still asks for.

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
    from .supernet import ensure_supernet
    from .worker import TrialWorker

    config = run.config
    sampler = None if config.calibrate else sampler_of(run)
    plan = Plan(config, run.space, run.store, sampler, run.data.num_classes)
    overview = TimeShare()

    def ended(trial: Trial, result: TrialResult) -> None:
        record = run.keep(trial, result, config.image_size)
        if sampler is not None and trial.proposal is not None:
            values = objective_values(record, config.cost, config.searched_by)
            sampler.tell(trial.proposal, values)
        plan.done(trial)
        observer.ended(record, overview.do(partial(_look_over, run)))

    shared = shared_by_trials(
        run.directory,
        config.data,
        config.recipes,
        config.image_size,
        config.resources,
        with_latency=config.cost == "latency_ms",
    )
    shared["search"] = config.model_dump(mode="json")
    executor = make_executor(config.resources)
    with executor.session():
        if interrupted():
            raise KeyboardInterrupt
        if run.resources_changed:
            _write_config(run, config)
        if config.strategy == "supernet":
            ensure_supernet(
                run.directory, config, run.data.num_classes, executor, observer.supernet
            )
        executor.run_trials(plan, TrialWorker, shared, observer.started, ended)
    _look_over(run)
    if not plan.finished:
        raise InterruptedError
    remove_empty(run.directory / TRAINING_DIR)
    return plan.notes


def sampler_of(run: Run) -> OptunaSampler:
    """What proposes the architectures of a run, which knows what it has scored so far.

    Raises:
        SamplerError: The storage cannot be opened, or is of something else.
    """
    config, stage = run.config, run.config.first_stage
    return OptunaSampler(
        run.space,
        config.cost_of,
        name=config.sampler,
        seed=config.seed,
        population=config.population or default_population(config.trials),
        storage=config.storage or f"sqlite:///{run.directory.resolve() / STUDY_NAME}",
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


def _check_supernet(path: Path, config: SearchConfig, num_classes: int) -> int:
    """The steps that a supernet was trained for, if it fits the search."""
    from ..training import load_supernet
    from .supernet import build_from

    if not path.is_file():
        raise ConfigError(f"no supernet at {path}")
    return load_supernet(path, build_from(config, num_classes)).step


def _look_over(run: Run) -> RunSummary:
    """What the run has found, with the weights of what it has found to be dominated gone.

    Confirming redraws the frontier with every seed that arrives, so what is being confirmed is
    kept throughout. A file without a record is that of a trial about to be recorded. A
    calibration keeps none.
    """
    summary = run.summary()
    if run.config.calibrate:
        for path in (run.directory / WEIGHTS_DIR).glob("*-s*.pt"):
            path.unlink(missing_ok=True)
        return summary
    found = frontier_members(run.store.records(), run.config)
    rows = (*found, *summary.rows)
    keep = {row.arch_id for row in rows if row.on_frontier or row.reference or row.confirmed}
    dominated = {row.arch_id for row in summary.rows} - keep
    for path in (run.directory / WEIGHTS_DIR).glob("*-s*.pt"):
        if path.name.split("-s")[0] in dominated:
            path.unlink(missing_ok=True)
    return summary


def _seeds(config: SearchConfig) -> range:
    calibrates = config.calibrate or config.trust
    num_seeds = max(config.confirm + 1, config.calibration_seeds if calibrates else 1)
    return range(config.seed, config.seed + num_seeds)


def _write_config(run: Run, config: SearchConfig) -> None:
    content = {
        "config": config.model_dump(mode="json", exclude={"as_started"}),
        "image_size": config.image_size,
        "space": run.space.to_dict(),
    }
    write_json(run.directory / CONFIG_NAME, content)
