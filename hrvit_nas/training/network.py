"""Training of one network, which sees each batch once: what kinds of such training share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..models.blocks import Blocks
from ..models.layers import TokenBatchNorm
from .loop import Job, Training
from .processes import Processes
from .progress import NetworkCheck, Progress, ScoresT, network_progress
from .recipe import Recipe
from .scoring import NetworkChecker
from .step import Passed, Step


@dataclass(frozen=True, kw_only=True)
class NetworkResult(Generic[ScoresT]):
    """What came of a training run.

    Attributes:
        losses: Training loss of every step, in order.
        checks: Scores on the validation set, in order; never empty.
    """

    losses: tuple[float, ...]
    checks: tuple[NetworkCheck[ScoresT], ...]

    @property
    def evaluation(self) -> ScoresT:
        """The scores after the last step, of the averaged weights where there are such."""
        return self.checks[-1].best

    @property
    def seconds(self) -> float:
        """Wall-clock time of training and evaluation, over all sittings."""
        return self.checks[-1].seconds

    @property
    def steps(self) -> int:
        """Steps done."""
        return len(self.losses)


class Loss(Protocol):
    """The loss of a batch that processes may share, whose parts are not of one weight."""

    def __call__(self, logits: Tensor, targets: Tensor, /) -> Tensor:
        """Mean over this process's part, ()."""

    def amount(self, targets: Tensor, /) -> Tensor:
        """What the loss of these targets is a mean over, ()."""

    def share(self, targets: Tensor, /) -> Tensor | float:
        """This part's share of what the loss of the whole batch is a mean over."""


class NetworkStep(Step[float, NetworkCheck[ScoresT]]):
    """One network, by its loss on the batch.

    Args:
        model: The network.
        recipe: In how many parts a batch is passed.
        loss: Of a batch.
    """

    read_every = 16

    def __init__(self, model: nn.Module, recipe: Recipe, loss: Loss) -> None:
        self.model, self.about = model, {}
        self._loss, self._parts = loss, recipe.accumulation_steps

    def batch_seed(self, seed: int, attempt: int) -> int:  # noqa: ARG002
        """See `Step`."""
        return seed

    def noise(self, attempt: int, rank: int) -> tuple[int, ...]:  # noqa: ARG002
        """See `Step`; of one process none, as of every version."""
        return (rank,) if rank else ()

    def backward(
        self,
        images: Tensor,
        labels: Tensor,
        step: int,
        attempt: int,  # noqa: ARG002
    ) -> Passed:
        """See `Step`."""
        images, targets = self.prepared(images, labels, step)
        share = self._loss.share(targets)
        if self._parts == 1:
            return Passed(self._pass(images, targets, share)[None])
        amount = self._loss.amount(targets).clamp(min=1)
        losses = [
            self._pass(*part, share * (self._loss.amount(part[1]) / amount))
            for part in zip(
                images.tensor_split(self._parts), targets.tensor_split(self._parts), strict=True
            )
        ]
        return Passed(torch.stack(losses).sum()[None])

    def _pass(self, images: Tensor, targets: Tensor, share: Tensor | float) -> Tensor:
        """Passes images forward and backward; their loss, (), by their share of the batch's."""
        loss = share * self.mean_loss(images, targets)
        loss.backward()
        return loss.detach()

    def prepared(self, images: Tensor, labels: Tensor, step: int) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """A batch as it is passed: its images, and what the network is to say of them."""
        return images, labels

    @abstractmethod
    def mean_loss(self, images: Tensor, targets: Tensor) -> Tensor:
        """Passes images forward; the mean loss of them, ()."""

    def loss(self, row: Sequence[float]) -> float:
        """See `Step`."""
        (loss,) = row
        return loss

    def progress(self, plain: dict[str, Any]) -> Progress[float, NetworkCheck[ScoresT]]:
        """See `Step`."""
        return network_progress(plain)


def fit(
    step: NetworkStep[ScoresT],
    job: Job[float, NetworkCheck[ScoresT]],
    processes: Processes,
    score: Callable[[nn.Module], ScoresT],
) -> NetworkResult[ScoresT]:
    """Trains a network in place.

    It is moved to the job's device and left there, in training mode, with the averaged weights
    where the recipe averages.

    Args:
        step: What a step does, and the network.
        job: On what, and how.
        processes: Who trains it.
        score: Scores a network on the validation set.

    Raises:
        TrainingFailedError: Loss or gradient became non-finite.
        CheckpointError: The checkpoint is corrupt or of another run.
        ValueError: Model, data and recipe do not fit each other.
    """
    model, recipe = step.model, job.recipe
    model.to(job.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.train()
    set_techniques(model, recipe)
    average = moving_average(model, recipe.weight_averaging) if recipe.weight_averaging else None
    checker = NetworkChecker(model, average, score)
    progress = Training(step, job, processes, checker, average=average).run()
    if average is not None:
        model.load_state_dict(average.module.state_dict())
    set_techniques(model, Recipe())
    return NetworkResult(losses=tuple(progress.losses), checks=tuple(progress.checks))


def set_techniques(model: nn.Module, recipe: Recipe) -> None:
    """Tells a network's parts whether they keep what they compute, and what they normalise by."""
    for module in model.modules():
        if isinstance(module, TokenBatchNorm):
            module.synchronised = recipe.sync_batch_norm
        elif isinstance(module, Blocks):
            module.gradient_checkpointing = recipe.gradient_checkpointing


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """A moving average of weights and buffers; over the first steps it is nearly a plain mean."""

    @torch.no_grad()
    def blend(averaged: Any, current: Any, count: Any) -> None:  # tensors of one type at a time
        if averaged[0].is_floating_point():
            share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
            torch._foreach_lerp_(averaged, current, share)
        else:  # how many batches a norm has seen
            torch._foreach_copy_(averaged, current)

    return AveragedModel(model, multi_avg_fn=blend, use_buffers=True)
