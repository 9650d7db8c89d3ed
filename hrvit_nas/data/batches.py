"""Batches of normalised tensors from a split.

Images come as float32 (B, 3, h, w) in channels-last memory, labels as int64: (B, h, w) of masks,
(B,) of whole images (`image_batches`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .config import AugmentConfig
from .labels import DataError
from .splits import Array8, Split
from .transforms import DEVIATION, MEAN, augment

Batch = tuple[Tensor, Tensor]
Labelled = tuple[Array8, Array8 | np.int64]
NamedSample = tuple[str, Labelled]
"""What errors call a sample, its image, and its mask, or the label of the whole."""


class TrainBatches(Protocol):
    """`train_batches`, or what else makes the batches of a training, of one split."""

    def __call__(
        self,
        *,
        batch_size: int,
        num_steps: int,
        seed: int,
        start_step: int,
        num_workers: int,
        part: tuple[int, int],
    ) -> Iterator[Batch]:
        """See `train_batches`."""


def train_batches(
    split: Split,
    *,
    batch_size: int,
    num_steps: int,
    seed: int,
    augment: AugmentConfig,
    start_step: int = 0,
    num_workers: int = 0,
    part: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Yields the augmented batches of steps `start_step` to `num_steps - 1`.

    Sample n of a run (batch n // batch_size) is a pure function of the seed and n, whatever the
    number of workers and wherever the run starts: every len(split) samples are a fresh
    permutation of the split, and batches run on from one permutation into the next.

    Args:
        split: Where the samples come from.
        batch_size: Samples a batch.
        num_steps: Batches of the whole run.
        seed: Seed of the order and of the augmentation.
        augment: The random transforms.
        start_step: First batch to yield; batches before it cost nothing.
        num_workers: Processes that prepare batches; 0 prepares them in this one.
        part: (rank, parts): yields every parts-th sample of each batch, from the rank-th on.

    Raises:
        DataError: A file is damaged, or the images of a batch differ in size.
    """
    samples = TrainSamples(
        partial(_named, split),
        len(split),
        num_steps * batch_size,
        seed,
        partial(_augmented, augment),
    )
    return batches_of(samples, range(start_step, num_steps), batch_size, num_workers, part)


def val_batches(split: Split, *, batch_size: int, num_workers: int = 0) -> Iterator[Batch]:
    """Yields every sample of a split once, whole and in order; the last batch may be short.

    Raises:
        DataError: As `train_batches`.
    """
    samples = WholeSamples(partial(_named, split), len(split))
    return batches_of(samples, range(-(-len(split) // batch_size)), batch_size, num_workers)


class Samples(Dataset[NamedSample | DataError], ABC):
    """Samples by number, with their names.

    An error is handed on as a value: raised in a worker, it would reach the user as a
    traceback inside a message.
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def sample(self, n: int) -> NamedSample:
        """Sample n."""

    def __getitem__(self, n: int) -> NamedSample | DataError:
        try:
            return self.sample(n)
        except DataError as error:
            return error


class WholeSamples(Samples):
    """The samples of a split, as they are, in order.

    Args:
        load: Reads a sample by its index.
        length: How many there are.
    """

    def __init__(self, load: Callable[[int], NamedSample], length: int) -> None:
        self.load, self.length = load, length

    def __len__(self) -> int:
        return self.length

    def sample(self, n: int) -> NamedSample:
        """See `Samples`."""
        return self.load(n)


class TrainSamples(Samples):
    """The samples of a run, shuffled anew each epoch and augmented: functions of the seed and n.

    Args:
        load: Reads a sample of the split by its index.
        length: How many the split has.
        num_samples: How many the run has.
        seed: Of the order and of what is drawn.
        augment: Given an image, its label and what is drawn from, those that are trained on.
    """

    def __init__(
        self,
        load: Callable[[int], NamedSample],
        length: int,
        num_samples: int,
        seed: int,
        augment: Callable[[Array8, Any, np.random.Generator], Labelled],
    ) -> None:
        self.load, self.length, self.num_samples = load, length, num_samples
        self.seed, self.augment = seed, augment

    def __len__(self) -> int:
        return self.num_samples

    def sample(self, n: int) -> NamedSample:
        """See `Samples`."""
        name, (image, label) = self.load(_shuffled(n, self.seed, self.length))
        return name, self.augment(image, label, np.random.default_rng([self.seed, 1, n]))


def _named(split: Split, index: int) -> NamedSample:
    return split.names[index], split.load(index)


def _augmented(
    config: AugmentConfig, image: Array8, labels: Array8, rng: np.random.Generator
) -> Labelled:
    return augment(image, labels, config, rng)


def _shuffled(n: int, seed: int, length: int) -> int:
    """Which of `length` samples is the n-th of a run: each once an epoch, in a fresh order."""
    epoch, position = divmod(n, length)
    return int(_permutation(seed, epoch, length)[position])


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, length: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, 0, epoch]).permutation(length)


def batches_of(
    samples: Samples,
    steps: range,
    batch_size: int,
    num_workers: int,
    part: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Batches by number; the other arguments are those of `train_batches`.

    Raises:
        DataError: As `train_batches`.
    """
    rank, parts = part
    loader = DataLoader(
        samples,
        batch_sampler=(
            list(range(step * batch_size + rank, min((step + 1) * batch_size, len(samples)), parts))
            for step in steps
        ),
        num_workers=num_workers,
        collate_fn=_collate,
        # Without a generator of its own, a loader draws from torch's global one.
        generator=torch.Generator(),
    )
    for batch in loader:
        if isinstance(batch, DataError):
            raise batch
        yield batch


def _collate(items: list[NamedSample | DataError]) -> Batch | DataError:
    """Stacks and normalises: (h, w, 3) images, seen as (3, h, w), are channels-last already."""
    named: list[NamedSample] = []
    for item in items:
        if isinstance(item, DataError):
            return item
        named.append(item)
    samples = [sample for _, sample in named]
    (first, (first_image, _)) = named[0]
    for name, (image, _) in named:
        if image.shape != first_image.shape:
            return DataError(
                "images of one batch differ in size:"
                f" {first} has {_text(first_image.shape[:2])} pixels,"
                f" {name} has {_text(image.shape[:2])}; set image_size (or, to train, crop_size)"
            )
    targets = torch.from_numpy(np.stack([labels for _, labels in samples]))
    return normalised(np.stack([image for image, _ in samples])), targets.long()


def normalised(
    images: NDArray[np.uint8],
    mean: tuple[float, ...] = MEAN,
    deviation: tuple[float, ...] = DEVIATION,
) -> Tensor:
    """Images (B, h, w, 3) as networks take them: float32 (B, 3, h, w), channels last in memory."""
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)
    means, deviations = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, deviation))
    return batch.float().sub_(means).div_(deviations)


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape)
