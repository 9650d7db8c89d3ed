"""Mixup and cutmix: images of a batch, mixed with their labels.

Which of the two a batch gets, and how, is a function of (seed, step), so that processes that share
a batch mix alike. The partner of an image is half a batch further on: of a batch whose n images
processes deal among them, every p-th each, that is half a part further on where 2p divides n, and
so the same image whatever the number of processes.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from .recipe import ClassificationRecipe, Recipe
from .seeds import mixed_seed

MIXING_SEED = 4
"""Tells how batches are mixed from what else is drawn from a seed."""


def soft_labels(labels: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """Distributions over classes, (B, num_classes) float32, of labels (B,).

    All classes share `smoothing` alike, and the label has the rest (Szegedy et al., "Rethinking the
    Inception Architecture", CVPR 2016, section 7).
    """
    exact = nn.functional.one_hot(labels, num_classes).float()
    return exact * (1 - smoothing) + smoothing / num_classes


class Way(Protocol):
    """How images (B, 3, H, W) and targets (B, num_classes) are mixed with those of partners."""

    def __call__(
        self, images: Tensor, targets: Tensor, share: float, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mixes by a share, 0 to 1, that remains of each image."""


def check_partners(recipe: Recipe, num_processes: int) -> None:
    """Refuses batches whose images would have partners that depend on the number of processes.

    Args:
        recipe: For classification.
        num_processes: Who shares each batch.

    Raises:
        ValueError: It mixes, and processes would not have halves that are alike.
    """
    how = recipe.classification
    mixes = how is not None and (how.mixup or how.cutmix)
    if mixes and num_processes > 1 and recipe.batch_size % (2 * num_processes):
        raise ValueError(
            f"batch_size must be a multiple of {2 * num_processes} for mixup or cutmix by"
            f" {num_processes} processes, each of which mixes halves of its part; got"
            f" {recipe.batch_size}; give another, or another number of workers"
        )


class Mixing:
    """Mixes batches by mixup or cutmix, either as likely as the other where a recipe has both.

    Sources: Zhang et al., "mixup", ICLR 2018; Yun et al., "CutMix", ICCV 2019; one of them a batch:
    Touvron et al., "Training data-efficient image transformers", ICML 2021.

    Args:
        recipe: Parameters of the beta distributions that shares are drawn from.
        seed: Of the draws.
    """

    def __init__(self, recipe: ClassificationRecipe, seed: int) -> None:
        ways: tuple[tuple[Way, float], ...] = ((mixup, recipe.mixup), (cutmix, recipe.cutmix))
        self._ways = [(way, alpha) for way, alpha in ways if alpha]
        self._seed = seed

    def __call__(self, images: Tensor, targets: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step, mixed.

        Args:
            images: This process's part, (B, 3, H, W); changed in place by cutmix.
            targets: (B, num_classes) distributions.
            step: Number of the step, from 0.

        Returns:
            Images and targets, of the shapes they came in.
        """
        if not self._ways:
            return images, targets
        rng = np.random.default_rng(mixed_seed(self._seed, MIXING_SEED, step))
        way, alpha = self._ways[rng.integers(len(self._ways))]
        return way(images, targets, float(rng.beta(alpha, alpha)), rng)


def mixup(
    images: Tensor,
    targets: Tensor,
    share: float,
    rng: np.random.Generator,  # noqa: ARG001
) -> tuple[Tensor, Tensor]:
    """Each image and target by `share`, and its partner's by the rest."""
    return images.lerp(_partners(images), 1 - share), targets.lerp(_partners(targets), 1 - share)


def cutmix(
    images: Tensor, targets: Tensor, share: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Puts into each image, in place, a rectangle of its partner; targets by what is seen of each.

    The rectangle has the image's aspect, about the share `1 - share` of its area, and its centre
    anywhere; what would stick out is cut off.
    """
    rows, columns = images.shape[2:]
    top, bottom = _span(rows, share, rng)
    left, right = _span(columns, share, rng)
    box = (slice(None), slice(None), slice(top, bottom), slice(left, right))
    images[box] = _partners(images[box])
    covered = (bottom - top) * (right - left) / (rows * columns)
    return images, targets.lerp(_partners(targets), covered)


def _partners(values: Tensor) -> Tensor:
    """Of each image what is half a part further on, (B, ...)."""
    return values.roll(-(len(values) // 2), 0)


def _span(side: int, share: float, rng: np.random.Generator) -> tuple[int, int]:
    length = side * math.sqrt(1 - share)
    first = rng.uniform(0, side) - length / 2
    return max(0, round(first)), min(side, round(first + length))
