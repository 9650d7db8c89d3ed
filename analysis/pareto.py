"""Draws the Pareto figure of a run again, from the trials in its directory.

python analysis/pareto.py RUN_DIR [--output FILE] [--cost macs|params|latency_ms]
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from hrvit_nas.report import ReportError, draw_pareto, pareto_data
from hrvit_nas.results import CostName, Criterion, TrialStore, summarise

COSTS: tuple[CostName, ...] = get_args(CostName)


def main(arguments: list[str] | None = None) -> None:
    """Runs the script; bad input is answered by one line and exit status 2."""
    parser = argparse.ArgumentParser(description="Draw the Pareto figure of a run again.")
    parser.add_argument("run_dir", type=Path, help="directory of the run, with its trials.jsonl")
    parser.add_argument(
        "--output", type=Path, help="a .png, .pdf or .svg (default: frontier.png in the run)"
    )
    parser.add_argument(
        "--cost",
        choices=COSTS,
        help="cost to set mIoU against (default: the one that the run minimised)",
    )
    options = parser.parse_args(arguments)
    output = options.output or options.run_dir / "frontier.png"
    try:
        records = TrialStore(options.run_dir).records()
        names = read_names(options.run_dir / "config.json")
        summary = summarise(
            records,
            cost=options.cost or names.cost,
            noise=names.noise,
            criterion=names.criterion,
            finalists=names.finalists,
        )
        data = pareto_data(summary, dataset=names.dataset, image_size=names.image_size)
        draw_pareto(data, output)
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror}")
    except ValueError as error:
        fail(str(error))
    print(output)


def fail(message: str) -> None:
    """Ends the script with one line."""
    print(f"pareto: {message}", file=sys.stderr)
    raise SystemExit(2)


@dataclass(frozen=True)
class RunNames:
    """What the figure takes from a run's configuration, as far as that says it."""

    cost: CostName = "macs"
    criterion: Criterion = "miou"
    dataset: str = ""
    image_size: tuple[int, int] | None = None
    noise: float | None = None
    finalists: int | None = None


def read_names(path: Path) -> RunNames:
    """Reads the configuration that a search left in its directory, if it left one."""
    if not path.exists():
        return RunNames()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if "ablation" in content:
            raise ReportError(
                f"{path.parent} holds no search, but a run of hrvit-ablate, which has no frontier"
            )
        config = content["config"]
        cost = config.get("cost", "macs")
        if cost not in COSTS:
            raise ValueError(f"cost must be one of {', '.join(COSTS)}, got {cost!r}")
        data, recipe = config.get("data", {}), config.get("recipe", {})
        size = data.get("image_size") or recipe.get("augment", {}).get("crop_size")
        if size is not None:
            height, width = map(int, size)
            size = (height, width)
        noise = (config.get("standing") or {}).get("noise")
        criterion = recipe.get("criterion", "miou")
        if criterion not in get_args(Criterion):
            raise ValueError(f"criterion must be one of {', '.join(get_args(Criterion))}")
        return RunNames(
            cost=cost,
            criterion=criterion,
            dataset=data.get("name", ""),
            image_size=size,
            noise=noise and float(noise),
            finalists=config.get("finalists"),
        )
    except ReportError:
        raise
    except (ValueError, TypeError, AttributeError, LookupError, OSError) as error:
        raise ReportError(f"{path} is not the configuration of a run: {error}") from error


if __name__ == "__main__":
    main()
