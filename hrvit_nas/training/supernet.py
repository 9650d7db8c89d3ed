"""Training of a weight-sharing supernet, and the file that a trained one is kept in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch

from ..data import SegmentationData, train_batches
from ..models import Supernet
from ..space.by_cost import CostOf, extreme_arch
from ..space.genes import Target
from .batches import check_batches
from .checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from .collapse import CollapseGuard
from .loop import Job, Training
from .processes import Processes
from .progress import SupernetProgress, supernet_progress
from .recipe import Recipe, SupernetRecipe, not_of_supernets
from .sandwich import SandwichStep
from .scoring import Ends, EndsChecker, SubnetScorer


def find_ends(supernet: Supernet, cost: CostOf) -> Ends:
    """The smallest and the largest subnet of a supernet's space, the same at every call."""
    space = supernet.space
    return Ends(
        extreme_arch(space, cost, Random(0), largest=False),
        extreme_arch(space, cost, Random(0), largest=True),
    )


def train_supernet(
    supernet: Supernet,
    data: SegmentationData,
    recipe: Recipe,
    plan: SupernetRecipe,
    *,
    cost: CostOf,
    seed: int,
    device: str | torch.device = "cpu",
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 30.0,
    on_step: Callable[[SupernetProgress], None] | None = None,
) -> SupernetProgress:
    """Trains a supernet in place.

    Where `torch.distributed` is initialised, all its processes must call this alike: each takes
    its part of every batch, and the first writes the checkpoint, which all read.

    Args:
        supernet: What to train; moved to `device` and left in training mode.
        data: Training and validation split.
        recipe: Of batches and optimiser; its steps are those of `plan`.
        plan: What is the supernet's own.
        cost: Cost that subnets are drawn evenly over, and that the ends are the ends of.
        seed: Of batches, subnets, dropout and stochastic depth.
        device: Where to run; on a GPU in bfloat16 autocast.
        checkpoint: File to resume from where it exists, and to write to.
        checkpoint_seconds: Seconds between two checkpoints.
        on_step: Called after each step, in the first process only.

    Raises:
        TrainingFailedError: Training collapsed more often than it may return.
        CheckpointError: The checkpoint is corrupt or of another run.
        ValueError: The recipe asks for what a supernet has not, or a process has fewer images of a
            batch than some head needs.
    """
    recipe = _recipe_of(recipe, plan)
    device, processes = torch.device(device), Processes()
    kinds = supernet.space.values_at(Target("head_kind"))
    recalibrated = {"recalibration_batches": plan.recalibration_batches}
    check_batches(
        map(str, kinds),
        recipe.model_copy(update=recalibrated),
        len(data.train),
        processes.count,
    )
    supernet.to(device).train()
    ends = find_ends(supernet, cost)
    job = Job(
        data=data,
        batches=partial(train_batches, data.train, augment=recipe.augment),
        recipe=recipe,
        seed=seed,
        device=device,
        checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds,
        on_step=on_step,
    )
    step = SandwichStep(supernet, data, recipe, plan, ends, cost, seed, device, processes)
    checker = EndsChecker(lambda: SubnetScorer(supernet, data, recipe, plan, device), ends)
    return Training(step, job, processes, checker, guard=CollapseGuard()).run()


def _recipe_of(recipe: Recipe, plan: SupernetRecipe) -> Recipe:
    """A recipe with the steps of a plan.

    Raises:
        ValueError: It asks for what a supernet has not.
    """
    for name in not_of_supernets(recipe):
        raise ValueError(f"a supernet's recipe must leave {name} off")
    changes = {
        "steps": plan.steps,
        "stop_after": None,
        "warmup_steps": min(recipe.warmup_steps, plan.steps - 1),
        "evaluations": min(plan.evaluations, plan.steps),
    }
    return recipe.model_copy(update=changes)


def save_supernet(path: Path, supernet: Supernet, progress: SupernetProgress) -> None:
    """Writes weights and progress, for `load_supernet`."""
    weights = {name: tensor.cpu() for name, tensor in supernet.state_dict().items()}
    state = {"model": weights, "progress": progress.to_plain(), "space": supernet.space.to_dict()}
    write_checkpoint(path, SandwichStep.kind, state)


def read_progress(path: Path) -> SupernetProgress:
    """How the supernet in a file was trained.

    Raises:
        CheckpointError: The file is corrupt, or no supernet.
    """
    return supernet_progress(read_checkpoint(path, SandwichStep.kind)["progress"])


def load_supernet(path: Path, supernet: Supernet) -> SupernetProgress:
    """Puts trained weights into a supernet of the same space, its largest choices at least.

    That data and limits are those it was trained with is the caller's affair.

    Raises:
        CheckpointError: The file is corrupt, or of another space or number of classes.
    """
    state = read_checkpoint(path, SandwichStep.kind)
    try:
        fault = _unlike(state.get("space"), supernet.space.to_dict())
        model, progress = state["model"], supernet_progress(state["progress"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"the supernet in {path} is damaged; delete it to train it anew"
        ) from error
    if fault:
        raise CheckpointError(f"supernet {path} is of another space: {fault}")
    try:
        supernet.load_state_dict(model)
    except RuntimeError as error:
        raise CheckpointError(
            f"the supernet in {path} does not fit: its number of classes differs, or the largest"
            " sizes of its space do"
        ) from error
    return progress


def _unlike(trained: Any, wanted: dict[str, Any]) -> str:
    """Why weights that were trained for a space do not do for another; empty where they do.

    Limits do not matter, and neither do choices that are no longer wanted.
    """
    if not isinstance(trained, dict):
        return "it does not say which"
    if trained["base"] != wanted["base"]:
        return "its base differs"
    there = {gene["name"]: gene for gene in trained["genes"]}
    for gene in wanted["genes"]:
        name = gene["name"]
        if name not in there or there[name]["field"] != gene["field"]:
            return f"gene {name!r} is not in it"
        if more := [choice for choice in gene["choices"] if choice not in there[name]["choices"]]:
            return f"gene {name!r} was not trained at {more[0]!r}"
    return ""
