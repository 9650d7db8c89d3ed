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

import json
import warnings
from pathlib import Path
from random import Random
from typing import Annotated, Literal, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from replay.engine import Point, replayed, replayed_rival
from replay.pool import TableWorld
from replay.rival import RIVALS
from replay.world import SurrogateWorld, describe, make_world

from hrvit_nas.cli.errors import run_app
from hrvit_nas.data import DataConfig
from hrvit_nas.results import replacing
from hrvit_nas.results.benchmark import load_benchmark
from hrvit_nas.results.estimates import bootstrap
from hrvit_nas.samplers import SAMPLERS, default_population
from hrvit_nas.samplers.make import make_sampler
from hrvit_nas.search.config import SearchConfig
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.halving import MoAsha
from hrvit_nas.search.profiles import load_profile, load_recipe

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
Floats = NDArray[np.float64]
TRAININGS = 80
"""Trainings of random search, to the end of the schedule, that others are held to."""
BUDGETS = (8, 16, 32, 48)
"""Core-seconds that hypervolumes are printed at, in trainings of a middling architecture."""
RUNG = 200
"""Optimiser steps of the lower rung; docs/proxy.md says how far it ranks as the end does."""
GRID = np.arange(1.0, TRAININGS + 0.5, 0.5)


class Engine(NamedTuple):
    """One way to search."""

    sampler: str
    halves: bool


ENGINES = {
    name + suffix: Engine(name, halves)
    for halves, suffix in ((False, ""), (True, ", mo_asha"))
    for name in SAMPLERS
}


class Setting:
    """A table, and what searches on it have in common."""

    def __init__(self, name: str, world: Literal["surrogate", "table"]) -> None:
        self.benchmark = load_benchmark(name)
        self.kind = world
        self._profile, self._plan = load_profile("laptop"), load_recipe("laptop")
        self.space = self.config("random", 0).load_space()
        own = self.config("random", 0).cost_of
        rng = Random(0)
        self.middling = float(np.median([own(self.space.sample(rng)) for _ in range(200)]))
        dearest = max(limit.max or 0.0 for limit in self.space.limits if limit.metric == "macs")
        self.corner = (float(self.benchmark.scores().min()), dearest)

    def world(self, seed: int) -> SurrogateWorld | TableWorld:
        """What answers, anew for each seed."""
        if self.kind == "table":
            return TableWorld(self.benchmark, self.space, seed)
        return make_world(self.benchmark, self.space, seed)

    def config(self, sampler: str, seed: int, *, halves: bool = False) -> SearchConfig:
        """A search by mIoU at the end of the schedule."""
        size = self._plan.image_size
        return SearchConfig(
            space="heterogeneous_branches",
            narrowing=self._profile.narrowing,
            data=DataConfig(name="scenes", image_size=size),
            recipe=self._plan.long_recipe.model_copy(update={"criterion": "miou"}),
            trials=10_000,  # the core-seconds end it
            sampler=sampler,
            references=(),
            seed=seed,
            scheduler=MoAsha(grace_period=RUNG) if halves else None,
        ).with_num_classes(self.benchmark.study["num_classes"])

    def search(self, name: str, seed: int, budget: float, rivals: Path | None) -> list[Point]:
        """Replays a search for so many trainings' core-seconds."""
        world = self.world(seed)
        seconds = budget * world.seconds(self.middling, world.steps[-1])
        if name in RIVALS:
            assert rivals is not None
            config = self.config("random", seed, halves=True)
            return replayed_rival(world, config, name, rivals, seconds, self.corner)
        sampler, halves = ENGINES[name]
        config = self.config(sampler, seed, halves=halves)
        made = make_sampler(
            world.space,
            config.cost_of,
            name=sampler,
            costs=config.cost_functions,
            seed=seed,
            population=default_population(sampler, TRAININGS),
            storage=None,
        )
        return replayed(world, config, made, seconds, self.corner)

    def curve(self, points: list[Point], seed: int, budget: float) -> Floats:
        """Hypervolume at each cost of `GRID`; nan beyond the budget."""
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
    engine: Annotated[str, typer.Option(help="Whose ratio the last line is.")] = "ehvi",
) -> None:
    """Replays searches and prints what they found."""
    warnings.simplefilter("ignore")
    names = ["random", engine] if quick else (only or [*ENGINES, *(RIVALS if rivals else ())])
    if unknown := {*names, engine} - {*ENGINES, *RIVALS}:
        raise ConfigError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(ENGINES)}")
    if quick:
        seeds, most = 5, 24
    setting = Setting(table, world)
    print(setting.described())
    curves: dict[str, list[Floats]] = {name: [] for name in names}
    for seed in range(seeds):
        for name in dict.fromkeys(["random", *names]):
            budget = float(TRAININGS if name == "random" else most)
            path = output and output / f"{world}-{name.replace(', ', '-')}-{seed}.json"
            points = _kept(path)
            if points is None:
                points = setting.search(name, seed, budget, rivals)
                _keep(path, points)
            curves.setdefault(name, []).append(setting.curve(points, seed, budget))
    report(curves, engine)


def _kept(path: Path | None) -> list[Point] | None:
    if path is None or not path.exists():
        return None
    return [Point(*row) for row in json.loads(path.read_text("utf-8"))]


def _keep(path: Path | None, points: list[Point]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(points), encoding="utf-8")


def ratio(curves: Floats) -> Floats:
    """Trainings of random search over those whose cost the median curve needs to be level with it;
    0 where it never is.

    Args:
        curves: (..., searches, len(GRID)), hypervolume in that of random search at the end.
    """
    level = np.median(curves, axis=-2) >= 1.0
    first: Floats = np.where(level.any(-1), TRAININGS / GRID[level.argmax(-1)], 0.0)
    return first


def report(curves: dict[str, list[Floats]], engine: str) -> None:
    """Prints a row an engine, and the ratio of one."""
    ends = np.array([curve[-1] for curve in curves["random"]])
    shares = {name: np.array(rows) / ends[:, None] for name, rows in curves.items()}
    ratios = {
        name: bootstrap(rows, ratio, 0.95, 0, method="percentile") for name, rows in shares.items()
    }
    heads = " | ".join(f"{budget}" for budget in BUDGETS)
    print(f"\n| search | hypervolume after {heads} | core-seconds, times fewer |")
    print("|---|" + "---|" * (len(BUDGETS) + 1))
    for name, rows in shares.items():
        cells = [f"{np.median(rows[:, int(np.searchsorted(GRID, b))]):.3f}" for b in BUDGETS]
        print(f"| {name} | {' | '.join(cells)} | {ratios[name].describe(digits=1)} |")
    count = len(ends)
    print(
        f"\ncore-seconds to what random search has after {TRAININGS} trainings, {count} seeds:"
        f" {engine} needs {ratios[engine].describe(digits=1)} times fewer"
    )


if __name__ == "__main__":
    run_app(app, "search")
