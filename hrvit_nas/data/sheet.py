"""A picture of a data set: images beside their labels in colour, with a legend."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .dataset import SegmentationData
from .labels import IGNORE_INDEX

_FAMILIAR = {
    "sky": (135, 190, 235),
    "building": (125, 115, 110),
    "road": (95, 75, 125),
    "canal": (25, 110, 190),
    "pavement": (235, 165, 215),
    "sidewalk": (235, 165, 215),
    "tree": (70, 140, 50),
    "vegetation": (70, 140, 50),
    "pole": (250, 250, 250),
    "sign": (250, 205, 40),
    "traffic sign": (250, 205, 40),
    "fence": (190, 150, 110),
    "person": (215, 40, 60),
    "pedestrian": (215, 40, 60),
    "car": (20, 30, 120),
    "vehicle": (20, 30, 120),
    "bicyclist": (120, 20, 30),
}
"""Colours of classes that many sets have; other classes get a hue of their own."""

_COLUMNS = 4
GAP = 6
_HEADING = 24
BACKGROUND = (255, 255, 255)
_INK = (30, 30, 30)


def label_colours(class_names: tuple[str, ...]) -> NDArray[np.uint8]:
    """Colours (256, 3) by label; black where there is no class or the label is ignored."""
    colours = np.zeros((256, 3), np.uint8)
    for label, name in enumerate(class_names):
        # Steps of the golden angle keep any number of hues apart.
        hue, lightness = label * 0.618034 % 1, 0.4 + 0.25 * (label // 7 % 2)
        made = [255 * channel for channel in colorsys.hls_to_rgb(hue, lightness, 0.6)]
        colours[label] = _FAMILIAR.get(name, made)
    colours[IGNORE_INDEX] = 0
    return colours


def contact_sheet(
    data: SegmentationData, path: Path, *, count: int = 8, tile_width: int = 256
) -> None:
    """Writes images from all over the training split, each beside its labels, to a PNG file.

    Args:
        data: The data set.
        path: File to write.
        count: Number of images (at most; a smaller split shows all it has).
        tile_width: Width of one image on the sheet in pixels; its height keeps the aspect.
    """
    colours = label_colours(data.class_names)
    count = min(count, len(data.train))
    samples = [data.train.load(number * len(data.train) // count) for number in range(count)]
    tiles = []
    for image, labels in samples:
        size = (tile_width, round(labels.shape[0] * tile_width / labels.shape[1]))
        tiles.append(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
        tiles.append(Image.fromarray(colours[labels]).resize(size, Image.Resampling.NEAREST))
    columns = min(_COLUMNS, len(tiles))
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    tiled(rows, data.class_names).save(path, optimize=True)


def tiled(rows: Sequence[Sequence[Image.Image]], class_names: tuple[str, ...]) -> Image.Image:
    """Pictures of one width in rows, the first of which is the longest, above a legend.

    Args:
        rows: The pictures; those of a row may differ in height.
        class_names: Names of the classes, by label.
    """
    tile_width = rows[0][0].width
    width = len(rows[0]) * (tile_width + GAP) + GAP
    below = legend(class_names, label_colours(class_names), width)
    height = sum(max(tile.height for tile in row) + GAP for row in rows) + GAP + below.height
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    y = GAP
    for row in rows:
        for column, tile in enumerate(row):
            sheet.paste(tile, (GAP + column * (tile_width + GAP), y))
        y += max(tile.height for tile in row) + GAP
    sheet.paste(below, (0, y))
    return sheet


def mask_sheet(
    image: NDArray[np.uint8],
    masks: Mapping[str, NDArray[np.uint8]],
    class_names: tuple[str, ...],
    *,
    tile_width: int = 320,
) -> Image.Image:
    """One image beside masks of it in colour, each under its name, with a legend.

    Args:
        image: (H, W, 3).
        masks: Labels (H, W) by name, such as `prediction` and `label`.
        class_names: Names of the classes, by label.
        tile_width: Width of one picture in pixels; its height keeps the aspect.
    """
    colours = label_colours(class_names)
    size = (tile_width, round(image.shape[0] * tile_width / image.shape[1]))
    tiles = {"image": Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)}
    for name, labels in masks.items():
        tiles[name] = Image.fromarray(colours[labels]).resize(size, Image.Resampling.NEAREST)
    width = len(tiles) * (tile_width + GAP) + GAP
    below = legend(class_names, colours, width)
    sheet = Image.new("RGB", (width, _HEADING + size[1] + GAP + below.height), BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
    for column, (name, tile) in enumerate(tiles.items()):
        x = GAP + column * (tile_width + GAP)
        draw.text((x, _HEADING / 2), name, fill=_INK, font=font, anchor="lm")
        sheet.paste(tile, (x, _HEADING))
    sheet.paste(below, (0, _HEADING + size[1] + GAP))
    return sheet


def legend(names: tuple[str, ...], colours: NDArray[np.uint8], width: int) -> Image.Image:
    """Swatches with names, in as many lines as the width asks for."""
    font = ImageFont.load_default(size=15)
    swatch, line = 16, 26
    places = []
    x, y = GAP, 4
    for name in names:
        needed = swatch + 6 + round(font.getlength(name)) + 16
        if x + needed > width and x > GAP:
            x, y = GAP, y + line
        places.append((x, y))
        x += needed
    image = Image.new("RGB", (width, y + line), BACKGROUND)
    draw = ImageDraw.Draw(image)
    for label, (name, (x, y)) in enumerate(zip(names, places, strict=True)):
        box = (x, y, x + swatch, y + swatch)
        draw.rectangle(box, fill=tuple(colours[label].tolist()), outline=_INK)
        draw.text((x + swatch + 6, y + swatch / 2), name, fill=_INK, font=font, anchor="lm")
    return image
