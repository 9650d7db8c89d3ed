"""Where a result comes from: versions, source, machine and command line, as plain data."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import hrvit_nas

PACKAGES = ("torch", "ray", "optuna", "numpy")
"""Packages whose versions may change a result."""

VECTOR_INSTRUCTIONS = ("avx512f", "avx2", "avx", "sve", "asimd")
"""Flags of x86 and ARM, the wider first."""

_SECRET_IN_URL = re.compile(r"(://[^/@\s]*?:)[^/@\s]+@")


def provenance(
    *, device: str = "cpu", command: Sequence[str] | None = None, started_at: datetime | None = None
) -> dict[str, Any]:
    """Describes this process, for storing with its results. Imports none of the packages it names.

    Args:
        device: Device that trains, in words (its name is not looked up).
        command: Command line; that of this process by default. Passwords in URLs are masked.
        started_at: Start time, with a time zone; now by default.

    Returns:
        JSON-ready data: `versions` (null for a package that is not installed), `git` (`commit`
        and `dirty`, or null when the source is not in a git tree), `machine` (`host`, `platform`,
        `cpu`, `vector_instructions`, `cores`), `device`, `command` and `started_at` (UTC, ISO
        8601).
    """
    started_at = started_at or datetime.now(UTC)
    return {
        "versions": {
            "python": platform.python_version(),
            "hrvit_nas": hrvit_nas.__version__,
            **{name: _version(name) for name in PACKAGES},
        },
        "git": _git(Path(hrvit_nas.__file__).parent),
        "machine": {
            "host": platform.node(),
            "platform": platform.platform(),
            "cpu": _of_cpu("model name") or platform.processor(),
            "vector_instructions": _vector_instructions(),
            "cores": len(os.sched_getaffinity(0)),
        },
        "device": device,
        "command": [
            _SECRET_IN_URL.sub(r"\1***@", word)
            for word in (sys.argv if command is None else command)
        ],
        "started_at": started_at.astimezone(UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(folder: Path) -> dict[str, Any] | None:
    # An installed copy may lie in somebody else's repository: only a tracked file speaks for ours.
    if _run_git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = _run_git(folder, "rev-parse", "HEAD")
    status = _run_git(folder, "status", "--porcelain")
    return None if commit is None else {"commit": commit, "dirty": status != ""}


def _run_git(folder: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are ours
            [git, "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _vector_instructions() -> str | None:
    """The widest that the CPU has, by which kernels round; null where that is unknown."""
    has = (_of_cpu("flags") or _of_cpu("Features") or "").split()
    return next((name for name in VECTOR_INSTRUCTIONS if name in has), None)


def _of_cpu(field: str) -> str | None:
    """A field of the first CPU, as Linux tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(rf"^{field}\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1) if found else None
