"""Sittings of a run: where, when and with what each was begun, in `provenance.json`."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any

from .._messages import one_line
from ..execution import Resources
from ..results import provenance, write_text
from .config_parts import ConfigError
from .layout import set_aside

_log = logging.getLogger(__name__)


def note_sitting(path: Path, resources: Resources, seeds: Sequence[int]) -> None:
    """Adds this sitting to the file; several machines may have run a resumed run.

    Raises:
        ConfigError: The file is damaged.
    """
    sittings = _read(path)
    device = "cuda" if resources.gpus_per_trial else "cpu"
    sittings.append({**provenance(device=device), "seeds": list(seeds)})
    write_text(path, json.dumps(sittings, indent=2) + "\n")


def set_damaged_aside(path: Path) -> bool:
    """Renames the file if it is damaged, with a warning: a run does not hang on it.

    Returns:
        Whether it was.
    """
    try:
        _read(path)
    except ConfigError as error:
        _log.warning(
            "%s; it is now %s, and a new one begins with this sitting: MLflow, where the run has"
            " it, takes the run for another",
            error,
            set_aside(path).name,
        )
        return True
    return False


def began(path: Path) -> str:
    """How a run began, as twelve digits: it tells a run from others, also once it has been moved.

    Raises:
        ConfigError: The file is damaged.
    """
    return hashlib.sha256(json.dumps(_read(path)[:1]).encode()).hexdigest()[:12]


def began_at(path: Path) -> float:
    """When a run began, in seconds since 1970; it has been begun.

    Raises:
        ConfigError: The file is damaged.
    """
    started: str = _read(path)[0]["started_at"]
    return datetime.fromisoformat(started).timestamp()


def _read(path: Path) -> list[Any]:
    try:
        sittings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        if not isinstance(sittings, list):
            raise ValueError(f"it must hold a list, not a {type(sittings).__name__}")
        if any(not isinstance(sitting, dict) for sitting in sittings):
            raise ValueError("a sitting in it is no object")
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is damaged: {one_line(str(error), 100)}") from error
    return sittings


def public_sittings(path: Path) -> list[dict[str, Any]]:
    """Provenance without what is of one machine alone: its name, and folders on it."""
    try:
        sittings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return [_public(sitting) for sitting in sittings if isinstance(sitting, Mapping)]


def _public(sitting: Mapping[str, Any]) -> dict[str, Any]:
    machine = {k: v for k, v in (sitting.get("machine") or {}).items() if k != "host"}
    command = [_without_folders(str(word)) for word in sitting.get("command") or []]
    return {**sitting, "machine": machine, "command": command}


def _without_folders(word: str) -> str:
    option, equals, value = word.rpartition("=")
    path = PurePath(value)
    return f"{option}{equals}{path.name}" if path.is_absolute() else word
