"""A run from the command line: gone on with, shown, and left in good order however it ends."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import NOTHING_TRAINED
from .interrupts import Interrupts
from .last_words import last_words

if TYPE_CHECKING:
    from rich.console import Console

    from ..search.opened import Run
    from ..search.run_config import RunConfig

_COMMANDS = {
    **dict.fromkeys(("search", "supernet_search", "calibration"), "hrvit-search"),
    "ablation": "hrvit-ablate",
}
"""The command that makes and continues each kind of run; of a kind without one, that is Python."""
_HINT = "{}; nothing is lost. Continue with: {} --resume {}"


def go(
    run: Run[Any],
    command: str,
    console: Console,
    announce: Callable[[], None],
    show: Callable[[list[str]], bool],
) -> int:
    """Does what is left to do of a run, then shows what came of it.

    Args:
        run: Open for writing; it is closed.
        command: That continues it.
        console: Where progress is shown.
        announce: Says what is about to happen.
        show: Writes and prints what came of it, given notes on how it went; says whether there is
            anything.

    Returns:
        The exit status.
    """
    hint = hint_of("interrupted", command, run.directory)
    killed = f"{command}: {hint_of('killed', command, run.directory)}"
    with Interrupts() as interrupts, last_words(killed):
        try:
            notes, interrupted = _continued(run, console, announce, interrupts)
            found = show(notes)
            if interrupted:
                say(console, hint)
                return interrupts.status
        except KeyboardInterrupt:  # before the first trial, or while the results are written
            run.close()
            with suppress(OSError):
                print(hint)
            return interrupts.status
        except OSError:
            if not interrupts.seen:
                raise
            return interrupts.status  # of a terminal that was closed, nobody reads the hint
    return 0 if found else NOTHING_TRAINED


def hint_of(what: str, command: str, directory: Path) -> str:
    """What became of a run that did not come to its end, and how to go on with it."""
    return _HINT.format(what, command, shlex.quote(str(directory)))


def config_to_resume(directory: Path, command: str) -> RunConfig:
    """The configuration of a run that a command is to continue.

    Raises:
        ConfigError: There is none, or another command continues it.
    """
    from ..search.config_parts import ConfigError
    from ..search.kinds import KINDS
    from ..search.stored import read_config

    config: RunConfig = read_config(directory)
    theirs = _COMMANDS.get(config.kind)
    if theirs != command:
        how = "from Python" if theirs is None else f"with {theirs} --resume {directory}"
        raise ConfigError(f"{directory} holds {KINDS[config.kind].words}; continue it {how}")
    return config


def say(console: Console, *lines: str) -> None:
    """Prints lines as they are, however long."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _continued(
    run: Run[Any], console: Console, announce: Callable[[], None], interrupts: Interrupts
) -> tuple[list[str], bool]:
    """Does what is left to do, and closes the run.

    Returns:
        Notes on how it went, and whether it was interrupted.
    """
    from ..execution import ExecutionError
    from ..samplers import SamplerError
    from ..search.config_parts import ConfigError
    from ..search.run import continue_run
    from .progress import SearchProgress

    config = run.config
    stage = config.first_stage
    done = sum(record.stage == stage for record in run.store.records())
    notes: list[str] = []
    interrupted = False
    try:
        announce()
        with SearchProgress(console, config.num_trials, done, stage) as progress:
            notes = continue_run(run, progress, lambda: interrupts.seen)
    except (InterruptedError, KeyboardInterrupt):
        interrupted = True
    except (ConfigError, ExecutionError, SamplerError, OSError):
        if not interrupts.seen:
            run.discard_if_unused()
            raise
        interrupted = True  # what was struck beside this program, such as Ray, is missed
    finally:
        run.close()
    return notes, interrupted
