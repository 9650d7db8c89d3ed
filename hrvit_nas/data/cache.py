"""One decoded copy of a small split a machine, in memory-mapped files.

The first process that needs a split decodes it; every other one, now or later, maps the same
files, so that the operating system's page cache holds the one copy. Entries are keyed by
what they depend on and never change; deleting the folder is always safe.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .labels import DataError
from .splits import IMAGES, LABELS, CachedSplit, Source, Split

CACHE_LIMIT_BYTES = 2 << 30
"""A split that is larger than this when decoded is read from its files instead."""

_BYTES_A_PIXEL = 4


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/hrvit_nas`, or `~/.cache/hrvit_nas` without that variable."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hrvit_nas"


def cached(source: Source, cache_dir: Path) -> Split:
    """The split itself if it is large or its sizes differ, else its copy in the cache.

    Raises:
        DataError: A file of the split is faulty, or the cache cannot be written.
    """
    folder = cache_dir / source.fingerprint()
    if folder.is_dir():
        return CachedSplit(source.names, folder)
    sizes = source.sizes()
    height, width = first = next(sizes)
    if len(source) * height * width * _BYTES_A_PIXEL > CACHE_LIMIT_BYTES:
        return source
    if any(size != first for size in sizes):
        return source
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock")):
            if not folder.is_dir():
                _build(source, first, folder)
    except OSError as error:
        raise DataError(f"cannot write the data cache {cache_dir}: {error}") from error
    return CachedSplit(source.names, folder)


def write_text(path: Path, text: str) -> None:
    """Writes a small file of the cache, whole or not at all.

    Raises:
        DataError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(text)
        Path(file.name).replace(path)
    except OSError as error:
        raise DataError(f"cannot write the data cache {path.parent}: {error}") from error


def _build(source: Source, size: tuple[int, int], folder: Path) -> None:
    """Decodes into a folder beside the final one, which a rename then puts in place at once."""
    building = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        # Written as a stream: writing through a memory map dies of SIGBUS on a full disk.
        with (building / IMAGES).open("wb") as images, (building / LABELS).open("wb") as labels:
            _write_header(images, (len(source), *size, 3))
            _write_header(labels, (len(source), *size))
            for index in range(len(source)):
                image, label = source.load(index)
                images.write(image.tobytes())
                labels.write(label.tobytes())
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a file lock, which the system releases even when the process is killed."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
