"""JSON files that tell whether they are as they were written: each holds a checksum of the rest.

The checksum is the first key, on a line of its own, so that who edits such a file can remove it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import write_text

SEAL = "sha256"


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON with the checksum of its content, replacing an older file in one step.

    Raises:
        OSError: The file cannot be written.
    """
    # As it is read again: numbers as keys have become texts, for example.
    plain = json.loads(json.dumps(content))
    write_text(path, json.dumps({SEAL: _checksum(plain), **plain}, indent=2) + "\n")


def read_sealed(path: Path) -> dict[str, Any]:
    """Reads JSON that was written with a checksum, or by a version that wrote none.

    Layout and the order of keys are not part of the content.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds no JSON object, or its content is not that of its checksum.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError(f"it must hold an object, got a {type(content).__name__}")
    seal = content.pop(SEAL, None)
    if seal is not None and seal != _checksum(content):
        raise ValueError(
            "its content is not that of its checksum; restore it, or, if it was edited on"
            f" purpose, remove its line {SEAL!r}"
        )
    return content


def _checksum(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
