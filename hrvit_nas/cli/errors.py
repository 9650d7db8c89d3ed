"""Bad input as one clear line and exit status 2."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import typer

NOTHING_TRAINED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def run_app(app: typer.Typer, name: str) -> None:
    """Runs a command; what the user got wrong is one line on stderr, never a traceback."""
    logging.basicConfig(format=f"{name}: %(message)s")
    command: Callable[..., object] = typer.main.get_command(app)
    try:
        status = command(prog_name=name, standalone_mode=False)
    except typer.TyperException as error:
        fail(name, error.format_message())
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except ValueError as error:
        fail(name, str(error))
    except RecursionError:
        fail(name, "a file that was read is nested too deeply")
    except OSError as error:
        fail(name, f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))
    sys.exit(status if isinstance(status, int) else 0)


def fail(name: str, message: str) -> None:
    """Prints one line and leaves with status 2."""
    line = " ".join(message.split())
    print(f"{name}: {line}", file=sys.stderr)
    sys.exit(BAD_INPUT)
