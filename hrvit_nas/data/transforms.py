"""Joint random transforms of an image and its labels: pure functions of (image, labels, rng).

Images are uint8 (H, W, 3), labels uint8 (H, W). The sequence and its defaults are the ones
customary for semantic segmentation: random scale, random crop with a limit on the share of
one class, horizontal flip, photometric distortion.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .config import AugmentConfig
from .labels import IGNORE_INDEX

Array8 = NDArray[np.uint8]

MEAN = (123.675, 116.28, 103.53)
"""Mean of the ImageNet training set, red, green, blue, in 0..255."""
DEVIATION = (58.395, 57.12, 57.375)
"""Standard deviation of the same."""

_CROP_DRAWS = 10
_PADDING = np.array([round(channel) for channel in MEAN], np.uint8)
_LEVELS = np.arange(256, dtype=np.float32)


def augment(
    image: Array8, labels: Array8, config: AugmentConfig, rng: np.random.Generator
) -> tuple[Array8, Array8]:
    """Applies all transforms of a configuration.

    Returns:
        Image (h, w, 3) and labels (h, w) of the configured crop size, or of the size they
        came with where it is unset.
    """
    crop_size = config.crop_size or (labels.shape[0], labels.shape[1])
    scale = rng.uniform(*config.scale)
    balanced = config.class_balance > 0 and rng.random() < config.class_balance
    anchor = class_pixel(labels, rng) if balanced else None
    image, labels = scale_and_crop(
        image, labels, scale, crop_size, config.max_class_share, rng, anchor
    )
    if rng.random() < config.flip:
        image, labels = image[:, ::-1], labels[:, ::-1]
    if config.photometric > 0:
        image = distort(image, config.photometric, rng)
    return pad(image, labels, crop_size)


def scale_and_crop(
    image: Array8,
    labels: Array8,
    scale: float,
    crop_size: tuple[int, int],
    max_class_share: float,
    rng: np.random.Generator,
    anchor: tuple[int, int] | None = None,
) -> tuple[Array8, Array8]:
    """Scales by a factor, then takes a random crop of at most `crop_size`.

    The place is drawn again, up to ten times, while one class fills `max_class_share` of the
    labelled pixels or more. Only the pixels of the crop are resampled. Where a row and column of
    the image are given as `anchor`, every place that is drawn holds that pixel.
    """
    height, width = labels.shape
    scaled = (max(1, round(height * scale)), max(1, round(width * scale)))
    crop = (min(crop_size[0], scaled[0]), min(crop_size[1], scaled[1]))
    ratio_y, ratio_x = height / scaled[0], width / scaled[1]
    mask = Image.fromarray(labels)
    lowest, highest = (0, 0), (scaled[0] - crop[0], scaled[1] - crop[1])
    if anchor is not None:
        y, x = int((anchor[0] + 0.5) / ratio_y), int((anchor[1] + 0.5) / ratio_x)
        lowest = (max(0, y - crop[0] + 1), max(0, x - crop[1] + 1))
        highest = (min(y, highest[0]), min(x, highest[1]))
    for _ in range(_CROP_DRAWS):
        top = int(rng.integers(lowest[0], highest[0] + 1))
        left = int(rng.integers(lowest[1], highest[1] + 1))
        box = (
            left * ratio_x,
            top * ratio_y,
            min((left + crop[1]) * ratio_x, width),
            min((top + crop[0]) * ratio_y, height),
        )
        cropped = np.asarray(mask.resize(crop[::-1], Image.Resampling.NEAREST, box=box))
        # Where nothing limits the share, or there is but one place, no other draw is better.
        if max_class_share == 1 or crop == scaled or class_share(cropped) < max_class_share:
            break
    picture = Image.fromarray(image).resize(crop[::-1], Image.Resampling.BILINEAR, box=box)
    return np.asarray(picture), cropped


def class_pixel(labels: Array8, rng: np.random.Generator) -> tuple[int, int] | None:
    """Row and column of a random pixel of a random class, the classes of the image alike.

    `None` where no pixel is labelled.
    """
    classes = np.unique(labels[labels != IGNORE_INDEX])
    if not classes.size:
        return None
    rows, columns = np.nonzero(labels == rng.choice(classes))
    chosen = rng.integers(len(rows))
    return int(rows[chosen]), int(columns[chosen])


def class_share(labels: Array8) -> float:
    """Share of the most frequent class among the labelled pixels; 1 where none is labelled."""
    counts = np.bincount(labels.ravel(), minlength=256)
    counts[IGNORE_INDEX] = 0
    total = counts.sum()
    return float(counts.max() / total) if total else 1.0


def distort(image: Array8, strength: float, rng: np.random.Generator) -> Array8:
    """Random brightness, contrast, saturation and hue, each with a probability of one half.

    Contrast comes before saturation and hue or after them, as likely the one as the other.
    """
    brightness = rng.uniform(-32, 32) * strength * rng.integers(2)
    contrast, saturation = 1 + rng.uniform(-0.5, 0.5, 2) * strength * rng.integers(2, size=2)
    # Pillow's hue has 256 steps a turn, where the customary 18 is of 180.
    hue = round(rng.uniform(-18, 18) * 256 / 180 * strength * rng.integers(2))
    contrast_first = rng.integers(2)

    levels = np.clip(_LEVELS + brightness, 0, 255)
    if contrast_first:
        levels = levels * contrast
    image = np.take(_to_uint8(levels), image)
    if saturation != 1 or hue:
        hsv = np.array(Image.fromarray(image).convert("HSV"))
        hsv[..., 0] += np.uint8(hue % 256)  # wraps around, as hue does
        hsv[..., 1] = np.take(_to_uint8(_LEVELS * saturation), hsv[..., 1])
        image = np.asarray(Image.fromarray(hsv, "HSV").convert("RGB"))
    return image if contrast_first else np.take(_to_uint8(_LEVELS * contrast), image)


def _to_uint8(values: NDArray[np.floating[Any]]) -> Array8:
    rounded: Array8 = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def pad(image: Array8, labels: Array8, size: tuple[int, int]) -> tuple[Array8, Array8]:
    """Pads at the bottom and right with the mean colour and the ignored label."""
    height, width = labels.shape
    if (height, width) == size:
        return image, labels
    padded_image = np.empty((*size, 3), np.uint8)
    padded_image[:] = _PADDING
    padded_image[:height, :width] = image
    padded_labels = np.full(size, IGNORE_INDEX, np.uint8)
    padded_labels[:height, :width] = labels
    return padded_image, padded_labels
