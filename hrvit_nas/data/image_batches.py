"""Batches of normalised tensors from images that have one class each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from .batches import Batch, Labelled, NamedSample, TrainSamples, WholeSamples, batches_of
from .config import ImageAugmentConfig
from .image_transforms import augment_image
from .images import ImageSplit
from .splits import Array8


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
    samples = TrainSamples(
        partial(_named, split),
        len(split),
        num_steps * batch_size,
        seed,
        partial(_augmented, augment),
    )
    return batches_of(samples, range(start_step, num_steps), batch_size, num_workers, part)


def val_image_batches(
    split: ImageSplit, *, batch_size: int, num_workers: int = 0
) -> Iterator[Batch]:
    """Yields every image of a split once, in order; the last batch may be short.

    Raises:
        DataError: A file is damaged, or the images of a batch differ in size.
    """
    samples = WholeSamples(partial(_named, split), len(split))
    return batches_of(samples, range(-(-len(split) // batch_size)), batch_size, num_workers)


def _named(split: ImageSplit, index: int) -> NamedSample:
    image, label = split.load(index)
    return split.name(index), (image, np.int64(label))


def _augmented(
    config: ImageAugmentConfig, image: Array8, label: np.int64, rng: np.random.Generator
) -> Labelled:
    return augment_image(image, config, rng), label
