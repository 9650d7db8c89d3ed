"""`drawn_classes`: an object an image, of a shape and a pattern that together are its class.

A stand-in for ImageNet where there are no files. Neither colour nor size nor place tells a class:
an object has a light and a dark random colour, stands anywhere, a little turned, on a cloudy
ground between the two, and a network must see both its outline and what is inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.float64]
"""A value for each pixel, (H, W)."""

DEFAULT_SIZE = (64, 64)
_RADIUS = (0.3, 0.45)
"""Bounds of an object's radius, a share of the shorter side."""
_MOST_TURN = 0.35
"""Largest angle that an object is turned by, in radians."""


def _star(x: Plane, y: Plane) -> Plane:
    radius: Plane = 0.7 + 0.3 * np.cos(5 * np.arctan2(y, x))
    return np.hypot(x, y) / radius


SHAPES: Mapping[str, Callable[[Plane, Plane], Plane]] = {
    "disc": np.hypot,
    "square": lambda x, y: 1.2 * np.maximum(abs(x), abs(y)),
    "triangle": lambda x, y: np.maximum(2 * y, 1.732 * abs(x) - y),
    "star": _star,
}
"""By name, what is below 1 inside a shape of radius 1 around the origin."""
PATTERNS: Mapping[str, Callable[[Plane, Plane], Plane]] = {
    "plain": lambda x, y: np.ones_like(x),  # noqa: ARG005
    "striped": lambda x, y: np.sin(2.5 * math.pi * x),  # noqa: ARG005
    "chequered": lambda x, y: np.sin(1.8 * math.pi * x) * np.sin(1.8 * math.pi * y),
}
"""By name, what is above 0 where the first colour is, and the second elsewhere."""
OBJECT_CLASSES = tuple(f"{pattern} {shape}" for shape in SHAPES for pattern in PATTERNS)


def draw_object(
    seed: int, index: int, label: int, size: tuple[int, int] = DEFAULT_SIZE
) -> NDArray[np.uint8]:
    """Draws one image, (height, width, 3), a pure function of its arguments.

    Args:
        seed: Seed of the set.
        index: Number of the image in the set.
        label: Place of its class in `OBJECT_CLASSES`.
        size: Height and width in pixels.
    """
    rng = np.random.default_rng([seed, index])
    height, width = size
    radius = rng.uniform(*_RADIUS) * min(size)
    centre = [rng.uniform(radius, side - radius) for side in size]
    angle = rng.uniform(-_MOST_TURN, _MOST_TURN)
    y, x = np.mgrid[:height, :width] + 0.5
    y, x = (y - centre[0]) / radius, (x - centre[1]) / radius
    across, along = (
        math.cos(angle) * x + math.sin(angle) * y,
        math.cos(angle) * y - math.sin(angle) * x,
    )
    shape = list(SHAPES.values())[label // len(PATTERNS)]
    pattern = list(PATTERNS.values())[label % len(PATTERNS)]
    ground, first, second = _colours(rng)
    shade = pattern(across, along)
    painted = np.where((shade > 0)[..., None], first, second)
    inside = np.clip((1 - shape(across, along)) * radius + 0.5, 0, 1)[..., None]
    image = (ground + _clouds(rng, size)) * (1 - inside) + painted * inside
    image += rng.uniform(2, 10) * rng.standard_normal(image.shape)
    drawn: NDArray[np.uint8] = np.clip(image, 0, 255).astype(np.uint8)
    return drawn


def _colours(rng: np.random.Generator) -> NDArray[np.float64]:
    """Colours of the ground, between the others, and of an object, light and dark: (3, 3)."""
    lightness = np.array([120.0, 200.0, 45.0])[:, None]
    return lightness + rng.uniform(-35, 35, (3, 3))


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    """A smooth unevenness of the ground, (height, width, 1)."""
    cells = Image.fromarray(rng.uniform(-20, 20, (5, 5)).astype(np.float32))
    clouds = cells.resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(clouds, np.float64)[..., None]
