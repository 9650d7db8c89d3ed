"""Batches of normalised tensors from images that have one class each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .batches import Batch, NamedSample, Samples, batches_of, shuffled
from .config import ImageAugmentConfig
from .image_transforms import augment_image
from .images import ImageSplit


def train_image_batches(
    split: ImageSplit,
    *,
    batch_size: int,
    num_steps: int,
    seed: int,
    augment: ImageAugmentConfig,
    start_step: int = 0,
    num_workers: int = 0,
    part: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Yields images (B, 3, h, w) and labels (B,) of steps `start_step` to `num_steps - 1`.

    Arguments and order are those of `train_batches`: sample n of a run is a pure function of the
    seed and n.

    Raises:
        DataError: A file is damaged.
    """
    samples = _TrainImages(split, num_samples=num_steps * batch_size, seed=seed, config=augment)
    return batches_of(samples, range(start_step, num_steps), batch_size, num_workers, part)


def val_image_batches(
    split: ImageSplit, *, batch_size: int, num_workers: int = 0
) -> Iterator[Batch]:
    """Yields every image of a split once, in order; the last batch may be short.

    Raises:
        DataError: A file is damaged, or the images of a batch differ in size.
    """
    samples = _WholeImages(split)
    return batches_of(samples, range(-(-len(split) // batch_size)), batch_size, num_workers)


class _WholeImages(Samples):
    def __init__(self, split: ImageSplit) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split)

    def sample(self, n: int) -> NamedSample:
        image, label = self.split.load(n)
        return self.split.name(n), (image, np.int64(label))


class _TrainImages(Samples):
    def __init__(
        self, split: ImageSplit, *, num_samples: int, seed: int, config: ImageAugmentConfig
    ) -> None:
        self.split = split
        self.num_samples = num_samples
        self.seed = seed
        self.config = config

    def __len__(self) -> int:
        return self.num_samples

    def sample(self, n: int) -> NamedSample:
        index = shuffled(n, self.seed, len(self.split))
        image, label = self.split.load(index)
        rng = np.random.default_rng([self.seed, 1, n])
        augmented = augment_image(image, self.config, rng)
        return self.split.name(index), (augmented, np.int64(label))
