"""What a layout is, and what the finders of several layouts share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..labels import DataError, LabelMap

if TYPE_CHECKING:
    from ..splits import Source

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
SPLITS = ("train", "val")

Pairs = tuple[tuple[Path, Path], ...]
"""(image, mask) paths, sorted by name."""


class Found(Protocol):
    """What a layout finds: the classes of a data set, and its splits."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        ...

    def split(self, name: str, size: tuple[int, int] | None) -> Source:
        """One of `SPLITS`, its images brought to a height and width, or None = as they are."""
        ...


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a kind of data set has its images and masks, and how they are found.

    Attributes:
        root: What the root of the data set holds, in words.
        find: Finds the set. Its parameters are the fields of `DataConfig` that the layout reads, of
            which `root` comes as an absolute path of a folder that is there. It raises `DataError`
            where something is missing or faulty.
        images: Whether there are any; without, scores are of a synthetic objective.
    """

    root: str
    find: Callable[..., Found]
    images: bool = True

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """Fields of `DataConfig` that the layout reads, beside `name` and `image_size`."""
        return tuple(signature(self.find).parameters)


@dataclass(frozen=True, kw_only=True)
class FileSet:
    """The files of a data set, paired, nothing decoded yet.

    Attributes:
        class_names: Names of the classes, by label.
        labels: Meaning of the values in the masks.
        pairs: Images and masks of each of `SPLITS`.
    """

    class_names: tuple[str, ...]
    labels: LabelMap
    pairs: Mapping[str, Pairs]

    def split(self, name: str, size: tuple[int, int] | None) -> Source:
        """One of `SPLITS`, its images brought to a height and width, or None = as stored."""
        from ..splits import FileSplit

        return FileSplit(pairs=self.pairs[name], labels=self.labels, size=size)


def images_in(folder: Path, pattern: str = "*") -> list[Path]:
    """The images of a folder whose names fit a pattern, sorted.

    Raises:
        DataError: The folder is missing, or holds none.
    """
    if not folder.is_dir():
        raise DataError(f"folder of images is missing: {folder}")
    found = [path for path in folder.glob(pattern) if path.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise DataError(f"folder holds no {', '.join(IMAGE_SUFFIXES)} image: {folder}")
    return sorted(found)


def paired(image: Path, mask: Path) -> tuple[Path, Path]:
    """An image and its mask.

    Raises:
        DataError: The mask is missing.
    """
    if not mask.is_file():
        raise DataError(f"image {image} has no mask; expected {mask}")
    return image, mask


def tree_pairs(root: Path, split: str) -> Pairs:
    """Those of `images/SPLIT/NAME.*` and `annotations/SPLIT/NAME.png`.

    Raises:
        DataError: The folder or a mask is missing, or two images would share a mask.
    """
    masks = root / "annotations" / split
    images = images_in(root / "images" / split)
    for one, other in pairwise(images):
        if one.stem == other.stem:
            raise DataError(f"images {one} and {other.name} would share one mask; remove one")
    return tuple(paired(image, masks / f"{image.stem}.png") for image in images)
