"""From a configuration to a data set that is ready to train on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from .cache import cached, default_cache_dir
from .config import DataConfig
from .images import ImageSplit
from .labels import IGNORE_INDEX, DataError
from .layouts import LAYOUTS, SPLITS, Found, FoundImages
from .splits import Source, Split


@dataclass(frozen=True, kw_only=True)
class SegmentationData:
    """A data set for semantic segmentation; cheap to send to another process of the machine.

    Attributes:
        name: As in `DataConfig`.
        class_names: Name of each label.
        train: Training split.
        val: Validation split; both are empty where nothing is trained (`none`).
        ignore_index: Label of pixels that are neither trained on nor scored.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    val: Split
    ignore_index: int = IGNORE_INDEX

    @property
    def num_classes(self) -> int:
        """Number of classes, ignored pixels not counted."""
        return len(self.class_names)


@dataclass(frozen=True, kw_only=True)
class ClassificationData:
    """A data set for classification; its images are decoded, or drawn, at every access.

    Attributes:
        name: As in `DataConfig`.
        class_names: Name of each label.
        train: Training split.
        val: Validation split.
    """

    name: str
    class_names: tuple[str, ...]
    train: ImageSplit
    val: ImageSplit

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


def load_images(config: DataConfig) -> ClassificationData:
    """Finds a data set for classification.

    File names are checked here, and pixels when they are read.

    Raises:
        DataError: Something is missing, or the data set is for segmentation.
    """
    if config.task != "classification":
        raise DataError(f"data set {config.name!r} is for segmentation, not for classification")
    found = cast(FoundImages, _found(config))
    return ClassificationData(
        name=config.name,
        class_names=found.class_names,
        train=found.split("train", config.image_size),
        val=found.split("val", config.image_size),
    )


def load_data(config: DataConfig, cache_dir: Path | None = None) -> SegmentationData:
    """Finds, pairs and checks a data set.

    A split whose decoded images have one size and take at most 2 GiB is decoded once a machine,
    into memory-mapped files, so all its pixels are checked here. Of a larger split, file names
    are checked here and pixels when they are read.

    Args:
        config: Which data set.
        cache_dir: Where the decoded splits are kept; by default the user's cache folder.

    Raises:
        DataError: Something is missing or faulty; the message names the file.
    """
    directory = (cache_dir or default_cache_dir()).absolute()
    if config.synthetic:
        return open_data(config)
    return _opened(config, lambda split: cached(split, directory))


def open_data(config: DataConfig) -> SegmentationData:
    """Finds and pairs a data set, whose samples are decoded at every access.

    Raises:
        DataError: Something is missing.
    """
    return _opened(config, lambda split: split)


def _opened(config: DataConfig, hold: Callable[[Source], Split]) -> SegmentationData:
    found = find(config)
    splits = {name: found.split(name, config.image_size) for name in SPLITS}
    for name, split in splits.items():
        if not len(split) and not config.synthetic:
            raise DataError(f"data set {config.name!r} has no image in its split {name!r}")
    return SegmentationData(
        name=config.name,
        class_names=found.class_names,
        train=hold(splits["train"]),
        val=hold(splits["val"]),
    )


def find(config: DataConfig) -> Found:
    """The classes and files of a data set for segmentation, nothing decoded yet.

    Raises:
        DataError: A folder or file is missing, or the data set has no masks.
    """
    if config.task != "segmentation":
        raise DataError(
            f"data set {config.name!r} has a class for each image and no masks; hrvit-train trains"
            " a classifier on it, by the recipe imagenet_300e"
        )
    return cast(Found, _found(config))


def _found(config: DataConfig) -> Found | FoundImages:
    layout = LAYOUTS[config.name]
    values = {name: getattr(config, name) for name in layout.reads}
    if config.root is not None:
        values["root"] = root = config.root.expanduser().absolute()
        if not root.is_dir():
            raise DataError(f"root of data set {config.name!r} is not a folder: {root}")
    return layout.find(**values)
