"""Images that lie in both splits: what is scored on them was trained on."""

from __future__ import annotations

import filecmp
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

PIECE = 2**16
"""Bytes of a file by which two of one size are told apart, before they are compared whole."""


def in_both(train: Sequence[Path], val: Sequence[Path]) -> list[Path]:
    """Files of `val` that are equal to one of `train`, whatever their names.

    Few are read: files of different sizes differ.

    Raises:
        OSError: One cannot be read.
    """
    sizes = {path: path.stat().st_size for path in (*train, *val)}
    common = {sizes[path] for path in train} & {sizes[path] for path in val}
    known: dict[bytes, list[Path]] = defaultdict(list)
    for path in train:
        if sizes[path] in common:
            known[_piece(path, sizes[path])].append(path)
    return [
        path
        for path in val
        if sizes[path] in common
        and any(
            filecmp.cmp(path, other, shallow=False)
            for other in known.get(_piece(path, sizes[path]), ())
        )
    ]


def _piece(path: Path, size: int) -> bytes:
    """A digest of the middle of a file, where pictures differ if anywhere."""
    with path.open("rb") as file:
        file.seek(max(0, (size - PIECE) // 2))
        return blake2b(file.read(PIECE), digest_size=16).digest()
