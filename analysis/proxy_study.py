"""What lowers the noise of a proxy score: calibrates one remedy after another.

Run as `python analysis/proxy_study.py --data-root DIR --output DIR`; an interrupted study goes on
where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from hrvit_nas.results import RunSummary, TrialRecord
from hrvit_nas.search.config import SearchConfig, load_profile, load_recipe
from hrvit_nas.search.run import CONFIG_NAME, continue_run, create_run, open_run
from hrvit_nas.search.tasks import Task

STUDY = Path(__file__).parents[1] / "experiments" / "proxy_study.yaml"


class Lines:
    """Prints a line a trial."""

    def __init__(self, name: str) -> None:
        self._name = name

    def started(self, task: Task) -> None:
        """Nothing to say yet."""

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


def main() -> None:
    """Trains what is left of the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    study = yaml.safe_load(STUDY.read_text())
    for name, remedy in study["remedies"].items():
        directory = options.output / name.replace(" ", "_")
        if (directory / CONFIG_NAME).exists():
            run = open_run(directory, {}, {})
        else:
            run = create_run(configured(study, remedy, options.data_root), directory)
        try:
            continue_run(run, Lines(name))
        finally:
            run.close()


if __name__ == "__main__":
    main()
