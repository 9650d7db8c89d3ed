"""A search from its configuration to its run directory, interruptible at any time.

The run directory holds `config.json` (as resolved), `provenance.json`, Optuna's study
(`study.db`, unless it is stored elsewhere), the trials (`trials.jsonl`, `trials.parquet`), a
supernet and its loss curve where there is one (`supernet.pt`, `supernet.csv`), the weights of
frontier members and references (`checkpoints/`), and the frontier as `frontier.csv` and
`frontier.png`.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..cost import estimate_cost
from ..data import SegmentationData, load_data
from ..results import RunSummary, TrialRecord, TrialStore, provenance, replacing, summarise
from ..space import Space, SpaceError
from .config import CONFIG_NAME, ConfigError, SearchConfig, read_config
from .plan import Plan, frontier_members
from .proposals import Proposals, objective_values
from .standing import standing
from .tasks import Outcome, Task
from .trial import TRAINING_DIR, WEIGHTS_DIR

if TYPE_CHECKING:
    from .supernet import Step

PROVENANCE_NAME, STUDY_NAME = "provenance.json", "study.db"
SUPERNET_NAME, CURVE_NAME, STEPS_NAME = "supernet.pt", "supernet.csv", "supernet.jsonl"
CHECKPOINT_SECONDS = 15.0
"""Seconds of a supernet's training that a crash can cost."""
TABLE_SHARE = 0.02
"""Share of the run's time that rewriting the trial table may take while it goes on."""


class Observer(Protocol):
    """Who watches a run: a terminal, or nothing."""

    def started(self, task: Task) -> None:
        """A trial was handed out."""

    def ended(self, record: TrialRecord, summary: RunSummary) -> None:
        """A trial ended; the summary includes it."""

    def supernet(self, step: Step | None) -> None:
        """How far the supernet's training is; None before its first step."""


@dataclass
class Run:
    """One run directory, open for writing.

    Attributes:
        directory: The run directory.
        config: The search.
        space: Its space, narrowed.
        data: The data set, loaded once to check it and to fill the node's copy.
        store: The trials.
        new: Whether this sitting made the run.
        resources_changed: Whether this sitting asks for other resources than those on record, which
            they replace once they are found to be there.
    """

    directory: Path
    config: SearchConfig
    space: Space
    data: SegmentationData
    store: TrialStore
    new: bool = False
    resources_changed: bool = False
    _table_due: float = field(default=0.0, repr=False)

    def summary(self) -> RunSummary:
        """What the run has found so far."""
        noise = self.config.standing and self.config.standing.noise
        return summarise(self.store.records(), cost=self.config.cost, noise=noise)

    def close(self) -> None:
        """Writes the table once more and lets others write."""
        if self.store.records():
            self.store.write_parquet()
        self.store.close()

    def discard_if_unused(self) -> None:
        """Removes what this sitting made, if no trial and no step of a supernet came of it."""
        training = self.directory / TRAINING_DIR
        trained = (training / SUPERNET_NAME).exists() or (self.directory / CURVE_NAME).exists()
        if self.new and not self.store.records() and not trained:
            self.store.close()
            self.store.journal.unlink()
            for name in (CONFIG_NAME, PROVENANCE_NAME, STUDY_NAME, SUPERNET_NAME):
                (self.directory / name).unlink(missing_ok=True)
            (training / STEPS_NAME).unlink(missing_ok=True)
            _remove_empty(training)
            _remove_empty(self.directory)


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
    if (directory / CONFIG_NAME).exists():
        raise ConfigError(f"{directory} holds a run already; continue it with --resume {directory}")
    if directory.is_dir() and any(directory.iterdir()):
        raise ConfigError(f"a run needs a new or empty directory, and {directory} holds files")
    space = config.load_space()
    data = load_data(config.data)
    if config.narrowing.limits:
        config = config.with_num_classes(data.num_classes)
        space = config.load_space()
    space.sample(random.Random(config.seed))
    if supernet is not None:
        steps = _check_supernet(supernet, config, data.num_classes)
        plan = config.supernet.model_copy(update={"steps": steps})
        config = config.model_copy(update={"supernet": plan})
    run = Run(directory, config, space, data, TrialStore(directory, write=True), new=True)
    try:
        _note_provenance(directory, config)
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
    """Opens a run to continue it.

    Args:
        directory: The run directory.
        changes: Fields of the configuration that this sitting changes.
        resources: Fields of its resources that this sitting changes.
        calibration: Run directory of the calibration that the search is to stand on from now on.

    Raises:
        ConfigError: There is no run, its configuration is damaged, its space has changed, or the
            calibration does not fit.
        DataError: The data set is at fault.
    """
    recorded = read_config(directory)[0].resources
    config, stored_space = read_config(directory, {**changes, "resources": resources})
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
    changed = (
        f"space {config.space!r} has changed since {directory} was started with it; restore it,"
        " or start a new run"
    )
    try:
        space = config.load_space()
    except SpaceError as error:
        raise ConfigError(f"{changed} ({error})") from error
    if json.loads(json.dumps(space.to_dict())) != stored_space:
        raise ConfigError(changed)
    data = load_data(config.data)
    store = TrialStore(directory, write=True)
    run = Run(directory, config, space, data, store, resources_changed=bool(resources))
    try:
        if (kept := store.rows_in_table()) > len(store.records()):
            raise ConfigError(
                f"{store.journal} holds {len(store.records())} trials, and the table beside it"
                f" {kept}; the journal has lost some: restore it, or start a new run"
            )
        if changes:
            _write_config(run, config.model_copy(update={"resources": recorded}))
        _note_provenance(directory, config)
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
        interrupted: Whether the user has asked to stop; looked at once Ray runs, since an exception
            raised while it starts can be lost in one of its callbacks.

    Returns:
        Notes for the user, such as that the space was exhausted.

    Raises:
        InterruptedError: The run was interrupted and can be resumed.
        KeyboardInterrupt: Likewise.
    """
    from .runner import check_resources, ray_session, run_tasks

    config, store = run.config, run.store
    storage = config.storage or f"sqlite:///{run.directory.resolve() / STUDY_NAME}"
    proposals = None
    if not config.calibrate:
        proposals = Proposals(config, run.space, storage, store.records())
    plan = Plan(config, run.space, store, proposals, run.data.num_classes)

    def ended(task: Task, outcome: Outcome) -> None:
        record = _record(run, task, outcome)
        store.append(record)
        if proposals is not None and task.proposal is not None:
            proposals.finish(task, objective_values(record, config.cost, config.searched_by))
        plan.done(task)
        (run.directory / TRAINING_DIR / task.file_name).unlink(missing_ok=True)
        summary = run.summary()
        _drop_dominated_weights(run, summary)
        _write_table_if_due(run)
        observer.ended(record, summary)

    shared = {
        "run_dir": str(run.directory.resolve()),
        "data": config.data.model_dump(mode="json"),
        "recipe": config.recipe.model_dump(mode="json"),
        "image_size": list(config.image_size),
        "with_latency": config.cost == "latency_ms",
        "threads": config.resources.cpus_per_trial,
        "gpus": config.resources.gpus_per_trial,
        "search": config.model_dump(mode="json"),
    }
    with ray_session(config.resources):
        check_resources(config.resources)
        if interrupted():
            raise KeyboardInterrupt
        if run.resources_changed:
            _write_config(run, config)
        if config.strategy == "supernet":
            _train_supernet(run, observer)
        run_tasks(plan, shared, config.resources, observer.started, ended)
    if not plan.finished:
        raise InterruptedError
    _remove_empty(run.directory / TRAINING_DIR)
    return plan.notes


def _check_supernet(path: Path, config: SearchConfig, num_classes: int) -> int:
    """The steps that a supernet was trained for, if it fits the search."""
    from ..training import load_supernet
    from .supernet import build_from

    if not path.is_file():
        raise ConfigError(f"no supernet at {path}")
    return load_supernet(path, build_from(config, num_classes)).step


def _train_supernet(run: Run, observer: Observer) -> None:
    """Trains the run's supernet, or what is left of it to train."""
    from .group import group_size, run_group
    from .supernet import finish_training, last_step, train_part

    if (run.directory / SUPERNET_NAME).exists():
        if (run.directory / TRAINING_DIR / STEPS_NAME).exists():  # it was stopped just before
            finish_training(run.directory, run.config, run.data.num_classes)
        return
    resources = run.config.resources
    shared = {
        "run_dir": str(run.directory.resolve()),
        "config": run.config.model_dump(mode="json"),
        "threads": resources.cpus_per_trial,
        "device": "cuda" if resources.gpus_per_trial else "cpu",
        "checkpoint_seconds": CHECKPOINT_SECONDS,
    }
    try:
        run_group(
            train_part,
            shared,
            resources,
            group_size(resources, run.config.recipe.batch_size),
            lambda: observer.supernet(last_step(run.directory)),
        )
    except RuntimeError as error:  # collapsed too often, or its workers kept dying
        raise ConfigError(f"the supernet's training failed: {error}") from error
    finish_training(run.directory, run.config, run.data.num_classes)


def _record(run: Run, task: Task, outcome: Outcome) -> TrialRecord:
    cost = estimate_cost(task.spec, run.config.image_size, num_classes=run.data.num_classes)
    known = {name: outcome[name] for name in TrialRecord.model_fields if name in outcome}
    return TrialRecord(
        number=task.number,
        arch_id=task.spec.id,
        arch=task.spec.to_json(),
        origin=task.origin,
        label=task.label,
        seed=task.seed,
        macs=cost.macs,
        published_macs=cost.published_macs,
        params=cost.params,
        peak_activation_bytes=cost.peak_activation_bytes,
        finished_at=datetime.now(UTC),
        **known,
    )


def _drop_dominated_weights(run: Run, summary: RunSummary) -> None:
    """Keeps the weights of the frontier and the references, and frees the rest of the disk.

    Confirming redraws the frontier with every seed that arrives, so what is being confirmed is
    kept throughout. A file without a record is that of a trial about to be recorded. A
    calibration keeps none.
    """
    if run.config.calibrate:
        for path in (run.directory / WEIGHTS_DIR).glob("*-s*.pt"):
            path.unlink(missing_ok=True)
        return
    rows = (*frontier_members(run.store.records(), run.config.cost), *summary.rows)
    keep = {row.arch_id for row in rows if row.on_frontier or row.reference or row.confirmed}
    dominated = {row.arch_id for row in summary.rows} - keep
    for path in (run.directory / WEIGHTS_DIR).glob("*-s*.pt"):
        if path.name.split("-s")[0] in dominated:
            path.unlink(missing_ok=True)


def _write_table_if_due(run: Run) -> None:
    now = time.monotonic()
    if now < run._table_due:
        return
    run.store.write_parquet()
    spent = time.monotonic() - now
    run._table_due = now + spent / TABLE_SHARE


def _note_provenance(directory: Path, config: SearchConfig) -> None:
    """Adds this sitting to `provenance.json`; several machines may have run a resumed run."""
    path = directory / PROVENANCE_NAME
    try:
        sittings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        if not isinstance(sittings, list):
            raise ValueError(f"it must hold a list, not a {type(sittings).__name__}")
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    device = "cuda" if config.resources.gpus_per_trial else "cpu"
    calibrates = config.calibrate or config.trust
    num_seeds = max(config.confirm + 1, config.calibration_seeds if calibrates else 1)
    seeds = [config.seed + offset for offset in range(num_seeds)]
    sittings.append({**provenance(device=device), "seeds": seeds})
    _write_json(path, sittings)


def _write_config(run: Run, config: SearchConfig) -> None:
    content = {"config": config.model_dump(mode="json"), "space": run.space.to_dict()}
    _write_json(run.directory / CONFIG_NAME, content)


def _write_json(path: Path, content: object) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        with suppress(OSError):  # such as that somebody stands in it
            folder.rmdir()
