"""What each sampler finds for its core-seconds, replayed on a table of long training.

Searches run as they do, by their own plan and sampler, but training is answered by a world: a
surrogate of the table's curves over the whole space, whose error is printed, or (`--world table`)
the table itself, whose architectures are then all there are, seen with one seed and judged with
another. What a search would hand over, the frontier of the scores that it saw, is judged by scores
without noise.

    python benchmarks/search.py --quick                 # five seeds, under a minute
    python benchmarks/search.py --output runs/replay    # thirty seeds; can be stopped and resumed
    python benchmarks/search.py --output runs/replay --rivals rivals/bin/python

The last line says how many times fewer core-seconds `--engine` needs than random search for the
hypervolume that this has after 80 trainings.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from replay.engine import Point, replayed, replayed_rival
from replay.pool import TableWorld
from replay.rival import RIVALS
from replay.world import SurrogateWorld, describe, make_world

from hrvit_nas.cli.errors import run_app
from hrvit_nas.data import DataConfig
from hrvit_nas.report.figures import FAINT, GREY, INK, VERMILION, save_figure
from hrvit_nas.results import replacing
from hrvit_nas.results.benchmark import Benchmark, load_benchmark
from hrvit_nas.results.estimates import RESAMPLES, bootstrap
from hrvit_nas.samplers import SAMPLERS, default_population
from hrvit_nas.samplers.make import make_sampler
from hrvit_nas.search.config import SearchConfig
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.halving import MoAsha
from hrvit_nas.search.profiles import load_profile, load_recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
Floats = NDArray[np.float64]
TRAININGS = 80
"""Trainings of random search, to the end of the schedule, that others are held to."""
REPLAY = 4
"""Grows with every change to worlds, samplers or judging, so that older files do not count."""
BUDGETS = (8, 16, 32, 48)
"""Core-seconds that hypervolumes are printed at, in trainings of a middling architecture."""
RUNG = 200
"""Optimiser steps of the lower rung; docs/proxy.md says how far it ranks as the end does."""
GRID = np.arange(1.0, TRAININGS + 0.5, 0.5)


class Engine(NamedTuple):
    """One way to search: a sampler, and the budget of what it scores.

    `full` is the whole schedule, by mIoU; `mo_asha` the same, halved at `RUNG`; `proxy` the shipped
    recipe, cross entropy after the first part of the schedule.
    """

    sampler: str
    budget: Literal["full", "mo_asha", "proxy"]


ENGINES = {
    name if budget == "full" else f"{name}, {budget}": Engine(name, budget)
    for budget in ("full", "mo_asha", "proxy")
    for name in SAMPLERS
}


def digest(benchmark: Benchmark) -> str:
    """Of a table's contents."""
    hashed = pd.util.hash_pandas_object(benchmark.table, index=False).to_numpy()
    return hashlib.sha256(hashed.tobytes()).hexdigest()[:12]


class Setting:
    """A table, and what searches on it have in common."""

    def __init__(self, name: str, world: Literal["surrogate", "table"]) -> None:
        self.benchmark = load_benchmark(name)
        self.kind = world
        self._profile, self._plan = load_profile("laptop"), load_recipe("laptop")
        self.space = self.config(ENGINES["random"], 0).load_space()
        own = self.config(ENGINES["random"], 0).cost_of
        rng = Random(0)
        self.middling = float(np.median([own(self.space.sample(rng)) for _ in range(200)]))
        dearest = max(limit.max or 0.0 for limit in self.space.limits if limit.metric == "macs")
        self.steps = self.benchmark.steps[-1]
        self.digest = digest(self.benchmark)
        self.corner = (float(self.benchmark.scores().min()), dearest)

    @lru_cache(maxsize=1)  # noqa: B019
    def world(self, seed: int) -> SurrogateWorld | TableWorld:
        """What answers, anew for each seed."""
        if self.kind == "table":
            return TableWorld(self.benchmark, self.space, seed)
        return make_world(self.benchmark, self.space, seed)

    def config(self, engine: Engine, seed: int) -> SearchConfig:
        """What a search of this kind is to do."""
        size = self._plan.image_size
        full = self._plan.long_recipe.model_copy(update={"criterion": "miou"})
        return SearchConfig(
            space="heterogeneous_branches",
            narrowing=self._profile.narrowing,
            data=DataConfig(name="scenes", image_size=size),
            recipe=self._plan.recipe if engine.budget == "proxy" else full,
            trials=10_000,  # the core-seconds end it
            sampler=engine.sampler,
            references=(),
            seed=seed,
            scheduler=MoAsha(grace_period=RUNG) if engine.budget == "mo_asha" else None,
        ).with_num_classes(self.benchmark.study["num_classes"])

    def search(self, name: str, seed: int, budget: float, rivals: Path | None) -> list[Point]:
        """Replays a search for so many trainings' core-seconds."""
        world = self.world(seed)
        seconds = budget * world.seconds(self.middling, world.steps[-1])
        if name in RIVALS:
            assert rivals is not None
            config = self.config(ENGINES["random, mo_asha"], seed)
            return replayed_rival(world, config, name, rivals, seconds, self.corner)
        config = self.config(ENGINES[name], seed)
        # As large as it would be by default for so many trials.
        trials = round(budget * self.steps / config.rungs[0])
        made = make_sampler(
            world.space,
            config.cost_of,
            name=config.sampler,
            costs=config.cost_functions,
            work=config.work_of,
            seed=seed,
            population=default_population(config.sampler, trials),
            storage=None,
        )
        return replayed(world, config, made, seconds, self.corner)

    def curve(self, points: list[Point], seed: int, budget: float) -> Floats:
        """Hypervolume at each cost of `GRID`; -inf beyond the budget."""
        world = self.world(seed)
        unit = world.seconds(self.middling, world.steps[-1])
        spent = np.array([0.0, *(point.seconds / unit for point in points)])
        volumes = np.array([0.0, *(point.hypervolume for point in points)])
        found: Floats = volumes[np.searchsorted(spent, GRID, side="right") - 1]
        return np.where(budget + 0.5 > GRID, found, -np.inf)

    def described(self) -> str:
        """What answers, and how far off it is."""
        if self.kind == "table":
            count = len(self.benchmark.arch_ids)
            return f"{self.benchmark.name}: the {count} architectures of the table"
        return describe(self.benchmark, self.space)


@app.command()
def main(
    table: Annotated[
        str, typer.Option(help="A table of long training of the laptop's space.")
    ] = "scenes",
    world: Annotated[
        Literal["surrogate", "table"], typer.Option(help="What answers for training.")
    ] = "surrogate",
    seeds: Annotated[int, typer.Option(min=2, help="Searches of each kind.")] = 30,
    most: Annotated[
        float, typer.Option(help="Trainings' cost at which all but random search end.")
    ] = 48,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Of {'; '.join(ENGINES)}; default all.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Five seeds of random search and --engine.")
    ] = False,
    rivals: Annotated[
        Path | None, typer.Option(help="Python that has what benchmarks/rivals.txt names.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for a file a search; what is there is kept.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="A .png, .pdf or .svg to draw.")] = None,
    engine: Annotated[str, typer.Option(help="Whose ratio the last line is.")] = "ehvi",
) -> None:
    """Replays searches and prints what they found."""
    warnings.simplefilter("ignore")
    names = ["random", engine] if quick else (only or [*ENGINES, *(RIVALS if rivals else ())])
    names = list(dict.fromkeys(["random", *names]))
    known = {**ENGINES, **RIVALS}
    if unknown := {*names, engine} - known.keys():
        raise ConfigError(f"unknown: {'; '.join(sorted(unknown))}. Known: {'; '.join(known)}")
    if engine not in names:
        raise ConfigError(f"--engine must be one of what is replayed, got {engine!r}")
    if rivals is None and (foreign := RIVALS.keys() & names):
        raise ConfigError(f"{', '.join(foreign)} need --rivals, a Python that has their packages")
    if quick and only:
        raise ConfigError("--quick replays random search and --engine; leave --only out")
    if quick:
        seeds, most = 5, 24
    setting = Setting(table, world)
    print(setting.described())
    curves: dict[str, list[Floats]] = {name: [] for name in names}
    for seed in range(seeds):
        for name in names:
            budget = float(TRAININGS if name == "random" else most)
            file = f"{setting.benchmark.name}-{world}-{name.replace(', ', '-')}-{seed}.json"
            path = output and output / file
            of = {"replay": REPLAY, "table": setting.digest, "trainings": budget}
            points = _kept(path, of)
            if points is None:
                points = setting.search(name, seed, budget, rivals)
                _keep(path, of, points)
            curves.setdefault(name, []).append(setting.curve(points, seed, budget))
    shares = relative(curves)
    report(shares, engine)
    if figure is not None:
        save_figure(lambda drawn: draw(drawn, shares), figure, (4.6, 3.2))


def _kept(path: Path | None, of: dict[str, Any]) -> list[Point] | None:
    """What an earlier call found, if it was of the same table and length."""
    if path is None or not path.exists():
        return None
    content = json.loads(path.read_text("utf-8"))
    if content["of"] != of:
        return None
    return [Point(*row) for row in content["points"]]


def _keep(path: Path | None, of: dict[str, Any], points: list[Point]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({"of": of, "points": points}), encoding="utf-8")


def relative(curves: dict[str, list[Floats]]) -> dict[str, Floats]:
    """(searches, len(GRID)): hypervolume over that of random search of the same seed at its end."""
    ends = np.array([curve[-1] for curve in curves["random"]])
    return {name: np.array(rows) / ends[:, None] for name, rows in curves.items()}


def ratio(curves: Floats) -> Floats:
    """Trainings of random search over those from whose cost on the median curve is level with it;
    0 where it never is.

    Args:
        curves: (..., searches, len(GRID)), hypervolume in that of random search at the end; -inf
            where it is not known.
    """
    medians = np.median(curves, axis=-2)
    known = np.isfinite(medians)
    level = (medians >= 1.0) | ~known
    stays = np.logical_and.accumulate(level[..., ::-1], axis=-1)[..., ::-1] & known
    first: Floats = np.where(stays.any(-1), TRAININGS / GRID[stays.argmax(-1)], 0.0)
    return first


def described(rows: Floats) -> str:
    """The ratio with its interval; less than its budget allows to tell is said as such."""
    found = bootstrap(rows, ratio, 0.95, 0, method="percentile")
    least = TRAININGS / GRID[np.isfinite(rows).all(0)][-1]
    if not found.value:
        return f"below {least:.1f}"
    low = f"{found.low:.1f}" if found.low else f"below {least:.1f}"
    return f"{found.value:.1f} [{low}, {found.high:.1f}]"


def ahead(rows: Floats, ours: Floats) -> str:
    """From which to which cost, in trainings, a search is shown to have more than ours of the same
    seeds, by a 95% bootstrap of the mean difference at each cost, and by how much at most.
    """
    shown = (np.isfinite(rows) & np.isfinite(ours)).all(0)
    difference = rows[:, shown] - ours[:, shown]
    mean = difference.mean(0)
    resampled = np.random.default_rng(0).integers(0, len(difference), (RESAMPLES, len(difference)))
    low, high = np.quantile(difference[resampled].mean(1), [0.025, 0.975], axis=0)
    (leads,) = np.nonzero(low > 0)
    if not len(leads):
        return "nowhere"
    first, last = leads[[0, -1]]
    parts = " in parts" if last - first >= len(leads) else ""
    most = leads[mean[leads].argmax()]
    costs = GRID[shown]
    return (
        f"from {costs[first]:g} to {costs[last]:g}{parts}, by up to {mean[most]:.2f}"
        f" [{low[most]:.2f}, {high[most]:.2f}]"
    )


def report(shares: dict[str, Floats], engine: str) -> None:
    """Prints a row an engine, and the ratio of one."""
    heads = " | ".join(map(str, BUDGETS))
    columns = f"search | hypervolume after {heads} | core-seconds, times fewer | ahead of {engine}"
    print(f"\n| {columns} |")
    print("|---|" + "---|" * (len(BUDGETS) + 2))
    said = {name: described(rows) for name, rows in shares.items()}
    for name, rows in shares.items():
        medians = [np.median(rows[:, int(np.searchsorted(GRID, budget))]) for budget in BUDGETS]
        cells = [f"{median:.2f}" if np.isfinite(median) else "" for median in medians]
        lead = "" if name == engine else ahead(rows, shares[engine])
        print(f"| {name} | {' | '.join(cells)} | {said[name]} | {lead} |")
    print(
        f"\ncore-seconds to what random search has after {TRAININGS} trainings,"
        f" {len(shares['random'])} seeds: {engine} needs {said[engine]} times fewer"
    )


def draw(figure: Figure, shares: dict[str, Floats]) -> None:
    """Draws the medians against core-seconds, and the quartiles of random search and ours."""
    axes = figure.subplots()
    for name, rows in shares.items():
        color, width = {"random": (INK, 1.4), "ehvi": (VERMILION, 1.8)}.get(name, (FAINT, 0.9))
        shown = np.isfinite(rows).all(0)
        x, medians = GRID[shown], np.median(rows[:, shown], axis=0)
        axes.plot(x, medians, color=color, linewidth=width, zorder=2 + width)
        if name in ("random", "ehvi"):
            low, high = np.quantile(rows[:, shown], [0.25, 0.75], axis=0)
            axes.fill_between(x, low, high, color=color, alpha=0.12, linewidth=0)
        if name in ("random", "ehvi", "gp"):
            axes.annotate(
                name,
                (x[-1], medians[-1]),
                (3, 0),
                textcoords="offset points",
                fontsize=7,
                color=GREY if color == FAINT else color,
                va="bottom",
            )
    axes.axhline(1.0, color=GREY, linewidth=0.6, linestyle=":")
    axes.set_xscale("log", base=2)
    axes.set_xticks([2, 4, 8, 16, 32, 64], ["2", "4", "8", "16", "32", "64"])
    axes.set_xlim(2, 110)
    axes.set_ylim(0.3, 1.3)
    axes.set_xlabel("core-seconds, in trainings of a middling architecture", fontsize=7)
    axes.set_ylabel(f"true hypervolume, of random search's after {TRAININGS}", fontsize=7)
    axes.tick_params(labelsize=7)
    axes.set_title(
        f"scenes, surrogate; medians of {len(shares['random'])} seeds, quartiles shaded;"
        " faint: other searches",
        loc="left",
        fontsize=6.5,
        color=GREY,
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


if __name__ == "__main__":
    run_app(app, "search")
