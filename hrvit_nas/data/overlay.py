"""A photograph beside what a network sees in it, and label maps that any viewer shows coloured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .._messages import one_line
from .labels import Colour
from .sheet import BACKGROUND, GAP, legend

NARROWEST, WIDEST = 320, 1600
"""Pixels that one of the two pictures is wide; one between them has its own size."""
_LONGEST_NAME = 40


def overlay_sheet(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    class_names: Sequence[str],
    palette: Sequence[Colour],
    opacity: float,
) -> Image.Image:
    """A photograph, beside it the same under its labels in colour, and below the classes in it.

    Args:
        image: (H, W, 3).
        labels: (H, W).
        class_names: Names of the classes, by label.
        palette: Their colours.
        opacity: Of the colours, 0 to 1.
    """
    colours = np.asarray(palette, np.uint8)
    width = min(max(image.shape[1], NARROWEST), WIDEST)
    size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
    photograph = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    # Labels are resized, not colours, so that every colour is that of a class.
    small = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    overlay = Image.blend(photograph, Image.fromarray(colours[small]), opacity)
    seen = np.flatnonzero(np.bincount(labels.ravel(), minlength=len(colours))).tolist()
    names = tuple(one_line(class_names[label], _LONGEST_NAME) for label in seen)
    whole = 2 * width + 3 * GAP
    below = legend(names, colours[seen], whole)
    sheet = Image.new("RGB", (whole, size[1] + 2 * GAP + below.height), BACKGROUND)
    sheet.paste(photograph, (GAP, GAP))
    sheet.paste(overlay, (width + 2 * GAP, GAP))
    sheet.paste(below, (0, size[1] + 2 * GAP))
    return sheet


def label_image(labels: NDArray[np.uint8], palette: Sequence[Colour]) -> Image.Image:
    """Labels (H, W) as an image whose pixels are the labels, and whose palette their colours."""
    image = Image.fromarray(labels)
    image.putpalette(np.asarray(palette, np.uint8).tobytes())
    return image
