"""From a configuration to a data set that is ready to train on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .cache import cached, default_cache_dir
from .config import DataConfig
from .labels import IGNORE_INDEX, DataError
from .layouts import LAYOUTS, SPLITS, Found
from .splits import Split


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
    found = _find(config)
    train, val = splits = [found.split(name, config.image_size) for name in SPLITS]
    if config.synthetic:
        return SegmentationData(
            name=config.name, class_names=found.class_names, train=train, val=val
        )
    for name, split in zip(SPLITS, splits, strict=True):
        if not len(split):
            raise DataError(f"data set {config.name!r} has no image in its split {name!r}")
    return SegmentationData(
        name=config.name,
        class_names=found.class_names,
        train=cached(train, directory),
        val=cached(val, directory),
    )


def _find(config: DataConfig) -> Found:
    layout = LAYOUTS[config.name]
    values = {name: getattr(config, name) for name in layout.reads}
    if config.root is not None:
        values["root"] = root = config.root.expanduser().absolute()
        if not root.is_dir():
            raise DataError(f"root of data set {config.name!r} is not a folder: {root}")
    return layout.find(**values)
