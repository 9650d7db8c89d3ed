"""Draws the Pareto figure of a run again, from the trials in its directory, or of several searches
with one frontier of all of them.

python analysis/pareto.py RUN_DIR... [--output FILE] [--cost macs|params|latency_ms|...]...
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hrvit_nas.objectives import COSTS, known_costs
from hrvit_nas.report import draw_pareto, pareto_data
from hrvit_nas.results import CostName, RunSummary, TrialStore, summarise
from hrvit_nas.search.config import SpaceConfig
from hrvit_nas.search.layout import RunLayout
from hrvit_nas.search.pooled import read_runs
from hrvit_nas.search.stored import read_config


def main(arguments: list[str] | None = None) -> None:
    """Runs the script; bad input is answered by one line and exit status 2."""
    parser = argparse.ArgumentParser(description="Draw the Pareto figure of one or several runs.")
    parser.add_argument(
        "run_dir",
        type=Path,
        nargs="+",
        help="directory of the run, with its trials.jsonl; several must agree in data and recipe",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="a .png, .pdf or .svg (default: frontier.png in the run; of several, here)",
    )
    parser.add_argument(
        "--cost",
        action="append",
        choices=COSTS,
        help="cost to set the score against, once or twice (default: what the run minimised)",
    )
    options = parser.parse_args(arguments)
    folder = options.run_dir[0] if len(options.run_dir) == 1 else Path()
    output = options.output or folder / "frontier.png"
    try:
        costs = known_costs(tuple(options.cost)) if options.cost else ()
        summary, config = read(options.run_dir, costs)
        data = pareto_data(
            summary,
            dataset="" if config is None else config.data.name,
            image_size=None if config is None else config.image_size,
        )
        draw_pareto(data, output)
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror}")
    except ValueError as error:
        fail(str(error))
    print(output)


def read(
    directories: list[Path], costs: tuple[CostName, ...]
) -> tuple[RunSummary, SpaceConfig | None]:
    """The architectures of the runs, and the configuration of the first; the trials of one are
    enough.
    """
    if len(directories) > 1:
        runs = read_runs(directories)
        return runs.summary(*costs), runs.config
    (directory,) = directories
    known = RunLayout(directory).config.exists()
    config = read_config(directory, SpaceConfig) if known else None
    ranking = {} if config is None else config.ranking
    ranking |= {"costs": costs} if costs else {}
    return summarise(TrialStore(directory).records(), **ranking), config


def fail(message: str) -> None:
    """Ends the script with one line."""
    print(f"pareto: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
