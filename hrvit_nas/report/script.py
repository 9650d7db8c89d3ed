"""What the scripts of `analysis/` that draw one figure of a run have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

from .run import ReportedRun, load_run
from .section import Finding, sentences


class _Found(Protocol):
    @property
    def findings(self) -> Sequence[Finding]: ...


D = TypeVar("D", bound=_Found)


def draw_from_run(
    name: str,
    what: str,
    make: Callable[[ReportedRun], D],
    draw: Callable[[D, Path], None],
    arguments: list[str] | None = None,
) -> None:
    """Draws a figure of a run and prints what it decides; bad input is one line, status 2.

    Args:
        name: Of the script, and of the figure where no other is asked for.
        what: What the figure shows, for `--help`.
        make: Turns a run into the figure's data.
        draw: Draws them into a file.
        arguments: Of the command line; None = those of the process.

    Raises:
        SystemExit: The input is bad, or help was asked for.
    """

    def fail(message: str) -> NoReturn:
        print(f"{name}: {message}", file=sys.stderr)
        raise SystemExit(2)

    parser = argparse.ArgumentParser(description=f"Draw the {what} of a search.")
    parser.add_argument("run_dir", type=Path, help="directory of the run, with its trials.jsonl")
    parser.add_argument(
        "--output", type=Path, help=f"a .png, .pdf or .svg (default: {name}.png in the run)"
    )
    options = parser.parse_args(arguments)
    output = options.output or options.run_dir / f"{name}.png"
    try:
        data = make(load_run(options.run_dir))
        draw(data, output)
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror}")
    except ValueError as error:
        fail(str(error))
    print(*sentences(data.findings, {}), output, sep="\n")
