"""The supernet of a run: how a worker trains its part of it, and scores members with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..arch import ArchSpec
from ..data import SegmentationData, load_data
from ..execution import Executor
from ..models import Segmentor, Supernet, build_supernet, extract
from ..results import write_csv
from ..training import (
    MemberScorer,
    SupernetProgress,
    load_supernet,
    save_supernet,
    train_supernet,
)
from ..training.loop import recalibration_batches
from .config import ConfigError, SearchConfig
from .evaluators import TRAINING_DIR
from .folder import CURVE_NAME, STEPS_NAME, SUPERNET_NAME

CURVE_COLUMNS = ("step", "largest_loss", "others_loss", "largest_miou", "smallest_miou")
"""Columns of `supernet.csv`: steps (count), losses (nats), mIoU (fraction) where it was scored."""


CHECKPOINT_SECONDS = 15.0
"""Seconds of a supernet's training that a crash can cost."""


@dataclass(frozen=True)
class Step:
    """Where the training of a supernet stands.

    Attributes:
        done: Optimiser steps done.
        steps: Optimiser steps in all.
        largest_loss: Cross entropy of the largest member at the last step, in nats.
        others_loss: Mean loss of the others.
        returns: How often training had collapsed and was taken back.
    """

    done: int
    steps: int
    largest_loss: float
    others_loss: float
    returns: int


def build_from(config: SearchConfig, num_classes: int) -> Supernet:
    """The supernet of a run, untrained, the same on every worker."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return build_supernet(
            config.load_space(), num_classes, drop_path_rate=config.recipe.drop_path_rate
        )


def ensure_supernet(
    directory: Path,
    config: SearchConfig,
    num_classes: int,
    executor: Executor,
    observer: Callable[[Step | None], None],
) -> None:
    """Trains the supernet of a directory, or what is left of it to train.

    Args:
        directory: Where it lies, or will.
        config: The search that it is for.
        num_classes: Classes of the data set.
        executor: What trains it, within its session.
        observer: Told now and then how far training is.

    Raises:
        ConfigError: The training collapsed too often, or its workers kept dying.
    """
    if (directory / SUPERNET_NAME).exists():
        if (directory / TRAINING_DIR / STEPS_NAME).exists():  # it was stopped just before
            finish_training(directory, config, num_classes)
        return
    resources = config.resources
    shared = {
        "run_dir": str(directory.resolve()),
        "config": config.model_dump(mode="json"),
        "threads": resources.cpus_per_trial,
        "device": "cuda" if resources.gpus_per_trial else "cpu",
        "checkpoint_seconds": CHECKPOINT_SECONDS,
    }
    try:
        executor.run_group(
            train_part,
            shared,
            config.recipe.batch_size,
            lambda: observer(last_step(directory)),
        )
    except RuntimeError as error:  # collapsed too often, or its workers kept dying
        raise ConfigError(f"the supernet's training failed: {error}") from error
    finish_training(directory, config, num_classes)


def train_part(shared: Mapping[str, Any]) -> None:
    """Trains the supernet of a run, as one of the processes of an initialised process group.

    The first process writes the checkpoint that a later sitting goes on from, a line a step for
    whoever watches, and in the end the supernet.

    Args:
        shared: `run_dir`, `config` (plain data), `threads`, `device`, `checkpoint_seconds`.
    """
    torch.set_num_threads(shared["threads"])
    config = SearchConfig.model_validate(shared["config"])
    run_dir = Path(shared["run_dir"])
    if not run_dir.is_dir():
        raise ConfigError(f"run directory {run_dir} is not there; put it on shared storage")
    data = load_data(config.data)
    supernet = build_from(config, data.num_classes)
    folder = run_dir / TRAINING_DIR
    folder.mkdir(exist_ok=True)
    with (folder / STEPS_NAME).open("a", encoding="utf-8") as lines:

        def note(progress: SupernetProgress) -> None:
            step = Step(
                progress.step, config.supernet.steps, *progress.losses[-1], len(progress.returns)
            )
            lines.write(json.dumps(vars(step)) + "\n")
            lines.flush()

        progress = train_supernet(
            supernet,
            data,
            config.recipe,
            config.supernet,
            cost=config.cost_of,
            seed=config.seed,
            device=shared["device"],
            checkpoint=folder / SUPERNET_NAME,
            checkpoint_seconds=shared["checkpoint_seconds"],
            on_step=note,
        )
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        save_supernet(run_dir / SUPERNET_NAME, supernet, progress)


def last_step(run_dir: Path) -> Step | None:
    """Where training stands, as far as a whole line says; None before its first step."""
    path = run_dir / TRAINING_DIR / STEPS_NAME
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = [line for line in file.read().split(b"\n")[:-1] if line.endswith(b"}")]
        return Step(**json.loads(lines[-1])) if lines else None
    except (OSError, ValueError, TypeError):
        return None


def finish_training(run_dir: Path, config: SearchConfig, num_classes: int) -> SupernetProgress:
    """Writes the loss curve, and removes what only training needed."""
    progress = load_supernet(run_dir / SUPERNET_NAME, build_from(config, num_classes))
    scored = {check.step: check for check in progress.checks}
    write_csv(
        run_dir / CURVE_NAME,
        CURVE_COLUMNS,
        (
            {
                "step": step,
                "largest_loss": loss.largest,
                "others_loss": loss.others,
                "largest_miou": scored[step].largest_miou if step in scored else "",
                "smallest_miou": scored[step].smallest_miou if step in scored else "",
            }
            for step, loss in enumerate(progress.losses, start=1)
        ),
    )
    folder = run_dir / TRAINING_DIR
    # The steps last: as long as they are there, this is not done.
    for path in (*folder.glob(f"*{SUPERNET_NAME}*"), folder / STEPS_NAME):
        path.unlink(missing_ok=True)
    return progress


def load_scorer(
    run_dir: Path, config: SearchConfig, data: SegmentationData, device: str
) -> tuple[MemberScorer, int]:
    """What scores members with a run's supernet, and the steps that this was trained for."""
    supernet = build_from(config, data.num_classes)
    progress = load_supernet(run_dir / SUPERNET_NAME, supernet)
    supernet.to(device)
    scorer = MemberScorer(supernet, data, config.recipe, config.supernet, torch.device(device))
    return scorer, progress.step


def extract_member(
    run_dir: Path, config: SearchConfig, data: SegmentationData, spec: ArchSpec
) -> Segmentor:
    """A member of a run's supernet as a network of its own, on the CPU and in eval mode.

    Its batch statistics are estimated as they were when the run scored it.

    Args:
        run_dir: Run directory, with its `supernet.pt`.
        config: The run's configuration.
        data: Its data set.
        spec: The member.

    Raises:
        ConfigError: The run has no supernet.
        CheckpointError: Its file is corrupt, or of another space or number of classes.
        SpaceError: The architecture is not a member of the run's space.
    """
    path = run_dir / SUPERNET_NAME
    if not path.is_file():
        raise ConfigError(f"{run_dir} has no {SUPERNET_NAME}; a search by trials trains none")
    supernet = build_from(config, data.num_classes)
    load_supernet(path, supernet)
    device = torch.device("cpu")
    count = config.supernet.calibration_batches
    supernet.calibrate(spec, recalibration_batches(data, config.recipe, count, device))
    return extract(supernet, spec).eval()
