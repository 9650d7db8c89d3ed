"""Supernet search against search by trials and random search, at about equal compute.

`run` does what is left of the study that `experiments/studies/strategies.yaml` declares, one run
directory a strategy and seed. `report` prints and draws what each found.

    python analysis/strategy_study.py run runs/strategies --data-root CAMVID
    python analysis/strategy_study.py report runs/strategies --figure figure.png
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from hrvit_nas._files import declarations_dir, load_yaml
from hrvit_nas.cli.errors import run_app
from hrvit_nas.data import load_data
from hrvit_nas.report import draw_strategies, strategies_markdown, strategy_run
from hrvit_nas.report.strategies import StrategyRun
from hrvit_nas.results import RunSummary, Trial, TrialRecord, TrialStore
from hrvit_nas.search.config import AnySearch
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.layout import RunLayout
from hrvit_nas.search.profiles import load_profile, load_recipe
from hrvit_nas.search.run import continue_run, create_run, open_run
from hrvit_nas.search.stored import parse_config, read_config
from hrvit_nas.search.supernet import Step

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
STUDY = declarations_dir("experiments") / "studies" / "strategies.yaml"


class Lines:
    """Prints a line a trial."""

    def __init__(self, name: str) -> None:
        self._name = name

    def supernet(self, step: Step | None) -> None:
        """Nothing: its curve is kept in the run directory."""

    def started(self, trial: Trial) -> None:
        """Nothing to say yet."""

    def ended(self, record: TrialRecord, summary: RunSummary | None) -> None:  # noqa: ARG002
        """One line."""
        score = record.error if record.miou is None else f"{record.miou:.2%}"
        print(
            f"{self._name}: {record.purpose}, {record.evaluator}, {record.number + 1}: {score}",
            flush=True,
        )


def configured(study: dict[str, Any], strategy: dict[str, Any], seed: int, root: Path) -> AnySearch:
    """One run of the study."""
    plan, profile = load_recipe(study["recipe"]), load_profile(study["profile"])
    own = dict(strategy)
    if "supernet" in own:
        own["supernet"] = plan.supernet.model_dump() | own["supernet"]
    return parse_config(
        {
            "space": study["space"],
            "narrowing": profile.narrowing.model_dump(exclude_unset=True),
            "data": {"name": "camvid", "root": root.resolve(), "image_size": plan.image_size},
            "recipe": plan.recipe.model_dump() | study["base"],
            "references": [],
            "seed": seed,
            **own,
            "resources": {"workers": 1},
        }
    )


@app.command()
def run(
    directory: Annotated[Path, typer.Argument(help="Holds a run directory a strategy and seed.")],
    data_root: Annotated[Path, typer.Option(help="Folder of CamVid.")],
    only: Annotated[list[str] | None, typer.Option(help="Strategies to run; default all.")] = None,
) -> None:
    """Does what is left of the study; several processes may share it by strategy."""
    study = _study()
    for seed in study["seeds"]:
        for name, strategy in study["strategies"].items():
            if only and name not in only:
                continue
            target = directory / f"{name}-s{seed}"
            if RunLayout(target).config.exists():
                opened = open_run(target, {}, {})
            else:
                opened = create_run(configured(study, strategy, seed, data_root), target)
            try:
                continue_run(opened, Lines(target.name))
            finally:
                opened.close()


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="Folder of `run`.")],
    figure: Annotated[Path | None, typer.Option(help="A .png, .pdf or .svg to draw.")] = None,
) -> None:
    """Prints the table, as Markdown; runs that are not complete are left out."""
    study = _study()
    runs: list[StrategyRun] = []
    corner = 0.0
    for name in study["strategies"]:
        for seed in study["seeds"]:
            target = directory / f"{name}-s{seed}"
            if RunLayout(target).training.exists():
                print(f"{target.name} is not complete; left out", file=sys.stderr)
            elif RunLayout(target).config.exists():
                corner = corner or _corner(target)
                records = TrialStore(target).records()
                num_classes = load_data(read_config(target, AnySearch).data).num_classes
                runs.append(
                    strategy_run(
                        name,
                        seed,
                        records,
                        corner_macs=corner,
                        num_classes=num_classes,
                        supernet_seconds=_supernet_seconds(target),
                    )
                )
    if not runs:
        raise ConfigError(f"{directory} holds no run of the study; make them with `run`")
    print(strategies_markdown(runs), end="")
    if figure is not None:
        steps = study["base"]["stop_after"]
        draw_strategies(runs, figure, caption=f"CamVid, trials of the first {steps} steps")


def _corner(target: Path) -> float:
    """Multiply-adds of the dearest member, at the size that the runs count at."""
    from random import Random

    from hrvit_nas.space.by_cost import extreme_member

    config = read_config(target, AnySearch)
    dearest = extreme_member(config.load_space(), config.cost_of, Random(0), largest=True)
    return config.cost_of(dearest)


def _supernet_seconds(target: Path) -> float:
    from hrvit_nas.training import read_progress

    path = RunLayout(target).supernet
    return read_progress(path).seconds if path.exists() else 0.0


def _study() -> dict[str, Any]:
    try:
        study: dict[str, Any] = load_yaml(STUDY)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{STUDY}: cannot be read: {' '.join(str(error).split())}") from error
    return study


if __name__ == "__main__":
    run_app(app, "strategy_study")
