"""The life of a training: made, opened again, gone on with until its last step."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..data import ClassificationData, SegmentationData
from ..evaluation import Evaluation
from ..execution import make_executor
from ..models import Network, tie_initialisation
from ..models.states import read_tensors
from ..results import write_csv, write_text
from ..training import ClassificationProgress, NetworkResult, PlainProgress
from ..training.checkpoint import write_state
from .checks import check_buildable, check_new, check_reachable
from .config_parts import ConfigError
from .first_weights import Part, load_first_weights
from .layout import remove_empty
from .sittings import began, began_at, note_sitting, public_sittings, set_damaged_aside
from .training_config import TrainingConfig, TrainingLayout, read_training, write_training
from .training_log import TrainingLog
from .training_tasks import TASKS

CHECKPOINT_SECONDS = 60.0
"""Seconds of training that a crash can cost."""

AnyData = SegmentationData | ClassificationData


@dataclass(frozen=True)
class Reached:
    """How far a training has come.

    Attributes:
        step: Steps done.
        loss: Of the last of them, in nats.
        seconds: What they took, over all sittings.
        miou: Of the last check, a fraction; None before the first, and of a classifier.
        top1: Likewise, of a classifier.
    """

    step: int
    loss: float
    seconds: float
    miou: float | None
    top1: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """A training's directory, open for writing.

    Attributes:
        layout: Where its files lie.
        config: What it is to do.
        data: Its data set.
        log: Shows it to other tools.
    """

    layout: TrainingLayout
    config: TrainingConfig
    data: AnyData
    log: TrainingLog

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self.layout.directory

    @property
    def done(self) -> bool:
        """Whether there is nothing left to train."""
        return self.layout.curve.exists()


def create_training(
    config: TrainingConfig, directory: Path, first: str | None, part: Part
) -> TrainingRun:
    """Checks everything that can be checked, then makes the directory of a training.

    Args:
        config: What is to be trained.
        directory: Its directory.
        first: Where its first weights come from, as `load_first_weights` has it; None = the seed.
        part: Which of them.

    Raises:
        ConfigError, DataError, ExecutionError, ValueError: Something does not fit, or is not there.
    """
    layout = TrainingLayout(directory)
    check_new(layout)
    check_buildable(config.named_architectures)
    check_reachable(config)
    task = TASKS[config.data.task]
    data = task.load(config)
    task.check_data(config)
    config = config.with_num_classes(data.num_classes)
    task.check(config, len(data.train))
    log = TrainingLog(layout, config)
    if first is not None:
        model = _built(config, data)
        words = load_first_weights(model, first, part)
        config = config.model_copy(update={"initial": words})
        write_state(layout.start, model.state_dict())
    directory.mkdir(parents=True, exist_ok=True)
    write_training(layout, config)
    return _begun(TrainingRun(layout=layout, config=config, data=data, log=log))


def open_training(
    directory: Path, resources: Mapping[str, Any], tracking: Mapping[str, Any]
) -> TrainingRun:
    """Opens a training to go on with it.

    Args:
        directory: Its directory.
        resources: Resources that are changed.
        tracking: Its tracking, where that is changed, which is kept.

    Raises:
        ConfigError, DataError, ExecutionError: There is none, or something is not there any more.
    """
    layout = TrainingLayout(directory)
    config = read_training(directory, resources, tracking)
    check_reachable(config)
    task = TASKS[config.data.task]
    data = task.load(config)
    task.check_data(config)
    if layout.curve.exists() and not layout.steps.exists():  # nothing is left to show
        if tracking:
            raise ConfigError(f"{directory} holds a training that is done: MLflow gets no more")
        config = config.model_copy(update={"mlflow": None})
    log = TrainingLog(layout, config)
    if tracking:
        write_training(layout, read_training(directory, {}, tracking))
    return _begun(TrainingRun(layout=layout, config=config, data=data, log=log))


def _begun(run: TrainingRun) -> TrainingRun:
    set_damaged_aside(run.layout.provenance)
    provenance = run.layout.provenance
    note_sitting(provenance, run.config.resources, run.config.seeds)
    if not run.done or run.layout.steps.exists():
        run.log.begin(began(provenance), began_at(provenance))
    if run.done:
        _tidy(run)
    return run


def _tidy(run: TrainingRun) -> None:
    """Removes what a training that is done goes on from; its steps, once all tools have them."""
    layout = run.layout
    if run.log.close(done=True):
        layout.steps.unlink(missing_ok=True)
    for path in (layout.state, layout.start):
        path.unlink(missing_ok=True)
    remove_empty(layout.training)


def continue_training(run: TrainingRun, observer: Callable[[Reached | None], None]) -> None:
    """Trains what is left to train, in the processes that the resources allow.

    Args:
        run: The training.
        observer: Told some times a second how far it is, None before the first step.

    Raises:
        ConfigError: The training failed, or its processes kept dying.
    """
    layout, resources = run.layout, run.config.resources
    shared = {
        "directory": str(layout.directory.resolve()),
        "config": run.config.model_dump(mode="json"),
        "threads": resources.cpus_per_trial,
        "device": "cuda" if resources.gpus_per_trial else "cpu",
        "checkpoint_seconds": CHECKPOINT_SECONDS,
    }

    def look() -> None:
        run.log.follow()
        observer(reached(layout))

    executor = make_executor(resources)
    try:
        with executor.session():
            try:
                executor.run_group(train_network, shared, run.config.recipe.batch_size, look)
            except RuntimeError as error:  # it did not converge, or its processes kept dying
                raise ConfigError(f"the training failed: {error}") from error
    finally:
        if not run.done:
            run.log.close(done=False)
    _tidy(run)


def train_network(shared: Mapping[str, Any]) -> None:
    """Trains a network, alone or as one of the processes of an initialised process group.

    The first process writes a line now and then for whoever watches, the checkpoint that a later
    sitting goes on from, and in the end the network and its curve, which says that all is done.

    Args:
        shared: `directory`, `config` (plain data), `threads`, `device`, `checkpoint_seconds`.
    """
    torch.set_num_threads(shared["threads"])
    config = TrainingConfig.model_validate(shared["config"])
    layout = TrainingLayout(Path(shared["directory"]))
    layout.check_there()
    task = TASKS[config.data.task]
    data = task.load(config)
    model = _built(config, data)
    if layout.start.exists():
        model.load_state_dict(read_tensors(layout.start))
    layout.training.mkdir(exist_ok=True)
    how = {
        "seed": config.seed,
        "device": shared["device"],
        "checkpoint": layout.state,
        "checkpoint_seconds": shared["checkpoint_seconds"],
        "on_step": partial(_note, layout.steps),
    }
    result = task.train(model, data, config, how)
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        _finish(layout, config, data, model, result)


def _built(config: TrainingConfig, data: AnyData) -> Network:
    """The network before its first step, the same in every process."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = TASKS[config.data.task].build(config, data.num_classes)
    if config.recipe.tied_initialisation:
        tie_initialisation(model, config.seed)
    return model


def _note(path: Path, progress: PlainProgress | ClassificationProgress) -> None:
    miou = top1 = None
    if progress.checks:
        scores = progress.checks[-1].best
        if isinstance(scores, Evaluation):
            miou = scores.miou
        else:
            top1 = scores.top1
    at = Reached(progress.step, progress.losses[-1], progress.seconds, miou, top1)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(vars(at)) + "\n")


def reached(layout: TrainingLayout) -> Reached | None:
    """How far a training has come, as far as a whole line says; None before its first step."""
    path = layout.steps
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = [line for line in file.read().split(b"\n")[:-1] if line.endswith(b"}")]
        return Reached(**json.loads(lines[-1])) if lines else None
    except (OSError, ValueError, TypeError):
        return None


def _finish(
    layout: TrainingLayout,
    config: TrainingConfig,
    data: AnyData,
    model: Network,
    result: NetworkResult[Any],
) -> None:
    """Writes the network, then the curve."""
    task = TASKS[config.data.task]
    model.cpu().eval()
    model.description = task.describe(config, data)
    model.provenance = {
        "run": began(layout.provenance),
        "recipe": config.recipe.model_dump(mode="json"),
        "seed": config.seed,
        "initial": config.initial,
        task.headline: task.first(result.evaluation),
        "validation_images": len(data.val),
        "sittings": public_sittings(layout.provenance),
    }
    model.save_pretrained(layout.model)
    found = task.scores(result.evaluation, data)
    write_text(layout.scores, json.dumps(_without_nan(found), indent=2) + "\n")
    checks = {check.step: check for check in result.checks}
    rows = (
        {"step": step, "loss": loss, **(task.row(checks[step]) if step in checks else {})}
        for step, loss in enumerate(result.losses, 1)
    )
    write_csv(layout.curve, task.curve, rows)


def _without_nan(value: Any) -> Any:
    """JSON has no nan: null stands for what cannot be said."""
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
