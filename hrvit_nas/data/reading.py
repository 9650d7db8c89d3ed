"""Images and masks as people store them, read as what they mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from .labels import DataError, LabelMap, packed

T = TypeVar("T")
Array8 = NDArray[np.uint8]

UPRIGHT = 1
"""The EXIF orientation of an image that is stored as it is seen."""
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image of an EXIF orientation upright (Exif 2.32, tag 274)."""
_ON_ITS_SIDE = (5, 6, 7, 8)
_OPAQUE = 255
_HIGHEST_16_BIT = 65_535


def read_image(path: Path) -> Image.Image:
    """An image as red, green and blue of 8 bits, upright by its EXIF orientation.

    Grey of 16 bits is scaled, 65,535 to 255.

    Raises:
        DataError: It cannot be read, or has no such values.
    """
    return _read(path, _as_rgb)


def image_shape(path: Path) -> tuple[tuple[int, int], int]:
    """Height and width of an image that is brought upright, and its EXIF orientation.

    Its pixels are not decoded.

    Raises:
        DataError: It is no image.
    """

    def shape(opened: Image.Image) -> tuple[tuple[int, int], int]:
        orientation = _orientation(opened)
        height, width = opened.height, opened.width
        return ((width, height) if orientation in _ON_ITS_SIDE else (height, width)), orientation

    return _read(path, shape)


def mask_shape(path: Path) -> tuple[int, int]:
    """Height and width of a mask, whose pixels are not decoded.

    Raises:
        DataError: It is no image.
    """
    return _read(path, lambda opened: (opened.height, opened.width))


def read_mask(path: Path, labels: LabelMap) -> tuple[Array8, Array8 | None]:
    """What a mask holds.

    Args:
        path: Of the mask.
        labels: Meaning of its values, or colours.

    Returns:
        Labels (H, W), and the values (H, W) that they are stored as, None for colours.

    Raises:
        DataError: It cannot be read, or holds what has no meaning.
    """
    if labels.colours is not None:
        return _labels_of_colours(_read(path, _colours), labels, path), None
    values: NDArray[Any] = _read(path, _values)
    fit = values.dtype == np.uint8
    in_table = np.True_ if fit else (values >= 0) & (values <= 255)
    stored: Array8 = values if fit else np.where(in_table, values, 0).astype(np.uint8)
    found: NDArray[np.int16] = labels.table[stored]
    wrong = values[~in_table | (found < 0)]
    if wrong.size:
        raise DataError(f"mask {path} holds the value {wrong[0]}; {labels.refusal(int(wrong[0]))}")
    return found.astype(np.uint8), stored


def check_fit(image: Path, mask: Path) -> tuple[tuple[int, int], int]:
    """Height and width of an image and its mask, and the image's EXIF orientation, by headers.

    Raises:
        DataError: They differ, or one is no image.
    """
    shape, orientation = image_shape(image)
    of_mask = mask_shape(mask)
    if of_mask == shape:
        return shape, orientation
    line = f"mask {mask} has {_text(of_mask)} pixels, but its image {image} has {_text(shape)}"
    if orientation in _ON_ITS_SIDE and of_mask == shape[::-1]:
        line += (
            f" once it is turned by its EXIF orientation {orientation}: the mask was drawn on the"
            " image as stored; turn the mask, or remove the tag"
        )
    raise DataError(line)


def _text(shape: tuple[int, int]) -> str:
    return f"{shape[0]}x{shape[1]}"


def _orientation(opened: Image.Image) -> int:
    # Asked for the EXIF of a PNG whose header has none, Pillow decodes all of it.
    if opened.format == "PNG" and "exif" not in opened.info:
        return UPRIGHT
    return int(opened.getexif().get(_ORIENTATION, UPRIGHT))


def _as_rgb(opened: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(opened))
    image = opened if turn is None else opened.transpose(turn)
    if image.mode == "F":
        raise ValueError("an image must have integer values, got floating point")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > _HIGHEST_16_BIT:
            raise ValueError(
                f"an image may have 16 bits a channel at most, got {values.min()} to {values.max()}"
            )
        scaled = np.rint(values * (255 / _HIGHEST_16_BIT)).astype(np.uint8)
        image = Image.fromarray(scaled)
    return image.convert("RGB")


def _values(opened: Image.Image) -> NDArray[Any]:
    mask = _opaque(opened)
    if mask.mode == "1":
        return np.asarray(mask).astype(np.uint8)
    if mask.mode in ("L", "P") or mask.mode.startswith("I"):
        return np.asarray(mask)
    if mask.mode == "RGB":
        channels = np.asarray(mask)
        if (channels == channels[..., :1]).all():
            return channels[..., 0]
        raise ValueError(
            "a mask must have one channel of integers, or three alike, and this one is coloured;"
            " use masks of label values, or give the colours as palette in a folder's classes file"
        )
    raise ValueError(f"a mask must have one channel of integers, got mode {mask.mode}")


def _colours(opened: Image.Image) -> NDArray[np.uint8]:
    mask = _opaque(opened)
    if mask.mode not in ("RGB", "P", "L", "1"):
        raise ValueError(f"a coloured mask must be RGB or have a palette, got mode {mask.mode}")
    return np.asarray(mask.convert("RGB"))


def _opaque(opened: Image.Image) -> Image.Image:
    """A mask without its alpha channel, which must say nothing."""
    if opened.format == "JPEG":
        raise ValueError("JPEG alters the labels of a mask; store masks as PNG")
    if opened.mode not in ("LA", "PA", "RGBA"):
        return opened
    if opened.getchannel("A").getextrema() != (_OPAQUE, _OPAQUE):
        raise ValueError("a mask must not be transparent anywhere")
    return opened.convert({"LA": "L", "PA": "P", "RGBA": "RGB"}[opened.mode])


def _labels_of_colours(colours: Array8, labels: LabelMap, path: Path) -> Array8:
    codes, classes = labels.colour_table
    code = packed(colours)
    places = np.minimum(np.searchsorted(codes, code), len(codes) - 1)
    unknown = codes[places] != code
    if unknown.any():
        first = colours[unknown][0].tolist()
        raise DataError(
            f"mask {path} has {int(unknown.sum()):,} pixels of colours that the palette has not,"
            f" such as {first}; add them, as a class or as ignore"
        )
    return classes[places]


def _read(path: Path, use: Callable[[Image.Image], T]) -> T:
    """Opens an image and returns what `use` makes of it; every failure names the file."""
    try:
        with Image.open(path) as opened:
            return use(opened)
    # Pillow reports damage as OSError, SyntaxError (PNG) or ValueError.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else error
        raise DataError(f"cannot read {path}: {reason}") from error
