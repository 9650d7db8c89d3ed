"""RandAugment: a few operations drawn from fourteen, each as strong as a magnitude says.

Source: Cubuk et al., "RandAugment", CVPR Workshops 2020 (the operations; section 3), with their
strongest forms from Cubuk et al., "AutoAugment", CVPR 2019 (table 6). An operation that goes two
ways takes either, as likely the one as the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from .config import RandAugmentConfig
from .transforms import MEAN

STRONGEST = 10.0
"""The highest magnitude."""
_FILL = tuple(round(channel) for channel in MEAN)
_MOST_SHEAR = 0.3
_MOST_SHIFT = 150 / 331
"""Share of a side: 150 pixels of the images of 331 that the operations were chosen on."""
_MOST_TURN = 30.0
_MOST_CHANGE = 0.9
_MOST_BITS_LOST = 4

Operation = Callable[[Image.Image, float], Image.Image]
"""An image, and a strength of -1 to 1 (0 to 1 of one that goes one way), to another."""


def rand_augment(
    image: Image.Image, config: RandAugmentConfig, rng: np.random.Generator
) -> Image.Image:
    """Applies random operations to an RGB image.

    Args:
        image: The image.
        config: How many operations, and how strong.
        rng: What is drawn from: three numbers an operation, whichever it is.
    """
    names = list(OPERATIONS)
    for _ in range(config.operations):
        name = names[rng.integers(len(names))]
        magnitude = np.clip(rng.normal(config.magnitude, config.deviation), 0, STRONGEST)
        strength = float(magnitude / STRONGEST)
        turned = bool(rng.integers(2))
        image = OPERATIONS[name](image, -strength if turned and name in TWO_WAYS else strength)
    return image


def _warped(
    image: Image.Image, matrix: tuple[float, float, float, float, float, float]
) -> Image.Image:
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        matrix,
        resample=Image.Resampling.BILINEAR,
        fillcolor=_FILL,
    )


def _shear_x(image: Image.Image, strength: float) -> Image.Image:
    return _warped(image, (1, _MOST_SHEAR * strength, 0, 0, 1, 0))


def _shear_y(image: Image.Image, strength: float) -> Image.Image:
    return _warped(image, (1, 0, 0, _MOST_SHEAR * strength, 1, 0))


def _translate_x(image: Image.Image, strength: float) -> Image.Image:
    return _warped(image, (1, 0, _MOST_SHIFT * strength * image.width, 0, 1, 0))


def _translate_y(image: Image.Image, strength: float) -> Image.Image:
    return _warped(image, (1, 0, 0, 0, 1, _MOST_SHIFT * strength * image.height))


def _rotate(image: Image.Image, strength: float) -> Image.Image:
    bilinear = Image.Resampling.BILINEAR
    return image.rotate(_MOST_TURN * strength, resample=bilinear, fillcolor=_FILL)


def _solarize(image: Image.Image, strength: float) -> Image.Image:
    return ImageOps.solarize(image, round(256 * (1 - strength)))


def _posterize(image: Image.Image, strength: float) -> Image.Image:
    return ImageOps.posterize(image, 8 - round(_MOST_BITS_LOST * strength))


def _enhanced(enhancer: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    return lambda image, strength: enhancer(image).enhance(1 + _MOST_CHANGE * strength)


OPERATIONS: Mapping[str, Operation] = {
    "identity": lambda image, _: image,
    "auto_contrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "rotate": _rotate,
    "solarize": _solarize,
    "color": _enhanced(ImageEnhance.Color),
    "posterize": _posterize,
    "contrast": _enhanced(ImageEnhance.Contrast),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
}
"""By name; all are as likely."""
TWO_WAYS = frozenset(
    (
        *("rotate", "color", "contrast", "brightness", "sharpness"),
        *("shear_x", "shear_y", "translate_x", "translate_y"),
    )
)
"""Operations whose strength may be below 0."""
