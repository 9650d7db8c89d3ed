"""What can be known of a data set before anything is trained on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from .cache import cached, default_cache_dir
from .config import DataConfig
from .counts import LabelCounts, count_labels
from .dataset import find
from .duplicates import in_both
from .labels import DataError
from .layouts import SPLITS, FileSet
from .layouts.pairing import listed

MUCH_IGNORED = 0.5
"""Share of the pixels from which on it is said that they are ignored."""
WORDS = {"train": "training", "val": "validation"}
_CONSEQUENCE = {
    "train": "what is not seen cannot be learned; check the classes, or the label rule",
    "val": "what is not there is left out of mIoU, or counts as 0 where it is predicted",
}
_RIGHT = {
    "train": "right: there is nothing to learn; check the label rule",
    "val": "scored 100%: scores tell nothing; check the label rule",
}


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """What was found.

    Attributes:
        class_names: Names of the classes, by label.
        counts: Of each split, by name; none where there are no images.
        warnings: What looks like a mistake, a line each.
    """

    class_names: tuple[str, ...]
    counts: Mapping[str, LabelCounts]
    warnings: tuple[str, ...]


def check_data(
    config: DataConfig,
    cache_dir: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> DataCheck:
    """Counts what both splits hold, and says what looks like a mistake.

    Of a set of files every mask is read, once a machine, whatever its size; images are not decoded.

    Args:
        config: Which data set.
        cache_dir: As in `load_data`.
        progress: Called with a split's name, how many of its masks are done, and of how many.

    Raises:
        DataError: A file is missing or faulty, or no pixel of a split is labelled.
    """
    directory = (cache_dir or default_cache_dir()).absolute()
    found = find(config)
    files = found if isinstance(found, FileSet) else None
    names = found.class_names
    counts = {}
    for name in () if config.synthetic else SPLITS:
        source = found.split(name, config.image_size)
        split = source if files else cached(source, directory)
        told = partial(progress, name) if progress else None
        counts[name] = count_labels(split, directory, told)
    for name, of_split in counts.items():
        if not any(of_split.pixels[: len(names)]):
            cause = _suspicion(files, of_split)
            raise DataError(
                f"no pixel of the {WORDS[name]} masks is labelled: all {of_split.images} hold"
                f" ignored values alone{f'; {cause}' if cause else ''}"
            )
    warnings = [*_warnings(files, counts, names), *_shared(files)]
    return DataCheck(class_names=names, counts=counts, warnings=tuple(warnings))


def _warnings(
    files: FileSet | None, counts: Mapping[str, LabelCounts], names: tuple[str, ...]
) -> Iterator[str]:
    for name, of_split in counts.items():
        word = WORDS[name]
        if files:
            yield from files.splits[name].notes
        if cause := _suspicion(files, of_split):
            yield f"the {word} set looks like another convention: {cause}"
        seen = [label for label in range(len(names)) if of_split.pixels[label]]
        if len(seen) == 1:
            yield (
                f"{names[seen[0]]!r} is the one class that is labelled in the {word} masks: a"
                f" network that answers nothing else is {_RIGHT[name]}"
            )
        elif unseen := [names[label] for label in range(len(names)) if label not in seen]:
            yield (
                f"never seen in the {word} masks, of {len(names)} classes:"
                f" {listed(unseen)}; {_CONSEQUENCE[name]}"
            )
        if of_split.ignored > MUCH_IGNORED:
            yield (
                f"{of_split.ignored:.0%} of the pixels of the {word} masks are ignored, neither"
                " trained on nor scored; check the label rule if that is not meant"
            )


def _shared(files: FileSet | None) -> Iterator[str]:
    if files is None:
        return
    train, val = ([image for image, _ in files.splits[name].pairs] for name in SPLITS)
    try:
        both = in_both(train, val)
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from error
    if both:
        yield (
            f"{len(both)} of {len(val)} validation images are training images too, and flatter"
            f" every score: {listed([image.name for image in both])}; keep them in one split"
        )


def _suspicion(files: FileSet | None, counts: LabelCounts) -> str | None:
    if files is None or counts.values is None:
        return None
    return files.suspect(np.array(counts.values))
