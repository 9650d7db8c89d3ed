"""A folder for what only a running program needs, gone once it ends, however it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import reaper

SHORT = "/tmp"  # noqa: S108  # where mkdtemp makes a folder that is this user's alone
LONGEST = 40
"""Longest path of a folder for temporary files in which Ray finds room for its sockets' names."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is removed at the end, and what still uses it then is killed.

    A process of its own sees to that, so that nothing stays where this one is killed.
    """
    parent = tempfile.gettempdir()
    if len(parent) > LONGEST and os.path.isdir(SHORT):
        parent = SHORT
    folder = tempfile.mkdtemp(prefix="hrvit-", dir=parent)
    try:
        with subprocess.Popen(  # noqa: S603  # of our own file
            [sys.executable, "-I", "-S", reaper.__file__, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in a terminal is not for it
        ):  # whose input is closed at the end, and which is then waited for
            yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # where it was killed itself
