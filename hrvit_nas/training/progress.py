"""How far a training has come, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import torch

from ..evaluation import ClassificationScores, Evaluation

LossT = TypeVar("LossT")
CheckT = TypeVar("CheckT")
ScoresT = TypeVar("ScoresT", Evaluation, ClassificationScores)


class TrainingFailedError(RuntimeError):
    """The loss or the gradient became infinite or not a number.

    Attributes:
        step: The step (from 0) at which it did.
        loss: The loss of that step.
        gradient_norm: Norm of all gradients of that step, before clipping.
    """

    def __init__(self, step: int, loss: float, gradient_norm: float) -> None:
        super().__init__(step, loss, gradient_norm)
        self.step = step
        self.loss = loss
        self.gradient_norm = gradient_norm

    def __str__(self) -> str:
        return (
            f"training failed at step {self.step}: loss {self.loss},"
            f" gradient norm {self.gradient_norm}; both must be finite"
        )


@dataclass(frozen=True, kw_only=True)
class NetworkCheck(Generic[ScoresT]):
    """Scores of a network on its way.

    Attributes:
        step: Optimiser steps done.
        evaluation: Scores of the weights themselves.
        averaged: Scores of their moving average; None without averaging.
        seconds: Wall-clock time of training and evaluation up to here, over all sittings.
    """

    step: int
    evaluation: ScoresT
    averaged: ScoresT | None
    seconds: float

    @property
    def best(self) -> ScoresT:
        """Scores of the averaged weights where there are such, else of the weights."""
        return self.evaluation if self.averaged is None else self.averaged

    def to_plain(self) -> list[Any]:
        """Tensors and plain data."""
        averaged = None if self.averaged is None else _packed(self.averaged)
        return [self.step, _packed(self.evaluation), averaged, self.seconds]

    @classmethod
    def from_plain(cls, plain: list[Any]) -> NetworkCheck[ScoresT]:
        """What `to_plain` gave."""
        step, evaluation, averaged, seconds = plain
        return cls(
            step=step,
            evaluation=_unpacked(evaluation),
            averaged=None if averaged is None else _unpacked(averaged),
            seconds=seconds,
        )


Check: TypeAlias = NetworkCheck[Evaluation]
ClassificationCheck: TypeAlias = NetworkCheck[ClassificationScores]


class StepLoss(NamedTuple):
    """Losses of one step of a supernet, mean over processes.

    Attributes:
        largest: Cross entropy of the largest subnet.
        others: Mean loss of the other subnets, distillation included.
    """

    largest: float
    others: float


class SupernetCheck(NamedTuple):
    """Scores of a supernet on its way, after BN recalibration.

    Attributes:
        step: Optimiser steps done.
        largest_miou: mIoU (fraction) of the largest subnet.
        smallest_miou: mIoU (fraction) of the smallest.
        seconds: Wall-clock time of training and evaluation up to here, over all sittings.
    """

    step: int
    largest_miou: float
    smallest_miou: float
    seconds: float

    def to_plain(self) -> list[Any]:
        """Plain data."""
        return list(self)

    @classmethod
    def from_plain(cls, plain: list[Any]) -> SupernetCheck:
        """What `to_plain` gave."""
        return cls(*plain)


@dataclass
class Progress(Generic[LossT, CheckT]):
    """How far a training has come.

    Attributes:
        losses: Of every step done, in order; steps undone by a return are not in it.
        checks: Scores on the way, in order.
        returns: Steps (from 0) at which training had collapsed and was taken back.
        seconds: Wall-clock time of training and evaluation, over all sittings.
    """

    losses: list[LossT] = field(default_factory=list)
    checks: list[CheckT] = field(default_factory=list)
    returns: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)

    def to_plain(self) -> dict[str, Any]:
        """Tensors and plain data, as a checkpoint holds them; losses are (steps,) or (steps, n)."""
        return {
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "checks": [check.to_plain() for check in self.checks],  # type: ignore[attr-defined]
            "returns": list(self.returns),
            "seconds": self.seconds,
        }


PlainProgress: TypeAlias = Progress[float, Check]
ClassificationProgress: TypeAlias = Progress[float, ClassificationCheck]
SupernetProgress: TypeAlias = Progress[StepLoss, SupernetCheck]


def network_progress(plain: dict[str, Any]) -> Progress[float, NetworkCheck[ScoresT]]:
    """What `to_plain` gave of the training of one network."""
    checks = [NetworkCheck[ScoresT].from_plain(check) for check in plain["checks"]]
    return Progress(plain["losses"].tolist(), checks, list(plain["returns"]), plain["seconds"])


def supernet_progress(plain: dict[str, Any]) -> SupernetProgress:
    """What `to_plain` gave of a supernet's training."""
    losses = [StepLoss(*row) for row in plain["losses"].tolist()]
    checks = [SupernetCheck.from_plain(check) for check in plain["checks"]]
    return Progress(losses, checks, list(plain["returns"]), plain["seconds"])


def _packed(scores: Evaluation | ClassificationScores) -> tuple[Any, ...]:
    if isinstance(scores, ClassificationScores):
        return tuple(scores)
    confusion, boundary = torch.from_numpy(scores.confusion), torch.from_numpy(scores.boundary)
    return confusion, boundary, scores.cross_entropy


def _unpacked(packed: tuple[Any, ...]) -> Any:
    first, second, cross_entropy = packed
    if isinstance(first, torch.Tensor):
        return Evaluation(first.numpy(), second.numpy(), cross_entropy)
    return ClassificationScores(first, second, cross_entropy)
