"""A step of a supernet: several of its subnets on one batch.

Method: the sandwich rule and in-place distillation of Yu et al., "BigNAS" (ECCV 2020): each step
passes the largest subnet, the smallest and some random ones on one batch, and all but the largest
learn from its predictions, too. Each subnet normalises by its own batch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from ..arch import ArchSpec
from ..data import SegmentationData
from ..evaluation import mixed_precision
from ..models import Supernet
from ..space.by_cost import CostOf, CostStrata
from .losses import BatchLoss
from .processes import Processes
from .progress import StepLoss, SupernetCheck, SupernetProgress, supernet_progress
from .recipe import Recipe, SupernetRecipe
from .scoring import Ends
from .seeds import mixed_seed
from .step import Passed, Step


class SandwichStep(Step[StepLoss, SupernetCheck]):
    """The largest subnet, the smallest and random ones; subnets are functions of (seed, step).

    Args:
        supernet: On `device`.
        data: What its labels mean.
        recipe: Of batches and classes.
        plan: Which subnets, and what they learn from.
        ends: The largest and the smallest.
        cost: Cost that the random ones are drawn evenly over.
        seed: Of the draws.
        device: Where to run.
        processes: Who shares a batch.
    """

    kind = "sandwich"
    read_every = 1  # a collapse is seen, and taken back, at its step

    def __init__(
        self,
        supernet: Supernet,
        data: SegmentationData,
        recipe: Recipe,
        plan: SupernetRecipe,
        ends: Ends,
        cost: CostOf,
        seed: int,
        device: torch.device,
        processes: Processes,
    ) -> None:
        self.model = self._supernet = supernet
        self._recipe, self._plan, self._ends = recipe, plan, ends
        self._seed, self._device, self._processes = seed, device, processes
        self._cross_entropy = BatchLoss(data, recipe, device, processes)
        self._draw = supernet.space.sample
        if plan.sampling == "cost":
            rng = Random(mixed_seed(seed, 0))
            self._draw = CostStrata(supernet.space, cost, ends, rng).sample
        self._parameters = list(supernet.parameters())
        self.about = {
            **{f"supernet.{name}": value for name, value in plan.model_dump(mode="json").items()},
            "space": _digest(supernet.space.to_dict()),
        }

    def batch_seed(self, seed: int, attempt: int) -> int:
        """See `Step`."""
        return mixed_seed(seed, 1, attempt)

    def noise(self, attempt: int, rank: int) -> tuple[int, ...]:
        """See `Step`."""
        return attempt, rank

    def backward(self, images: Tensor, labels: Tensor, step: int, attempt: int) -> Passed:
        """See `Step`; with conflicts to project, the largest subnet's gradients stand apart."""
        largest, *others = self._subnets(step, attempt)
        # Shares of the whole batch: of its labelled pixels, and of its images.
        share = self._cross_entropy.share(labels)
        of_images = images.shape[0] * self._processes.count / self._recipe.batch_size

        logits = self._logits(images, largest)
        loss = share * self._cross_entropy(logits, labels)
        loss.backward()
        losses = [loss.detach()]
        teacher = nn.functional.log_softmax(logits.detach().float(), 1)
        firsts = self._taken_gradients() if self._plan.project_conflicts else []
        for spec in others:
            logits = self._logits(images, spec)
            loss = self._distilled(logits, labels, teacher, share, of_images)
            loss.backward()
            losses.append(loss.detach())
        return Passed(torch.stack([losses[0], torch.stack(losses[1:]).mean()]), firsts)

    def combine(self, apart: Sequence[Tensor | None]) -> None:
        """See `Step`; the mean over the subnets, conflicts projected away."""
        if apart:
            rest = [parameter.grad for parameter in self._parameters]
            for parameter, grad in zip(self._parameters, projected_sum(apart, rest), strict=True):
                parameter.grad = grad
        num_subnets = 2 + self._plan.random_subnets
        for parameter in self._parameters:
            if parameter.grad is not None:
                parameter.grad /= num_subnets

    def loss(self, row: Sequence[float]) -> StepLoss:
        """See `Step`."""
        return StepLoss(*row)

    def progress(self, plain: dict[str, Any]) -> SupernetProgress:
        """See `Step`."""
        return supernet_progress(plain)

    def _subnets(self, step: int, attempt: int) -> list[ArchSpec]:
        """The subnets of a step, the largest first."""
        rng = Random(mixed_seed(self._seed, 2, step, attempt))
        drawn = [self._draw(rng) for _ in range(self._plan.random_subnets)]
        return [self._ends.largest, self._ends.smallest, *drawn]

    def _logits(self, images: Tensor, spec: ArchSpec) -> Tensor:
        with mixed_precision(self._device):
            logits: Tensor = self._supernet(images, spec)
        return logits

    def _distilled(
        self,
        logits: Tensor,
        labels: Tensor,
        teacher: Tensor,
        share: Tensor | float,
        of_images: float,
    ) -> Tensor:
        """Cross entropy with the labels and divergence from the teacher, each by its share."""
        distillation = self._plan.distillation
        loss = logits.new_zeros(())
        if distillation < 1:
            loss = (1 - distillation) * share * self._cross_entropy(logits, labels)
        if distillation > 0:
            student = nn.functional.log_softmax(logits.float(), 1)
            divergence = nn.functional.kl_div(student, teacher, reduction="sum", log_target=True)
            loss = loss + distillation * of_images * divergence / labels.numel()
        return loss

    def _taken_gradients(self) -> list[Tensor | None]:
        """The gradients so far, which are then gone from the parameters."""
        taken = [parameter.grad for parameter in self._parameters]
        for parameter in self._parameters:
            parameter.grad = None
        return taken


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


def _digest(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]
