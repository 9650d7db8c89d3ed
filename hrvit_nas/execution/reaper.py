"""Cleans up after a process that may die at any moment. Run as a program, with nothing imported.

It is handed a folder, and waits until its standard input is closed, which is when the process that
started it ends, however it ends. Then it kills what still uses the folder, which is what that had
started, and removes it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress

ROUNDS, PAUSE_S = 300, 0.1
"""How often a folder is looked for that something goes on writing to, and how long after each."""
QUIET = 3
"""Rounds after which a folder that has not come back is gone."""


def main(folder: str) -> None:
    """Waits, then kills the processes that use the folder, and removes it."""
    # Of those, this is what whoever ends a whole group of processes must not end.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    quiet = 0
    for _ in range(ROUNDS):
        users = _users_of(folder)
        for process in users:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        quiet = 0 if users or os.path.exists(folder) else quiet + 1
        if quiet == QUIET:
            return
        time.sleep(PAUSE_S)


def _users_of(folder: str) -> list[int]:
    """Processes whose command names the folder, or that have a file open there.

    Some call themselves otherwise than they were started. Who started this one is none of them,
    should it go on. None where the system lists none.
    """
    apart = (os.getpid(), os.getppid())
    found = []
    with suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdecimal() and int(name) not in apart and _uses(name, folder):
                found.append(int(name))
    return found


def _uses(process: str, folder: str) -> bool:
    with suppress(OSError):  # it has ended, or is another user's
        with open(f"/proc/{process}/cmdline", "rb") as file:
            if os.fsencode(folder) in file.read():
                return True
        for number in os.listdir(f"/proc/{process}/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/{process}/fd/{number}").startswith(f"{folder}/"):
                    return True
    return False


if __name__ == "__main__":
    main(sys.argv[1])
