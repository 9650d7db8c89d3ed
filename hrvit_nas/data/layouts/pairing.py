"""Which mask is which image's, and what else lies there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

from ..labels import DataError
from .base import Paired

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
"""Formats that keep every label; capitals are as good."""
_SHOWN = 3


def files_in(folder: Path, pattern: str = "*") -> list[Path]:
    """Files of a folder whose names fit a pattern in any case, sorted; hidden ones are left out.

    Names that begin with a dot are those that systems leave, such as `._NAME.jpg` of macOS.
    """
    found = folder.glob("/".join("*" for _ in pattern.split("/")))
    return sorted(
        path
        for path in found
        if not path.name.startswith(".")
        and fnmatch(path.relative_to(folder).as_posix().lower(), pattern.lower())
    )


def images_in(folder: Path, pattern: str = "*") -> list[Path]:
    """The images of a folder whose names fit a pattern, sorted.

    Raises:
        DataError: The folder is missing, or holds none.
    """
    if not folder.is_dir():
        raise DataError(f"folder of images is missing: {folder}{beside(folder)}")
    files = files_in(folder, pattern)
    found = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise DataError(
            f"folder holds no {', '.join(IMAGE_SUFFIXES)} image: {folder}; there lie"
            f" {listed([path.name for path in files_in(folder)])}"
        )
    return found


def masks_of(
    images: Mapping[str, Path], masks: Mapping[str, Path], folder: Path, expected: str
) -> Paired:
    """Images with their masks.

    Args:
        images: By what image and mask have in common.
        masks: Likewise.
        folder: Where masks lie.
        expected: Name of a mask, `{}` standing for that.

    Raises:
        DataError: Images have no mask.
    """
    if without := [key for key in images if key not in masks]:
        first = without[0]
        name = Path(expected.format(first)).name
        where = folder / Path(expected.format(first)).parent
        raise DataError(
            f"image {images[first]} has no mask, expected {where / name}; {_lies(where, first)}"
            + (f"; {len(without)} of {len(images)} images have none" if len(without) > 1 else "")
        )
    more = sorted(masks[key].name for key in masks if key not in images)
    note = f"masks without an image in {folder}: {listed(more)}"
    pairs = tuple((image, masks[key]) for key, image in images.items())
    return Paired(pairs=pairs, notes=(note,) if more else ())


def _lies(folder: Path, key: str) -> str:
    """What lies in a folder of masks, names like the one that is missing first."""
    if not folder.is_dir():
        return f"there is no such folder{beside(folder)}"
    stem = Path(key).name
    names = [path.name for path in files_in(folder)]
    alike = [name for name in names if name.startswith(stem)]
    hint = ""
    if any(name.endswith("_labelTrainIds.png") for name in alike):
        hint = " (train ids; label ids are needed)"
    elif any(Path(name).suffix.lower() in (".jpg", ".jpeg") for name in alike):
        hint = " (JPEG alters labels; store masks as PNG)"
    return f"there lie {listed(alike or names)}{hint}"


def beside(folder: Path) -> str:
    """The folders that lie where one is missing, for the end of a message."""
    parent = folder.parent
    names = [p.name for p in files_in(parent) if p.is_dir()] if parent.is_dir() else []
    return f"; there lie {listed(names)}" if names else ""


def listed(names: Sequence[str], most: int = _SHOWN) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}" if names else "no files"


def tree_split(root: Path, split: str) -> Paired:
    """Those of `images/SPLIT/NAME.*` and `annotations/SPLIT/NAME.png`.

    Raises:
        DataError: The folder or a mask is missing, or two images, or masks, have one name.
    """
    folder = root / "annotations" / split
    images = _by_stem(images_in(root / "images" / split), "images", "would share one mask")
    masks = [path for path in files_in(folder) if path.suffix.lower() in MASK_SUFFIXES]
    return masks_of(images, _by_stem(masks, "masks", "are of one image"), folder, "{}.png")


def _by_stem(paths: list[Path], what: str, why: str) -> dict[str, Path]:
    for one, other in pairwise(sorted(paths)):
        if one.stem == other.stem:
            raise DataError(f"{what} {one} and {other.name} {why}; remove one")
    return {path.stem: path for path in paths}
