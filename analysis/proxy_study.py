"""What lowers the noise of a proxy score: calibrates one remedy after another, and compares them.

python analysis/proxy_study.py run DIR --data-root CAMVID
python analysis/proxy_study.py report DIR [--figure FILE]

`experiments/studies/proxy.yaml` declares the remedies. An interrupted study goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from hrvit_nas.report import (
    draw_remedies,
    mean_of_last,
    mean_of_seeds,
    remedies_markdown,
    remedy_rows,
)
from hrvit_nas.results import RunSummary, ScoreTable, TrialRecord, TrialStore, score_table
from hrvit_nas.search.config import CONFIG_NAME, SearchConfig, load_profile, load_recipe
from hrvit_nas.search.run import continue_run, create_run, open_run
from hrvit_nas.search.supernet import Step
from hrvit_nas.search.tasks import Task

STUDY = Path(__file__).parents[1] / "experiments" / "studies" / "proxy.yaml"


class Lines:
    """Prints a line a trial."""

    def __init__(self, name: str) -> None:
        self._name = name

    def started(self, task: Task) -> None:
        """Nothing to say yet."""

    def supernet(self, step: Step | None) -> None:
        """Nothing: a calibration has none."""

    def ended(self, record: TrialRecord, summary: RunSummary) -> None:  # noqa: ARG002
        """One line."""
        score = record.error if record.miou is None else f"{record.miou:.2%}"
        print(
            f"{self._name}: {record.number + 1}, {record.macs / 1e6:.0f} M, seed {record.seed}:"
            f" {score} ({record.seconds:.0f} s)",
            flush=True,
        )


def configured(study: dict[str, Any], remedy: dict[str, Any], root: Path) -> SearchConfig:
    """The calibration of one remedy."""
    plan, profile = load_recipe(study["recipe"]), load_profile(study["profile"])
    recipe = plan.recipe.model_dump() | study["base"] | remedy
    augment = remedy.get("augment", {})
    return SearchConfig.model_validate(
        {
            "space": "heterogeneous_branches",
            "narrowing": profile.narrowing.model_dump() | {"limits": study["limits"]},
            "data": {"name": "camvid", "root": root.resolve(), "image_size": plan.image_size},
            "recipe": recipe | {"augment": plan.recipe.augment.model_dump() | augment},
            "trials": 1,
            "calibrate": study["members"],
            "calibration_seeds": study["seeds"],
        }
    )


def folder(directory: Path, name: str) -> Path:
    """Run directory of a remedy."""
    return directory / name.replace(" ", "_")


def run(study: dict[str, Any], directory: Path, root: Path) -> None:
    """Trains what is left of the study."""
    for name, remedy in study["remedies"].items():
        target = folder(directory, name)
        if (target / CONFIG_NAME).exists():
            calibration = open_run(target, {}, {})
        else:
            calibration = create_run(configured(study, remedy, root), target)
        try:
            continue_run(calibration, Lines(name))
        finally:
            calibration.close()


def tables(study: dict[str, Any], directory: Path) -> dict[str, ScoreTable]:
    """Scores of every remedy that is complete, and of the other readings of the same runs."""
    wanted = study["members"] * study["seeds"]
    found: dict[str, ScoreTable] = {}
    records: dict[str, list[TrialRecord]] = {}
    for name in study["remedies"]:
        path = folder(directory, name)
        records[name] = TrialStore(path).records() if path.is_dir() else []
        if len(records[name]) < wanted:
            print(f"{name}: {len(records[name])} of {wanted} trials; left out", file=sys.stderr)
        else:
            found[name] = score_table(records[name])
    for name, reading in study["readings"].items():
        if reading["of"] not in found:
            continue
        table = score_table(records[reading["of"]], reading.get("criterion", "miou"))
        if "last" in reading:
            table = mean_of_last(table, reading["last"])
        if "seeds" in reading:
            table = mean_of_seeds(table, reading["seeds"])
        found[name] = table
    return found


def report(study: dict[str, Any], directory: Path, figure: Path | None) -> None:
    """Prints the table, and draws the figure if a file is named."""
    rows = remedy_rows(tables(study, directory), baseline=study["baseline"], target=study["target"])
    print(remedies_markdown(rows, study["target"]), end="")
    if figure is not None:
        first = rows[0]
        caption = f"CamVid, {first.num_architectures} architectures, {study['seeds']} seeds each"
        draw_remedies(rows, figure, caption=caption)


def main(arguments: list[str] | None = None) -> None:
    """Runs the script; bad input is answered by one line and exit status 2."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="train what is left of the study")
    runs.add_argument("--data-root", type=Path, required=True, help="folder of CamVid")
    reports = commands.add_parser("report", help="print the table, as Markdown")
    reports.add_argument("--figure", type=Path, help="a .png, .pdf or .svg to draw")
    for command in (runs, reports):
        command.add_argument("directory", type=Path, help="holds a run directory a remedy")
    options = parser.parse_args(arguments)
    study = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    try:
        if options.command == "run":
            run(study, options.directory, options.data_root)
        else:
            report(study, options.directory, options.figure)
    except (InterruptedError, KeyboardInterrupt):
        print("interrupted; the same command goes on", file=sys.stderr)
        raise SystemExit(130) from None
    except (ValueError, OSError) as error:
        print(f"proxy_study: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
