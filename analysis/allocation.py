"""Draws the allocation over branches of a search again, from the trials in its directory.

python analysis/allocation.py RUN_DIR [--output FILE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hrvit_nas.report.allocation import allocation_data, draw_allocation
from hrvit_nas.report.run import load_run


def main(arguments: list[str] | None = None) -> None:
    """Draws the figure and prints what it decides; bad input is one line, status 2."""
    parser = argparse.ArgumentParser(description="Draw the allocation over branches of a search.")
    parser.add_argument("run_dir", type=Path, help="directory of the run, with its trials.jsonl")
    parser.add_argument(
        "--output", type=Path, help="a .png, .pdf or .svg (default: allocation.png in the run)"
    )
    options = parser.parse_args(arguments)
    output = options.output or options.run_dir / "allocation.png"
    try:
        data = allocation_data(load_run(options.run_dir))
        draw_allocation(data, output)
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror}")
    except ValueError as error:
        fail(str(error))
    print(*data.words, output, sep="\n")


def fail(message: str) -> None:
    """Ends the script with one line."""
    print(f"allocation: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
