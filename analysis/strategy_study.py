"""Supernet search against search by trials and random search, at about equal compute.

`run` does what is left of the study that `experiments/studies/strategies.yaml` declares, one run
directory a strategy and seed. `report` prints and draws what each found.

    python analysis/strategy_study.py run runs/strategies --data-root CAMVID
    python analysis/strategy_study.py report runs/strategies --figure figure.png
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from hrvit_nas._files import declarations_dir, load_yaml
from hrvit_nas.cli.errors import run_app
from hrvit_nas.data import load_data
from hrvit_nas.report.figures import (
    BLUE,
    FAINT,
    GREY,
    INK,
    VERMILION,
    ReportError,
    save_figure,
)
from hrvit_nas.results import (
    Criterion,
    Interval,
    PairedDifference,
    RunSummary,
    Stage,
    Trial,
    TrialRecord,
    TrialStore,
    format_interval,
    hypervolume,
    mean_interval,
    paired_difference,
)
from hrvit_nas.search.config import AnySearch
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.layout import RunLayout
from hrvit_nas.search.profiles import load_profile, load_recipe
from hrvit_nas.search.run import continue_run, create_run, open_run
from hrvit_nas.search.stored import parse_config, read_config
from hrvit_nas.search.supernet import Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    """Multiply-adds of the dearest architecture, at the size that the runs count at."""
    from random import Random

    from hrvit_nas.space.by_cost import extreme_arch

    config = read_config(target, AnySearch)
    dearest = extreme_arch(config.load_space(), config.cost_of, Random(0), largest=True)
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


@dataclass(frozen=True, kw_only=True)
class StrategyRun:
    """One run of one strategy.

    Attributes:
        strategy: Its name.
        seed: Its seed.
        normalised_hypervolume: By criterion, mean over cost ceilings, from 0 to the corner, of the
            best score to be had below them, of the frontier as trained anew: its hypervolume with a
            corner of the dearest cost and the score of guessing, divided by that cost.
            mIoU as a fraction,
            cross entropy in nats (less being better), which for guessing are 0 and the logarithm
            of the number of classes.
        num_retrained: Architectures that were trained anew.
        seconds: Of one core, all training and scoring together.
    """

    strategy: str
    seed: int
    normalised_hypervolume: dict[Criterion, float]
    num_retrained: int
    seconds: float


def strategy_run(
    name: str,
    seed: int,
    records: Iterable[TrialRecord],
    *,
    corner_macs: float,
    num_classes: int,
    supernet_seconds: float = 0.0,
) -> StrategyRun:
    """Sums up a run.

    Scores that something was selected by do not count: of a search by trials those of confirming
    seeds do, of a search with a supernet those of training alone.

    Args:
        name: Of the strategy.
        seed: Of the run.
        records: Of the run, references left out.
        corner_macs: Multiply-adds of the hypervolume's corner.
        num_classes: Of the data set.
        supernet_seconds: Of one core, that a supernet was trained for.

    Raises:
        ReportError: Nothing was trained anew.
    """
    rows = [record for record in records if record.state == "complete"]
    inherits = any(record.evaluator == "inherited" for record in rows)
    stage = Stage("search" if inherits else "confirmation", "trained")
    anew = [record for record in rows if record.stage == stage]
    if not anew:
        raise ReportError(f"{name}, seed {seed}: no frontier architecture was trained anew")

    def area(criterion: Criterion, worst: float) -> float:
        scores = [(record.score(criterion), record.macs) for record in anew]
        points = [(score, macs) for score, macs in scores if score is not None]
        return hypervolume(points, (worst, corner_macs)) / corner_macs

    guessing = math.log(num_classes)
    return StrategyRun(
        strategy=name,
        seed=seed,
        normalised_hypervolume={
            "miou": area("miou", 0.0),
            "cross_entropy": guessing - area("cross_entropy", -guessing),
        },
        num_retrained=len(anew),
        seconds=supernet_seconds + sum(record.seconds for record in rows),
    )


def strategy_scores(
    runs: Iterable[StrategyRun], criterion: Criterion
) -> dict[str, dict[int, float]]:
    """Normalised hypervolume by strategy and seed, in the order of the runs."""
    scores: dict[str, dict[int, float]] = {}
    for run in runs:
        scores.setdefault(run.strategy, {})[run.seed] = run.normalised_hypervolume[criterion]
    return scores


def strategy_differences(
    runs: Iterable[StrategyRun], criterion: Criterion, confidence: float = 0.95
) -> dict[tuple[str, str], PairedDifference]:
    """First minus second, of each pair of strategies with common seeds."""
    scores = strategy_scores(runs, criterion)
    return {
        (first, second): paired_difference(scores[first], scores[second], confidence)
        for first, second in combinations(scores, 2)
        if scores[first].keys() & scores[second].keys()
    }


def strategies_markdown(runs: Sequence[StrategyRun]) -> str:
    """A row a strategy, then the differences in words."""
    lines = [
        "| strategy | seeds | core-seconds a run | trained anew | normalised hypervolume: mIoU, % |"
        " normalised hypervolume: cross entropy, nats |",
        "|---|---|---|---|---|---|",
    ]
    entropies = _intervals(runs, "cross_entropy")
    for name, interval in _intervals(runs, "miou").items():
        mine = [run for run in runs if run.strategy == name]
        cells = (
            name,
            ", ".join(str(run.seed) for run in mine),
            ", ".join(f"{run.seconds:.0f}" for run in mine),
            ", ".join(str(run.num_retrained) for run in mine),
            format_interval(interval),
            format_interval(entropies[name], scale=1, digits=3),
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for (first, second), difference in strategy_differences(runs, "miou").items():
        lines.append(f"- {first} less {second}, points of mIoU: {difference.describe()}")
    for (first, second), difference in strategy_differences(runs, "cross_entropy").items():
        text = difference.describe(scale=1, digits=3)
        lines.append(f"- {first} less {second}, nats of cross entropy: {text}")
    return "\n".join(lines) + "\n"


def draw_strategies(runs: Sequence[StrategyRun], path: str | Path, *, caption: str) -> None:
    """Draws every run and each strategy's mean with its interval.

    Args:
        runs: What to draw.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.
        caption: Data set, sizes, compute.

    Raises:
        ReportError: The suffix is none of these, or there is no run.
        OSError: The file cannot be written.
    """
    if not runs:
        raise ReportError("there is nothing to draw: no run is complete")
    save_figure(lambda figure: _draw(figure, runs, caption), path, (3.5, 2.6))


def _intervals(runs: Iterable[StrategyRun], criterion: Criterion) -> dict[str, Interval]:
    scores = strategy_scores(runs, criterion)
    return {name: mean_interval(by_seed.values()) for name, by_seed in scores.items()}


def _draw(figure: Figure, runs: Sequence[StrategyRun], caption: str) -> None:
    left, right = figure.subplots(1, 2)
    _draw_criterion(left, runs, "miou", 100.0, "normalised hypervolume: mIoU (%)")
    _draw_criterion(
        right, runs, "cross_entropy", 1.0, "normalised hypervolume: cross entropy (nats)"
    )
    counts = sorted({len(by_seed) for by_seed in strategy_scores(runs, "miou").values()})
    seeds = " to ".join(str(count) for count in sorted({counts[0], counts[-1]}))
    figure.suptitle(
        f"{caption}\ngrey: one run; mark: mean of {seeds} seeds, 95% interval",
        x=0.01,
        ha="left",
        fontsize=6.5,
        color=GREY,
    )


def _draw_criterion(
    axes: Axes, runs: Sequence[StrategyRun], criterion: Criterion, scale: float, label: str
) -> None:
    intervals = _intervals(runs, criterion)
    for position, (name, interval) in enumerate(intervals.items()):
        values = [
            scale * run.normalised_hypervolume[criterion] for run in runs if run.strategy == name
        ]
        axes.scatter(
            [position - 0.15] * len(values),
            values,
            s=14,
            color=FAINT,
            linewidths=0,
        )
        mean = scale * interval.mean
        color, marker = (BLUE, "o") if name == "supernet" else (VERMILION, "D")
        if interval.known:
            axes.errorbar(
                [position + 0.1],
                [mean],
                yerr=[[mean - scale * interval.low], [scale * interval.high - mean]],
                fmt="none",
                ecolor=color,
                elinewidth=0.9,
                capsize=2,
            )
        axes.scatter([position + 0.1], [mean], s=20, marker=marker, color=color)
    axes.set_xticks(range(len(intervals)), list(intervals), fontsize=7)
    axes.set_xlim(-0.5, len(intervals) - 0.5)
    axes.set_ylabel(label, fontsize=7, color=INK)
    axes.tick_params(labelsize=7, color=GREY, labelcolor=INK)
    axes.grid(visible=True, axis="y", color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)


if __name__ == "__main__":
    run_app(app, "strategy_study")
