"""Splits of a data set: read from files, drawn, or mapped from the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .labels import DataError, LabelMap
from .reading import check_fit, image_shape, read_image, read_mask
from .scenes import draw_scene

Array8 = NDArray[np.uint8]
Sample = tuple[Array8, Array8]
"""Image (H, W, 3) and labels (H, W), 255 where ignored. Both may be read-only."""

DATA_VERSION = 2
"""Goes up when the same configuration and files come to give other pixels."""

IMAGES, LABELS = "images.npy", "labels.npy"
"""Files of a cached split: uint8 arrays (N, H, W, 3) and (N, H, W)."""


class Split(Protocol):
    """A sequence of images with labels."""

    @property
    def names(self) -> tuple[str, ...]:
        """What errors call each sample: a file name, or the number of a scene."""
        ...

    def __len__(self) -> int: ...

    def load(self, index: int) -> Sample:
        """Reads sample `index`.

        Raises:
            DataError: A file is damaged, or image and mask do not fit.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Some samples of a split, evenly spaced and in order.

    Attributes:
        split: Where from.
        count: How many; all where the split has no more.
    """

    split: Split
    count: int

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the samples selected."""
        return tuple(self.split.names[self._index(n)] for n in range(len(self)))

    def __len__(self) -> int:
        return min(self.count, len(self.split))

    def load(self, index: int) -> Sample:
        """Reads sample `index` of those selected."""
        return self.split.load(self._index(index))

    def _index(self, n: int) -> int:
        return _checked(n, len(self)) * len(self.split) // len(self)


SHARES_FROM = 512
"""Samples that class shares are counted on where a split has more."""


def class_shares(split: Split, num_classes: int) -> NDArray[np.float64]:
    """Share of the labelled pixels that each class has, (num_classes,); it adds up to 1.

    Of a large split, evenly spaced samples are counted.

    Raises:
        DataError: As `Split.load`, or no pixel of them is labelled.
    """
    counts = np.zeros(256, np.int64)
    for index in range(0, len(split), -(-len(split) // SHARES_FROM)):
        counts += np.bincount(split.load(index)[1].ravel(), minlength=256)
    labelled = counts[:num_classes]
    if not labelled.any():
        raise DataError("no pixel of the training set is labelled")
    shares: NDArray[np.float64] = labelled / labelled.sum()
    return shares


class Source(Split, Protocol):
    """A split that is expensive to read, and can say what its samples depend on."""

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Height and width of each sample, found without decoding it."""
        ...

    def fingerprint(self) -> str:
        """Hash of everything that the samples depend on."""
        ...


def _hash(facts: object) -> str:
    return hashlib.sha256(json.dumps([DATA_VERSION, facts]).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class NoSplit:
    """A split without samples."""

    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return 0

    def load(self, index: int) -> Sample:
        """Refuses any sample."""
        raise IndexError(f"sample {index} of a split of 0")

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Nothing."""
        return iter(())

    def fingerprint(self) -> str:
        """Hash of nothing."""
        return _hash(["none"])


@dataclass(frozen=True, kw_only=True)
class SceneSplit:
    """Scenes `first`, `first + 1`, ... of a seed."""

    seed: int
    first: int
    count: int
    size: tuple[int, int]

    @property
    def names(self) -> tuple[str, ...]:
        """Numbers of the scenes."""
        return tuple(f"scene {self.first + i}" for i in range(self.count))

    def __len__(self) -> int:
        return self.count

    def load(self, index: int) -> Sample:
        """Draws sample `index`."""
        return draw_scene(self.seed, self.first + _checked(index, self.count), self.size)

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Height and width of each scene."""
        return repeat(self.size, self.count)

    def fingerprint(self) -> str:
        """Hash of seed, range and size."""
        return _hash(["scenes", self.seed, self.first, self.count, self.size])


@dataclass(frozen=True, kw_only=True)
class FileSplit:
    """Image and mask files, decoded, checked and resized at every access.

    Images are resized bilinearly with antialiasing, masks to the nearest pixel.
    """

    pairs: tuple[tuple[Path, Path], ...]
    labels: LabelMap
    size: tuple[int, int] | None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Paths of the images."""
        return tuple(str(image) for image, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def load(self, index: int) -> Sample:
        """Reads sample `index`."""
        image_path, mask_path = self.pairs[_checked(index, len(self))]
        image = read_image(image_path)
        labels, _ = read_mask(mask_path, self.labels)
        if labels.shape != image.size[::-1]:
            check_fit(image_path, mask_path)
        if self.size is not None and self.size != labels.shape:
            to = self.size[::-1]
            image = image.resize(to, Image.Resampling.BILINEAR)
            labels = np.asarray(Image.fromarray(labels).resize(to, Image.Resampling.NEAREST))
        return np.asarray(image), labels

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Height and width of each sample, from the header of its image unless `size` is set."""
        for image, _ in self.pairs:
            yield self.size or image_shape(image)[0]

    def fingerprint(self) -> str:
        """Hash of the paths, sizes and modification times, of the labels, and of the size."""
        files = []
        for path in (path for pair in self.pairs for path in pair):
            stat = path.stat()
            files.append([str(path.resolve()), stat.st_size, stat.st_mtime_ns])
        colours = self.labels.colours
        meaning = self.labels.table.tolist() if colours is None else sorted(colours.items())
        return _hash(["files", files, meaning, self.size])


@dataclass(frozen=True)
class CachedSplit:
    """A split in memory-mapped arrays, of which all processes of a machine share one copy.

    Attributes:
        names: As of the split it was made from.
        folder: Where `IMAGES` and `LABELS` lie.
    """

    names: tuple[str, ...]
    folder: Path

    @cached_property
    def arrays(self) -> tuple[Array8, Array8]:
        """The read-only arrays, mapped when first used."""
        try:
            images = np.load(self.folder / IMAGES, mmap_mode="r", allow_pickle=False)
            labels = np.load(self.folder / LABELS, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"data cache {self.folder} is damaged; delete it: {error}") from error
        return images, labels

    def __len__(self) -> int:
        return len(self.names)

    def load(self, index: int) -> Sample:
        """Looks sample `index` up."""
        images, labels = self.arrays
        index = _checked(index, len(self))
        return images[index], labels[index]

    def __reduce__(self) -> tuple[type[CachedSplit], tuple[tuple[str, ...], Path]]:
        # To another process goes the path; pickled, a mapped array would become a copy.
        return CachedSplit, (self.names, self.folder)


def _checked(index: int, count: int) -> int:
    if not 0 <= index < count:
        raise IndexError(f"sample {index} of a split of {count}")
    return index
