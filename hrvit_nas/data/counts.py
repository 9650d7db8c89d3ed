"""What the masks of a split hold, counted once a machine and kept beside the decoded copies."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from .cache import write_text
from .labels import IGNORE_INDEX, LabelMap
from .reading import UPRIGHT, check_fit, read_mask
from .splits import FileSplit, Split

MOST_THREADS = 8
_VALUES = 256


class LabelCounts(BaseModel):
    """What the masks of a split hold; of files, at the size they are stored in.

    Attributes:
        images: How many there are.
        sizes: Height, width, and how many images have them, the commonest first.
        pixels: Of each label, 0 to 255; the last are those ignored.
        masks: In how many masks each label occurs.
        values: Pixels of each stored value, 0 to 255; none for masks that are coloured or drawn.
        turned: Images that are turned or mirrored by their EXIF orientation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int
    sizes: tuple[tuple[int, int, int], ...]
    pixels: tuple[int, ...]
    masks: tuple[int, ...]
    values: tuple[int, ...] | None
    turned: int

    @property
    def ignored(self) -> float:
        """Share of the pixels that are ignored."""
        return self.pixels[IGNORE_INDEX] / sum(self.pixels)

    def shares(self, num_classes: int) -> NDArray[np.float64]:
        """Share of the labelled pixels that each class has, (num_classes,); 0 where none is."""
        pixels = np.array(self.pixels[:num_classes], np.float64)
        shares: NDArray[np.float64] = pixels / max(pixels.sum(), 1)
        return shares


@dataclass(frozen=True)
class _Counted:
    """What one mask holds."""

    size: tuple[int, int]
    pixels: NDArray[np.int64]
    values: NDArray[np.int64] | None = None
    turned: bool = False


def count_labels(
    split: Split, cache_dir: Path, progress: Callable[[int, int], None] | None = None
) -> LabelCounts:
    """Counts what the masks of a split hold; of files, checks every mask and that it fits.

    Args:
        split: The split; of files, images are not decoded.
        cache_dir: Where counts of files are kept.
        progress: Called with how many masks are done, and of how many.

    Raises:
        DataError: A mask is faulty, or the cache cannot be written.
    """
    if not isinstance(split, FileSplit):
        return _sum(_told(_in_memory(split), progress, len(split)))
    kept = cache_dir / f"{split.fingerprint()}.counts.json"
    try:
        return LabelCounts.model_validate_json(kept.read_bytes())
    except (OSError, ValidationError):
        pass
    counts = _sum(_told(_in_files(split), progress, len(split)))
    write_text(kept, counts.model_dump_json())
    return counts


def _in_files(split: FileSplit) -> Iterator[_Counted]:
    """What each mask holds, several decoded at a time."""

    def count(pair: tuple[Path, Path]) -> _Counted:
        return _count_file(*pair, split.labels)

    # Decoding leaves Python's lock to others.
    pool = ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1))
    try:
        yield from pool.map(count, split.pairs)
    finally:
        pool.shutdown(cancel_futures=True)


def _count_file(image: Path, mask: Path, meaning: LabelMap) -> _Counted:
    size, orientation = check_fit(image, mask)
    labels, values = read_mask(mask, meaning)
    return _Counted(
        size=size,
        pixels=_histogram(labels),
        values=None if values is None else _histogram(values),
        turned=orientation != UPRIGHT,
    )


def _in_memory(split: Split) -> Iterator[_Counted]:
    for index in range(len(split)):
        labels = split.load(index)[1]
        height, width = labels.shape
        yield _Counted((height, width), _histogram(labels))


def _histogram(values: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.bincount(values.ravel(), minlength=_VALUES)


def _told(
    counted: Iterator[_Counted], progress: Callable[[int, int], None] | None, total: int
) -> Iterator[_Counted]:
    for done, one in enumerate(counted, 1):
        yield one
        if progress:
            progress(done, total)


def _sum(counted: Iterator[_Counted]) -> LabelCounts:
    sizes: Counter[tuple[int, int]] = Counter()
    pixels, masks, values = (np.zeros(_VALUES, np.int64) for _ in range(3))
    with_values = turned = done = 0
    for one in counted:
        sizes[one.size] += 1
        pixels += one.pixels
        masks += one.pixels > 0
        if one.values is not None:
            values += one.values
            with_values += 1
        turned += one.turned
        done += 1
    return LabelCounts(
        images=done,
        sizes=tuple((*size, count) for size, count in sizes.most_common()),
        pixels=tuple(pixels.tolist()),
        masks=tuple(masks.tolist()),
        values=tuple(values.tolist()) if with_values else None,
        turned=turned,
    )
