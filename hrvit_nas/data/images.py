"""Splits of a data set for classification: images, each with one class."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from .objects import OBJECT_CLASSES, draw_object
from .reading import read_image
from .splits import Array8

CENTRE = 0.875
"""Share of the shorter side that is scored, from the middle: 224 of 256, as is customary since
Krizhevsky et al. (NeurIPS 2012)."""


class ImageSplit(Protocol):
    """A sequence of images with a class each."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What errors call image `index`: a file name, or the number of a drawing."""
        ...

    def load(self, index: int) -> tuple[Array8, int]:
        """Reads image `index`, (H, W, 3), and its label.

        Raises:
            DataError: The file is damaged.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ObjectSplit:
    """Drawings `first`, `first + 1`, ... of a seed, the classes in turn."""

    seed: int
    first: int
    count: int
    size: tuple[int, int]

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """Number of a drawing."""
        return f"drawing {self.first + index}"

    def load(self, index: int) -> tuple[Array8, int]:
        """Draws image `index`."""
        label = _checked(index, self.count) % len(OBJECT_CLASSES)
        return draw_object(self.seed, self.first + index, label, self.size), label


@dataclass(frozen=True, kw_only=True)
class ImageFileSplit:
    """Files in a folder a class, decoded at every access.

    Attributes:
        folder: Where the folders of the classes lie.
        class_names: Names of these folders, by label.
        files: Names of the files, by label.
        size: Height and width that the middle of each image is brought to; None = as stored.
    """

    folder: Path
    class_names: tuple[str, ...]
    files: tuple[tuple[str, ...], ...]
    size: tuple[int, int] | None

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(map(len, self.files)))

    def __len__(self) -> int:
        return self._ends[-1]

    def name(self, index: int) -> str:
        """Path of an image."""
        return str(self._path(index)[0])

    def load(self, index: int) -> tuple[Array8, int]:
        """Reads image `index`."""
        path, label = self._path(index)
        image = read_image(path)
        return np.asarray(image if self.size is None else middle(image, self.size)), label

    def _path(self, index: int) -> tuple[Path, int]:
        label = bisect_right(self._ends, _checked(index, len(self)))
        place = index - self._ends[label]  # from the end of the class, which names also count from
        return self.folder / self.class_names[label] / self.files[label][place], label


def middle(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The largest part around the centre that has a size's aspect, less an eighth, at that size."""
    share = CENTRE * min(image.height / size[0], image.width / size[1])
    height, width = share * size[0], share * size[1]
    top, left = (image.height - height) / 2, (image.width - width) / 2
    box = (left, top, left + width, top + height)
    return image.resize(size[::-1], Image.Resampling.BICUBIC, box=box)


def _checked(index: int, count: int) -> int:
    if not 0 <= index < count:
        raise IndexError(f"image {index} of a split of {count}")
    return index
