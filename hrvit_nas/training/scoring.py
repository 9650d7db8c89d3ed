"""What happens when a training is checked, and how subnets are scored."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Generic, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..arch import ArchSpec
from ..data import SegmentationData, Selection, val_batches
from ..evaluation import Evaluation, InheritedScores, evaluate, mixed_precision, score_inherited
from ..evaluation.inherited import inherited_subnet
from ..models import Supernet, recalibrate
from .progress import NetworkCheck, ScoresT, SupernetCheck
from .recipe import Recipe, SupernetRecipe


class Ends(NamedTuple):
    """The cheapest and the dearest subnet of a space that were found."""

    smallest: ArchSpec
    largest: ArchSpec


def recalibration_batches(
    data: SegmentationData, recipe: Recipe, count: int, device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """The fixed batches that batch statistics are estimated from: whole training images."""
    if not count:
        return []
    chosen = Selection(split=data.train, count=count * recipe.eval_batch_size)
    return [
        (images.to(device), labels)
        for images, labels in val_batches(chosen, batch_size=recipe.eval_batch_size)
    ]


def evaluate_on_val(
    model: nn.Module, data: SegmentationData, recipe: Recipe, device: torch.device
) -> Evaluation:
    """Scores a network on the validation set, as the recipe says."""
    return evaluate(
        model,
        val_batches(data.val, batch_size=recipe.eval_batch_size, num_workers=recipe.num_workers),
        num_classes=data.num_classes,
        ignore_index=data.ignore_index,
        device=device,
        window=recipe.eval_window,
        stride=recipe.eval_stride,
    )


class NetworkChecker(Generic[ScoresT]):
    """Scores a network, and the moving average of its weights.

    Args:
        model: What is trained.
        average: Its moving average, where there is one.
        score: Scores a network on the validation set.
    """

    def __init__(
        self,
        model: nn.Module,
        average: AveragedModel | None,
        score: Callable[[nn.Module], ScoresT],
    ) -> None:
        self._model, self._average = model, average
        self._score: Callable[[nn.Module], ScoresT] = score

    def check(self, step: int, seconds: Callable[[], float]) -> NetworkCheck[ScoresT]:
        """Scores after so many steps; `seconds` is asked once they are known."""
        scores = self._score(self._model)
        averaged = None if self._average is None else self._score(self._average.module)
        return NetworkCheck(step=step, evaluation=scores, averaged=averaged, seconds=seconds())


class NetworkScorer:
    """Scores a segmentor on the validation set, after BN recalibration where a recipe asks for it.

    Args:
        data: Whose training images recalibrate and whose validation images score.
        recipe: How.
        device: Where to run.
    """

    def __init__(self, data: SegmentationData, recipe: Recipe, device: torch.device) -> None:
        self._data, self._recipe, self._device = data, recipe, device

    @cached_property
    def _recalibration(self) -> list[tuple[Tensor, Tensor]]:
        count = self._recipe.recalibration_batches
        return recalibration_batches(self._data, self._recipe, count, self._device)

    def __call__(self, network: nn.Module) -> Evaluation:
        """Scores of a network."""
        if self._recalibration:
            with mixed_precision(self._device):
                recalibrate(network, self._recalibration)
        return evaluate_on_val(network, self._data, self._recipe, self._device)


class SubnetScorer:
    """Scores subnets of a trained supernet, one after the other.

    Args:
        supernet: Already on `device`.
        data: Whose training images recalibrate and whose validation images score.
        recipe: How the validation set is scored.
        plan: How many batches recalibrate.
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
        self._recalibration = recalibration_batches(
            data, recipe, plan.recalibration_batches, device
        )

    def score(self, spec: ArchSpec) -> InheritedScores:
        """Scores of a subnet before and after BN recalibration."""
        return score_inherited(
            self._supernet, spec, self._recalibration, self._evaluate, self._device
        )

    def subnet(self, spec: ArchSpec) -> nn.Module:
        """A subnet on the shared weights, in eval mode, without BN recalibration."""
        return inherited_subnet(self._supernet, spec)

    def _evaluate(self, model: nn.Module) -> Evaluation:
        return evaluate_on_val(model, self._data, self._recipe, self._device)


class EndsChecker:
    """Scores the largest and the smallest subnet of a supernet.

    Args:
        make_scorer: Makes what scores subnets, at the first check.
        ends: Which they are.
    """

    def __init__(self, make_scorer: Callable[[], SubnetScorer], ends: Ends) -> None:
        self._make_scorer, self._ends = make_scorer, ends

    @cached_property
    def _scorer(self) -> SubnetScorer:
        return self._make_scorer()

    def check(self, step: int, seconds: Callable[[], float]) -> SupernetCheck:
        """Scores after so many steps; `seconds` is asked once they are known."""
        largest = self._scorer.score(self._ends.largest).after.miou
        smallest = self._scorer.score(self._ends.smallest).after.miou
        return SupernetCheck(step, largest, smallest, seconds())
