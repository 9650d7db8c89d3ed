"""Random transforms of an image that has one class: pure functions of (image, config, rng)."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from .config import ImageAugmentConfig
from .rand_augment import rand_augment
from .splits import Array8

_DRAWS = 10
_ERASED_AREA = (0.02, 0.4)
"""Bounds of the share of an image that is erased (Zhong et al., AAAI 2020, section 4.2)."""
_ERASED_ASPECT = (0.3, 1 / 0.3)

Box = tuple[int, int, int, int]
"""Top, left, height and width, in pixels."""


def augment_image(image: Array8, config: ImageAugmentConfig, rng: np.random.Generator) -> Array8:
    """Applies all transforms of a configuration.

    Args:
        image: (H, W, 3).
        config: Which.
        rng: What is drawn from.

    Returns:
        An image (h, w, 3) of the configured crop size.
    """
    top, left, height, width = _crop_box((image.shape[0], image.shape[1]), config, rng)
    part = Image.fromarray(image[top : top + height, left : left + width])
    part = part.resize(config.crop_size[::-1], Image.Resampling.BICUBIC)
    if rng.random() < config.flip:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if config.rand_augment is not None:
        part = rand_augment(part, config.rand_augment, rng)
    augmented = np.array(part)
    if rng.random() < config.erasing:
        erase(augmented, rng)
    return augmented


def _crop_box(size: tuple[int, int], config: ImageAugmentConfig, rng: np.random.Generator) -> Box:
    """A random part by area and aspect (Szegedy et al., CVPR 2015, section 6).

    An image so long that none fits gives the largest part around its centre that has an aspect
    within the bounds.
    """
    if (box := random_box(size, config.area, config.aspect, rng)) is not None:
        return box
    height, width = size
    low, high = config.aspect
    aspect = min(max(width / height, low), high)
    inner = min(height, round(width / aspect)), min(width, round(height * aspect))
    return (height - inner[0]) // 2, (width - inner[1]) // 2, *inner


def random_box(
    size: tuple[int, int],
    area: tuple[float, float],
    aspect: tuple[float, float],
    rng: np.random.Generator,
) -> Box | None:
    """A random rectangle inside an image; None where none of ten that are drawn fits.

    Args:
        size: Height and width of the image, in pixels.
        area: Bounds of the rectangle's share of it.
        aspect: Bounds of its width over its height, drawn evenly over their logarithm.
        rng: What is drawn from.
    """
    for _ in range(_DRAWS):
        pixels = rng.uniform(*area) * size[0] * size[1]
        ratio = math.exp(rng.uniform(math.log(aspect[0]), math.log(aspect[1])))
        height, width = round(math.sqrt(pixels / ratio)), round(math.sqrt(pixels * ratio))
        if 0 < height <= size[0] and 0 < width <= size[1]:
            top = int(rng.integers(size[0] - height + 1))
            left = int(rng.integers(size[1] - width + 1))
            return top, left, height, width
    return None


def erase(image: Array8, rng: np.random.Generator) -> None:
    """Makes a random rectangle of an image (H, W, 3) noise, a value a pixel and channel, in place.

    Source: Zhong et al., "Random Erasing Data Augmentation", AAAI 2020: bounds of area and aspect,
    and random values ("RE-R").
    """
    box = random_box((image.shape[0], image.shape[1]), _ERASED_AREA, _ERASED_ASPECT, rng)
    if box is not None:
        top, left, height, width = box
        noise = rng.integers(0, 256, (height, width, 3), np.uint8)
        image[top : top + height, left : left + width] = noise
