"""What a layout is, and what one finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from ..labels import LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..images import ImageSplit
    from ..splits import FileSplit, Source

SPLITS = ("train", "val")

Task = Literal["segmentation", "classification"]
"""What is told of an image: the class of each of its pixels, or of the whole."""

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


class FoundImages(Protocol):
    """What a layout for classification finds: classes, and images of them."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        ...

    def split(self, name: str, size: tuple[int, int] | None) -> ImageSplit:
        """One of `SPLITS`; images of the validation come in a height and width, where set."""
        ...


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a kind of data set has its images and masks, and how they are found.

    Attributes:
        root: What the root of the data set holds, in words.
        find: Finds the set. Its parameters are the fields of `DataConfig` that the layout reads, of
            which `root` comes as an absolute path of a folder that is there. It raises `DataError`
            where something is missing or faulty.
        task: What its images are labelled for: `find` gives `Found` for segmentation, else
            `FoundImages`.
        images: Whether there are any; without, scores are of a synthetic objective.
        labels: Meaning of the values in the masks, where every set of this layout has the same.
    """

    root: str
    find: Callable[..., Found | FoundImages]
    task: Task = "segmentation"
    images: bool = True
    labels: LabelMap | None = None

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """Fields of `DataConfig` that the layout reads, beside `name` and `image_size`."""
        return tuple(signature(self.find).parameters)


@dataclass(frozen=True, kw_only=True)
class Paired:
    """The files of a split.

    Attributes:
        pairs: Images and their masks.
        notes: What else lies there that looks like a mistake, a line each.
    """

    pairs: Pairs
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FileSet:
    """The files of a data set, paired, nothing decoded yet.

    Attributes:
        class_names: Names of the classes, by label.
        labels: Meaning of the values in the masks.
        splits: Images and masks of each of `SPLITS`.
        suspect: Given pixels (256,) by stored value, what another convention of labels they look
            like, and the remedy; None where they look right.
    """

    class_names: tuple[str, ...]
    labels: LabelMap
    splits: Mapping[str, Paired]
    suspect: Callable[[NDArray[np.int64]], str | None] = lambda _: None

    def split(self, name: str, size: tuple[int, int] | None) -> FileSplit:
        """One of `SPLITS`, its images brought to a height and width, or None = as stored."""
        from ..splits import FileSplit

        return FileSplit(pairs=self.splits[name].pairs, labels=self.labels, size=size)


@dataclass(frozen=True)
class DrawnSet:
    """Images that are drawn, the same for the same seed, and have no files.

    Attributes:
        num_train: Number of training images.
        num_val: Number of validation images.
        seed: Seed of the drawing.
    """

    num_train: int
    num_val: int
    seed: int

    first_val: ClassVar[int]
    """Number of the first validation image, so that the number of training images moves none."""

    def numbers(self, name: str) -> tuple[int, int]:
        """The first drawing of one of `SPLITS`, and how many it has."""
        return (0, self.num_train) if name == "train" else (self.first_val, self.num_val)
