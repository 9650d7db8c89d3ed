"""Cleans up after a process that may die at any moment. Run as a program, with nothing imported.

It is handed a folder, and waits until its standard input is closed, which is when the process that
started it ends, however it ends. Then it kills what this had started, which has the folder in its
environment, and removes the folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress

VARIABLE = "HRVIT_SCRATCH"
"""Of the environment of what is started: the folder."""
ROUNDS, PAUSE_S = 150, 0.2
"""How often a folder is removed that something goes on writing to, and how long after each time."""


def main(folder: str) -> None:
    """Waits, then kills the processes whose environment names the folder, and removes it."""
    while os.read(0, 4096):
        pass
    for _ in range(ROUNDS):
        for process in _processes_of(folder):
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return
        time.sleep(PAUSE_S)


def _processes_of(folder: str) -> list[int]:
    """Processes that inherited the folder's name; none where the system does not list them."""
    mark = os.fsencode(f"{VARIABLE}={folder}")
    found = []
    with suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdecimal() and int(name) != os.getpid():
                with suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                    if mark in file.read().split(b"\0"):
                        found.append(int(name))
    return found


if __name__ == "__main__":
    main(sys.argv[1])
