"""A supernet of a run: how a worker trains its part of it, and scores subnets with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..arch import ArchSpec
from ..data import SegmentationData, load_data
from ..execution import Executor, Resources
from ..models import Segmentor, Supernet, build_supernet, extract
from ..results import write_csv
from ..training import (
    SubnetScorer,
    SupernetProgress,
    load_supernet,
    recalibration_batches,
    save_supernet,
    train_supernet,
)
from .config_parts import ConfigError, SupernetPlan
from .layout import RunLayout

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
        largest_loss: Cross entropy of the largest subnet at the last step, in nats.
        others_loss: Mean loss of the others.
        returns: How often training had collapsed and was taken back.
    """

    done: int
    steps: int
    largest_loss: float
    others_loss: float
    returns: int


def build_from(plan: SupernetPlan, num_classes: int) -> Supernet:
    """The supernet of a plan, untrained, the same on every worker."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        return build_supernet(
            plan.load_space(), num_classes, drop_path_rate=plan.recipe.drop_path_rate
        )


def ensure_supernet(
    layout: RunLayout,
    plan: SupernetPlan,
    resources: Resources,
    executor: Executor,
    num_classes: int,
    observer: Callable[[Step | None], None],
) -> None:
    """Trains a supernet, or what is left of it to train.

    Args:
        layout: Where it lies, or will.
        plan: All that its training depends on.
        resources: What each process that trains it asks for.
        executor: What runs them, within its session.
        num_classes: Classes of the data set.
        observer: Told now and then how far training is.

    Raises:
        ConfigError: The training collapsed too often, or its workers kept dying.
    """
    layout.directory.mkdir(exist_ok=True)
    if layout.supernet.exists():
        if layout.supernet_steps.exists():  # it was stopped just before
            finish_training(layout, plan, num_classes)
        return
    shared = {
        "directory": str(layout.directory.resolve()),
        "plan": plan.model_dump(mode="json"),
        "threads": resources.cpus_per_trial,
        "device": "cuda" if resources.gpus_per_trial else "cpu",
        "checkpoint_seconds": CHECKPOINT_SECONDS,
    }
    try:
        executor.run_group(
            train_part, shared, plan.recipe.batch_size, lambda: observer(last_step(layout))
        )
    except RuntimeError as error:  # collapsed too often, or its workers kept dying
        raise ConfigError(f"the supernet's training failed: {error}") from error
    finish_training(layout, plan, num_classes)


def train_part(shared: Mapping[str, Any]) -> None:
    """Trains a supernet, alone or as one of the processes of an initialised process group.

    The first process writes the checkpoint that a later sitting goes on from, a line a step for
    whoever watches, and in the end the supernet.

    Args:
        shared: `directory`, `plan` (plain data), `threads`, `device`, `checkpoint_seconds`.
    """
    torch.set_num_threads(shared["threads"])
    plan = SupernetPlan.model_validate(shared["plan"])
    layout = RunLayout(Path(shared["directory"]))
    if not layout.directory.is_dir():
        raise ConfigError(f"{layout.directory} is not there; put it on shared storage")
    data = load_data(plan.data)
    supernet = build_from(plan, data.num_classes)
    layout.training.mkdir(exist_ok=True)
    with layout.supernet_steps.open("a", encoding="utf-8") as lines:

        def note(progress: SupernetProgress) -> None:
            step = Step(
                progress.step, plan.supernet.steps, *progress.losses[-1], len(progress.returns)
            )
            lines.write(json.dumps(vars(step)) + "\n")
            lines.flush()

        progress = train_supernet(
            supernet,
            data,
            plan.recipe,
            plan.supernet,
            cost=plan.cost_of,
            seed=plan.seed,
            device=shared["device"],
            checkpoint=layout.supernet_training,
            checkpoint_seconds=shared["checkpoint_seconds"],
            on_step=note,
        )
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        save_supernet(layout.supernet, supernet, progress)


def last_step(layout: RunLayout) -> Step | None:
    """Where training stands, as far as a whole line says; None before its first step."""
    path = layout.supernet_steps
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = [line for line in file.read().split(b"\n")[:-1] if line.endswith(b"}")]
        return Step(**json.loads(lines[-1])) if lines else None
    except (OSError, ValueError, TypeError):
        return None


def finish_training(layout: RunLayout, plan: SupernetPlan, num_classes: int) -> SupernetProgress:
    """Writes the loss curve, and removes what only training needed."""
    progress = load_supernet(layout.supernet, build_from(plan, num_classes))
    scored = {check.step: check for check in progress.checks}
    write_csv(
        layout.supernet_curve,
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
    name = layout.supernet_training.name
    # The steps last: as long as they are there, this is not done.
    for path in (*layout.training.glob(f"*{name}*"), layout.supernet_steps):
        path.unlink(missing_ok=True)
    return progress


def load_scorer(
    layout: RunLayout, plan: SupernetPlan, data: SegmentationData, device: str
) -> tuple[SubnetScorer, int]:
    """What scores subnets with a trained supernet, and the steps that this was trained for."""
    supernet = build_from(plan, data.num_classes)
    progress = load_supernet(layout.supernet, supernet)
    supernet.to(device)
    scorer = SubnetScorer(supernet, data, plan.recipe, plan.supernet, torch.device(device))
    return scorer, progress.step


def extract_subnet(
    layout: RunLayout, plan: SupernetPlan, data: SegmentationData, spec: ArchSpec
) -> Segmentor:
    """A subnet of a trained supernet as a network of its own, on the CPU and in eval mode.

    Its batch statistics are estimated as they were when the run scored it.

    Args:
        layout: Where the supernet lies.
        plan: How it was trained.
        data: Its data set.
        spec: The subnet.

    Raises:
        ConfigError: There is no supernet.
        CheckpointError: Its file is corrupt, or of another space or number of classes.
        SpaceError: The architecture is not in its space.
    """
    if not layout.supernet.is_file():
        raise ConfigError(f"{layout.directory} has no {layout.supernet.name}")
    supernet = build_from(plan, data.num_classes)
    load_supernet(layout.supernet, supernet)
    device = torch.device("cpu")
    count = plan.supernet.recalibration_batches
    supernet.recalibrate_bn(spec, recalibration_batches(data, plan.recipe, count, device))
    return extract(supernet, spec).eval()
