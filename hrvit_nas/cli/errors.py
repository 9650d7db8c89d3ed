"""Bad input as one clear line and exit status 2."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import typer

from .._messages import one_line
from .interrupts import Interrupts

NOTHING_TRAINED, BAD_INPUT = 1, 2
OF_TYPER = 130
"""Status that Typer makes of a KeyboardInterrupt, whatever signal it came of."""
STOPPED = range(129, 160)
"""Statuses of a program that a signal ended."""


def run_app(app: typer.Typer, name: str) -> None:
    """Runs a command; what the user got wrong is one line on stderr, never a traceback."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine(f"{name}: %(message)s"))
    logging.basicConfig(handlers=[handler])
    command: Callable[..., object] = typer.main.get_command(app)
    interrupts = Interrupts()
    try:
        with interrupts:
            status = command(prog_name=name, standalone_mode=False)
        if interrupts.seen and status == OF_TYPER:
            raise KeyboardInterrupt
    except (typer.Abort, KeyboardInterrupt):
        _interrupted(name, interrupts)
    except (typer.TyperException, ValueError, RecursionError, OSError) as error:
        if interrupts.seen:  # and lost on the way to here, or what was struck beside it is missed
            _interrupted(name, interrupts)
        fail(name, _told(error))
    code = status if isinstance(status, int) else 0
    if code in STOPPED:
        _leave(code)
    sys.exit(code)


def _told(error: Exception) -> str:
    """What the user got wrong."""
    if isinstance(error, typer.TyperException):
        return error.format_message()
    if isinstance(error, RecursionError):
        return "a file that was read is nested too deeply"
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
    return str(error)


def _interrupted(name: str, interrupts: Interrupts) -> NoReturn:
    with suppress(OSError):  # of a terminal that is gone
        print(f"{name}: interrupted", file=sys.stderr)
    _leave(interrupts.status)


def _leave(status: int) -> NoReturn:
    """Leaves without taking the interpreter down: half-started C++ threads of Ray may crash it."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


def fail(name: str, message: str) -> None:
    """Prints one line and leaves with status 2."""
    print(one_line(f"{name}: {message}"), file=sys.stderr)
    sys.exit(BAD_INPUT)


class _OneLine(logging.Formatter):
    """Warnings, as short as what a command is refused with."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))
