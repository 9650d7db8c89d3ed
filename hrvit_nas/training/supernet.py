"""Training of a weight-sharing supernet, on one process or several.

Method: the sandwich rule and in-place distillation of Yu et al., "BigNAS" (ECCV 2020): each step
passes the largest member, the smallest and some random ones on one batch, and all but the largest
learn from its predictions, too. Each member normalises by its own batch. Gradients of several
processes are averaged, each of which sees a part of every batch.

Batches and members are functions of (seed, step) and the number of returns alone, so that a run
that resumes sees what it would have seen.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn

from ..arch import ArchSpec
from ..data import SegmentationData, train_batches
from ..evaluation import Evaluation, InheritedScores, mixed_precision, score_inherited
from ..evaluation.inherited import inherited_member
from ..models import Supernet
from ..space.by_cost import CostOf, CostStrata, extreme_member
from .checkpoint import CheckpointError, read_state, write_state
from .loop import (
    TrainingFailedError,
    class_weights,
    evaluate_on_val,
    mixed_seed,
    recalibration_batches,
    run_identity,
    seed_generators,
    segmentation_loss,
)
from .optimizer import build_optimizer, clip_gradients, set_learning_rate
from .recipe import Recipe, SupernetRecipe

FORMAT = "hrvit_nas.supernet/1"
GOOD_STEPS = 50
"""Steps between two states that a collapsed training can return to; the last but one is taken."""
CLIFF_STEPS = 16
"""Steps whose mean loss is compared with the lowest such mean so far."""
CLIFF_LOSS = 2.0
"""Times the lowest mean loss at which training counts as collapsed."""
CLIFF_MIOU = 0.5
"""Share of the best mIoU of the largest member below which training counts as collapsed."""
MAX_RETURNS = 3
RETURN_RATE = 0.5
"""Factor of the learning rate after each return."""


class StepLoss(NamedTuple):
    """Losses of one step, mean over processes.

    Attributes:
        largest: Cross entropy of the largest member.
        others: Mean loss of the other members, distillation included.
    """

    largest: float
    others: float


class SupernetCheck(NamedTuple):
    """Scores on the way, after calibration.

    Attributes:
        step: Optimiser steps done.
        largest_miou: mIoU (fraction) of the largest member.
        smallest_miou: mIoU (fraction) of the smallest.
        seconds: Wall time of training so far, over all sittings.
    """

    step: int
    largest_miou: float
    smallest_miou: float
    seconds: float


@dataclass
class SupernetProgress:
    """How far the training of a supernet has come.

    Attributes:
        losses: Of every step done, in order; steps undone by a return are not in it.
        checks: Scores on the way.
        returns: Steps at which training had collapsed and was taken back.
        seconds: Wall time, over all sittings.
    """

    losses: list[StepLoss] = field(default_factory=list)
    checks: list[SupernetCheck] = field(default_factory=list)
    returns: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)


class Ends(NamedTuple):
    """The cheapest and the dearest member of a space that were found."""

    smallest: ArchSpec
    largest: ArchSpec


def find_ends(supernet: Supernet, cost: CostOf) -> Ends:
    """The smallest and the largest member of a supernet's space, the same at every call."""
    space = supernet.space
    return Ends(
        extreme_member(space, cost, Random(0), largest=False),
        extreme_member(space, cost, Random(0), largest=True),
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
        cost: Cost that members are drawn evenly over, and that the ends are the ends of.
        seed: Of batches, members, dropout and stochastic depth.
        device: Where to run; on a GPU in bfloat16 autocast.
        checkpoint: File to resume from where it exists, and to write to.
        checkpoint_seconds: Seconds between two checkpoints.
        on_step: Called after each step, in the first process only.

    Raises:
        TrainingFailedError: Training collapsed more often than it may return.
        CheckpointError: The checkpoint is corrupt or of another run.
        ValueError: The recipe asks for what a supernet has not.
    """
    return _Training(
        supernet, data, recipe, plan, cost, seed, torch.device(device), checkpoint
    ).run(checkpoint_seconds, on_step)


class MemberScorer:
    """Scores members of a trained supernet, one after the other.

    Args:
        supernet: Already on `device`.
        data: Whose training images calibrate and whose validation images score.
        recipe: How the validation set is scored.
        plan: How many batches calibrate.
        device: Where to run.
    """

    def __init__(
        self,
        supernet: Supernet,
        data: SegmentationData,
        recipe: Recipe,
        plan: SupernetRecipe,
        device: torch.device,
    ) -> None:
        self._supernet = supernet
        self._data = data
        self._recipe = recipe
        self._device = device
        self._calibration = recalibration_batches(data, recipe, plan.calibration_batches, device)

    def score(self, spec: ArchSpec) -> InheritedScores:
        """Scores of a member before and after calibration."""
        return score_inherited(
            self._supernet, spec, self._calibration, self._evaluate, self._device
        )

    def member(self, spec: ArchSpec) -> nn.Module:
        """A member on the shared weights, in eval mode, not calibrated."""
        return inherited_member(self._supernet, spec)

    def _evaluate(self, model: nn.Module) -> Evaluation:
        return evaluate_on_val(model, self._data, self._recipe, self._device)


def save_supernet(path: Path, supernet: Supernet, progress: SupernetProgress) -> None:
    """Writes weights and progress, readable with `torch.load(weights_only=True)`."""
    weights = {name: tensor.cpu() for name, tensor in supernet.state_dict().items()}
    state = {"format": FORMAT, "model": weights, "progress": _plain(progress)}
    write_state(path, {**state, "space": supernet.space.to_dict()})


def read_progress(path: Path) -> SupernetProgress:
    """How the supernet in a file was trained.

    Raises:
        CheckpointError: The file is corrupt, or no supernet.
    """
    return _progress(read_state(path, FORMAT, None)["progress"])


def load_supernet(path: Path, supernet: Supernet) -> SupernetProgress:
    """Puts trained weights into a supernet of the same space, its largest choices at least.

    That data and limits are those it was trained with is the caller's affair.

    Raises:
        CheckpointError: The file is corrupt, or of another space or number of classes.
    """
    state = read_state(path, FORMAT, None)
    if fault := _unlike(state.get("space"), supernet.space.to_dict()):
        raise CheckpointError(f"supernet {path} is of another space: {fault}")
    _load_weights(path, supernet, state)
    return _progress(state["progress"])


class _Training:
    """One sitting of a training."""

    def __init__(
        self,
        supernet: Supernet,
        data: SegmentationData,
        recipe: Recipe,
        plan: SupernetRecipe,
        cost: CostOf,
        seed: int,
        device: torch.device,
        checkpoint: Path | None,
    ) -> None:
        for name in ("weight_averaging", "tied_initialisation"):
            if getattr(recipe, name):
                raise ValueError(f"a supernet's recipe must leave {name} off")
        warmup = min(recipe.warmup_steps, plan.steps - 1)
        evaluations = min(plan.evaluations, plan.steps)
        self._recipe = recipe.model_copy(
            update={
                **{"steps": plan.steps, "stop_after": None},
                **{"warmup_steps": warmup, "evaluations": evaluations},
            }
        )
        self._supernet = supernet.to(device)
        supernet.train()
        self._data, self._plan, self._seed = data, plan, seed
        self._device, self._checkpoint = device, checkpoint
        self._ends = find_ends(supernet, cost)
        self._strata = (
            CostStrata(supernet.space, cost, self._ends, Random(mixed_seed(seed, 0)))
            if plan.sampling == "cost"
            else None
        )
        self._optimizer = build_optimizer(supernet, self._recipe)
        self._about = {
            **run_identity(data, self._recipe, seed),
            **{f"supernet.{k}": v for k, v in plan.model_dump(mode="json").items()},
            "space": _digest(supernet.space.to_dict()),
        }
        self._weights = (
            class_weights(data, recipe.class_weighting).to(device)
            if recipe.class_weighting
            else None
        )
        self._grouped = distributed.is_available() and distributed.is_initialized()
        self._rank = distributed.get_rank() if self._grouped else 0
        self._world = distributed.get_world_size() if self._grouped else 1
        if recipe.batch_size < self._world:
            raise ValueError(
                f"batch_size must be at least the number of processes, {self._world},"
                f" got {recipe.batch_size}"
            )
        self._parameters = list(supernet.parameters())
        self._progress = SupernetProgress()
        self._scorer: MemberScorer | None = None

    def run(
        self, checkpoint_seconds: float, on_step: Callable[[SupernetProgress], None] | None
    ) -> SupernetProgress:
        if self._checkpoint is not None and self._checkpoint.exists():
            self._resume(self._checkpoint)
        started = time.perf_counter() - self._progress.seconds
        saved = time.perf_counter()
        good = candidate = self._state()
        check_steps = set(self._recipe.evaluation_steps)
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            while self._progress.step < self._plan.steps:
                attempt = len(self._progress.returns)
                for images, labels in self._batches():
                    step = self._progress.step
                    loss = self._step(step, attempt, images, labels)
                    self._progress.losses.append(loss)
                    self._progress.seconds = time.perf_counter() - started
                    done = step + 1
                    if done in check_steps:
                        self._check()
                    if self._has_collapsed():
                        self._return(good, step, loss)
                        break
                    if done % GOOD_STEPS == 0:
                        # What was taken last may already be on its way down.
                        good, candidate = candidate, self._state()
                    if self._rank == 0:
                        due = time.perf_counter() - saved >= checkpoint_seconds
                        if due or done in check_steps:
                            self._save()
                            saved = time.perf_counter()
                        if on_step is not None:
                            on_step(self._progress)
        return self._progress

    def _batches(self) -> Any:
        return train_batches(
            self._data.train,
            batch_size=self._recipe.batch_size,
            num_steps=self._plan.steps,
            start_step=self._progress.step,
            seed=mixed_seed(self._seed, 1, len(self._progress.returns)),
            augment=self._recipe.augment,
            num_workers=self._recipe.num_workers,
            part=(self._rank, self._world),
        )

    def _members(self, step: int, attempt: int) -> list[ArchSpec]:
        """The members of a step, the largest first."""
        rng = Random(mixed_seed(self._seed, 2, step, attempt))
        draw = self._supernet.space.sample if self._strata is None else self._strata.sample
        return [
            self._ends.largest,
            self._ends.smallest,
            *(draw(rng) for _ in range(self._plan.random_members)),
        ]

    def _step(self, step: int, attempt: int, images: Tensor, labels: Tensor) -> StepLoss:
        seed_generators(self._seed, step, self._device, attempt, self._rank)
        set_learning_rate(self._optimizer, step, self._recipe)
        for group in self._optimizer.param_groups:
            group["lr"] *= RETURN_RATE**attempt
        images = images.to(self._device, memory_format=torch.channels_last)
        labels = labels.to(self._device)
        self._optimizer.zero_grad()
        largest, *others = self._members(step, attempt)
        with mixed_precision(self._device):
            logits = self._supernet(images, largest)
        # Parts of a batch can differ by an image, and count by their images.
        share = images.shape[0] * self._world / self._recipe.batch_size
        loss = share * self._cross_entropy(logits, labels)
        loss.backward()
        teacher = nn.functional.log_softmax(logits.detach().float(), 1)
        firsts = self._taken_gradients() if self._plan.project_conflicts else None
        losses = [loss.detach()]
        for spec in others:
            with mixed_precision(self._device):
                logits = self._supernet(images, spec)
            loss = share * self._member_loss(logits, labels, teacher)
            loss.backward()
            losses.append(loss.detach())
        report = torch.stack([losses[0], torch.stack(losses[1:]).mean()])
        self._average([report])
        self._finish_gradients(firsts, len(losses))
        norm = clip_gradients(self._parameters, self._recipe.clip_norm)
        result = StepLoss(*report.tolist())
        if math.isfinite(sum(result)) and math.isfinite(float(norm)):
            self._optimizer.step()
        else:
            result = StepLoss(math.nan, math.nan)
        return result

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        return segmentation_loss(logits, labels, self._data.ignore_index, self._weights)

    def _member_loss(self, logits: Tensor, labels: Tensor, teacher: Tensor) -> Tensor:
        share = self._plan.distillation
        loss = logits.new_zeros(())
        if share < 1:
            loss = (1 - share) * self._cross_entropy(logits, labels)
        if share > 0:
            student = nn.functional.log_softmax(logits.float(), 1)
            divergence = nn.functional.kl_div(student, teacher, reduction="sum", log_target=True)
            loss = loss + share * divergence / labels.numel()
        return loss

    # Gradients

    def _taken_gradients(self) -> list[Tensor | None]:
        """The gradients so far, which are then gone from the parameters."""
        taken = [parameter.grad for parameter in self._parameters]
        for parameter in self._parameters:
            parameter.grad = None
        return taken

    def _finish_gradients(self, firsts: list[Tensor | None] | None, num_members: int) -> None:
        """Averages gradients over processes and members, conflicts projected away."""
        self._average([p.grad for p in self._parameters if p.grad is not None])
        if firsts is not None:
            self._average([grad for grad in firsts if grad is not None])
            rest = [parameter.grad for parameter in self._parameters]
            for parameter, grad in zip(self._parameters, projected_sum(firsts, rest), strict=True):
                parameter.grad = grad
        for parameter in self._parameters:
            if parameter.grad is not None:
                parameter.grad /= num_members

    def _average(self, tensors: Sequence[Tensor]) -> None:
        """Averages tensors over all processes, in place; every process has the same shapes."""
        if self._world == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        flat /= self._world
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    # Checks, collapse, checkpoints

    def _check(self) -> None:
        """Scores the ends; every process learns of it, since it may show a collapse."""
        scores = torch.zeros(2, dtype=torch.float64, device=self._device)
        if self._rank == 0:
            if self._scorer is None:
                self._scorer = MemberScorer(
                    self._supernet, self._data, self._recipe, self._plan, self._device
                )
            for i, spec in enumerate((self._ends.largest, self._ends.smallest)):
                scores[i] = self._scorer.score(spec).after.miou
        if self._grouped:
            distributed.broadcast(scores, 0)
        largest, smallest = scores.tolist()
        progress = self._progress
        progress.checks.append(SupernetCheck(progress.step, largest, smallest, progress.seconds))

    def _has_collapsed(self) -> bool:
        losses = [loss.largest for loss in self._progress.losses]
        if not math.isfinite(losses[-1]):
            return True
        checks = self._progress.checks
        if checks and checks[-1].step == len(losses):
            best = max(check.largest_miou for check in checks)
            if checks[-1].largest_miou < CLIFF_MIOU * best:
                return True
        if len(losses) < 2 * CLIFF_STEPS:
            return False
        means = [
            sum(losses[i : i + CLIFF_STEPS]) / CLIFF_STEPS
            for i in range(0, len(losses) - CLIFF_STEPS, CLIFF_STEPS)
        ]
        return sum(losses[-CLIFF_STEPS:]) / CLIFF_STEPS > CLIFF_LOSS * min(means)

    def _return(self, good: dict[str, Any], step: int, loss: StepLoss) -> None:
        """Goes back to the last good state, with a lower rate, other batches and members."""
        returns = [*self._progress.returns, step]
        if len(returns) > MAX_RETURNS:
            raise TrainingFailedError(step, loss.largest, math.nan)
        self._restore(deepcopy(good))
        self._progress.returns = returns

    def _state(self) -> dict[str, Any]:
        # A copy: what is trained on goes on changing.
        return deepcopy(
            {
                "model": {k: v.cpu() for k, v in self._supernet.state_dict().items()},
                "optimizer": self._optimizer.state_dict(),
                "progress": _plain(self._progress),
            }
        )

    def _restore(self, state: dict[str, Any]) -> None:
        self._supernet.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        seconds = self._progress.seconds
        self._progress = _progress(state["progress"])
        self._progress.seconds = max(seconds, self._progress.seconds)

    def _save(self) -> None:
        if self._checkpoint is not None:
            write_state(self._checkpoint, {"format": FORMAT, "run": self._about, **self._state()})

    def _resume(self, path: Path) -> None:
        state = read_state(path, FORMAT, self._about)
        _load_weights(path, self._supernet, state)
        self._restore(state)


def projected_sum(
    firsts: Sequence[Tensor | None], others: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Sum of two gradients; where they conflict, the second loses its part against the first.

    Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, algorithm 1, one way.

    Args:
        firsts: A tensor a parameter; None = no gradient.
        others: The same.
    """
    pairs = [(a, b) for a, b in zip(firsts, others, strict=True) if a is not None and b is not None]
    product = sum(float((a * b).sum()) for a, b in pairs)
    square = sum(float((a * a).sum()) for a in firsts if a is not None)
    share = product / square if product < 0 and square > 0 else 0.0
    total: list[Tensor | None] = []
    for a, b in zip(firsts, others, strict=True):
        if a is None:
            total.append(b)
        else:
            total.append(a * (1 - share) if b is None else a * (1 - share) + b)
    return total


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


def _digest(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def _plain(progress: SupernetProgress) -> dict[str, Any]:
    return {
        "losses": [list(loss) for loss in progress.losses],
        "checks": [list(check) for check in progress.checks],
        "returns": list(progress.returns),
        "seconds": progress.seconds,
    }


def _progress(plain: dict[str, Any]) -> SupernetProgress:
    return SupernetProgress(
        losses=[StepLoss(*loss) for loss in plain["losses"]],
        checks=[SupernetCheck(*check) for check in plain["checks"]],
        returns=list(plain["returns"]),
        seconds=plain["seconds"],
    )


def _load_weights(path: Path, supernet: Supernet, state: dict[str, Any]) -> None:
    try:
        supernet.load_state_dict(state["model"])
    except RuntimeError as error:
        raise CheckpointError(
            f"the supernet in {path} does not fit: its number of classes differs, or the largest"
            " sizes of its space do"
        ) from error
