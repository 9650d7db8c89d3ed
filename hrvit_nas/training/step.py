"""What a step of training does with a batch: the one thing in which kinds of training differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, Protocol

from torch import Tensor, nn

from .progress import CheckT, LossT, Progress


class Passed(NamedTuple):
    """What came of the passes of a step, of this process's part of the batch.

    Averaged over processes, each is that of the whole batch.

    Attributes:
        losses: (n,) float32, detached.
        apart: Gradients that do not stand at their parameters, for `combine`.
    """

    losses: Tensor
    apart: Sequence[Tensor | None] = ()


class Step(ABC, Generic[LossT, CheckT]):
    """A kind of step. The loop does what is around it: batches, rates, updates, files.

    Attributes:
        kind: Its name in checkpoints.
        read_every: Steps between two readings of the losses; each makes the CPU wait for a GPU.
        model: What is trained, on its device.
        about: What a run must share with a checkpoint, beside data, recipe and seed.
    """

    kind: ClassVar[str]
    read_every: ClassVar[int]
    model: nn.Module
    about: dict[str, Any]

    @abstractmethod
    def batch_seed(self, seed: int, attempt: int) -> int:
        """Seed of the batches after so many returns."""

    @abstractmethod
    def noise(self, attempt: int, rank: int) -> tuple[int, ...]:
        """Numbers that seed dropout and stochastic depth, beside the seed and the step."""

    @abstractmethod
    def backward(self, images: Tensor, labels: Tensor, step: int, attempt: int) -> Passed:
        """Passes a batch forward and backward, and adds to the parameters' gradients.

        Args:
            images: (B, 3, H, W) on the device, channels last.
            labels: (B, H, W) int64 on the device, or (B,) of whole images.
            step: Number of the step, from 0.
            attempt: How often training has been taken back.
        """

    def combine(self, apart: Sequence[Tensor | None]) -> None:
        """Makes the gradient of the update, in place, once all are averaged over processes."""

    @abstractmethod
    def loss(self, row: Sequence[float]) -> LossT:
        """The losses of a step, off the device."""

    @abstractmethod
    def progress(self, plain: dict[str, Any]) -> Progress[LossT, CheckT]:
        """What a checkpoint says of how far training had come."""


class Checker(Protocol[CheckT]):  # type: ignore[misc]
    """Scores what is trained, in the first process."""

    def check(self, step: int, seconds: Callable[[], float]) -> CheckT:
        """Scores after so many steps; `seconds` is asked once they are known."""


class Guard(Protocol[LossT, CheckT]):
    """Sees a training collapse and takes it back; its states are what a checkpoint holds."""

    def rate(self, returns: int) -> float:
        """Factor of the learning rate after so many returns."""

    def has_collapsed(self, progress: Progress[LossT, CheckT]) -> bool:
        """Whether the last step's losses, or scores had after it, say so."""

    def start(self, state: dict[str, Any]) -> None:
        """Returns to this state until there is a later one."""

    def keep(self, step: int, state: Callable[[], dict[str, Any]]) -> None:
        """Keeps the state after some step, where it is time to."""

    def take_back(self, progress: Progress[LossT, CheckT]) -> dict[str, Any]:
        """The state to go on from after a collapse at the last step; it is the caller's own.

        Raises:
            TrainingFailedError: Training has collapsed too often.
        """

    def state_dict(self) -> dict[str, Any]:
        """The states that it holds."""

    def load_state_dict(self, states: dict[str, Any]) -> None:
        """Puts back what `state_dict` gave."""
