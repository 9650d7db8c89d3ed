"""A line for where a program is ended without being asked: by SIGKILL, or by a Ray that died."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_WATCH = "import os, sys; os.read(0, 1) or print(sys.argv[1], file=sys.stderr)"
"""Its standard input ends without a byte where who started it did not come to the end."""


@contextmanager
def last_words(line: str) -> Iterator[None]:
    """Has a line printed to stderr if the program ends before the block does.

    A process of its own prints it, which ends with this one in any case.
    """
    with subprocess.Popen(  # noqa: S603  # of the line above
        [sys.executable, "-I", "-S", "-c", _WATCH, line],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # what is sent to a terminal's whole group is not for it
    ) as watcher:
        try:
            yield
        finally:
            with suppress(OSError):  # where it was killed itself
                watcher.communicate(b".")
