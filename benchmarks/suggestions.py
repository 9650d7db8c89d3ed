"""Thousands of suggestions of a sampler: none outside the limits, none a second time, and how fast.

Each is told a drawn score at once, so that samplers learn as they do in a search.

    python benchmarks/suggestions.py --count 10000 --only random --only nsga2
    python benchmarks/suggestions.py --count 100 --searches 100 --only tpe --only ehvi
"""

from __future__ import annotations

import time
import warnings
from random import Random
from statistics import fmean
from typing import Annotated, NamedTuple

import typer

from hrvit_nas.cli.errors import run_app
from hrvit_nas.data import DataConfig
from hrvit_nas.samplers import SAMPLERS, default_population
from hrvit_nas.samplers.make import make_sampler
from hrvit_nas.search.config import SearchConfig
from hrvit_nas.search.profiles import load_profile, load_recipe
from hrvit_nas.space import Space

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def main(
    count: Annotated[int, typer.Option(min=1, help="Suggestions of each search.")] = 1000,
    searches: Annotated[int, typer.Option(min=1, help="Searches, each with its own seed.")] = 1,
    first_seed: Annotated[
        int, typer.Option(min=0, help="Of the first search, so that many can be run in parts.")
    ] = 0,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Of {', '.join(SAMPLERS)}; default all.")
    ] = None,
) -> None:
    """Asks each sampler and prints a row; the status is 1 if one suggestion was amiss."""
    warnings.simplefilter("ignore")
    profile, plan = load_profile("laptop"), load_recipe("laptop")
    config = SearchConfig(
        space="heterogeneous_branches",
        narrowing=profile.narrowing,
        data=DataConfig(name="scenes", image_size=plan.image_size),
        recipe=plan.recipe,
        trials=count,
    ).with_num_classes(10)
    space = config.load_space()
    amiss = 0
    print("| sampler | suggestions | outside the limits | twice | ms each, all | ms, last tenth |")
    print("|---|---|---|---|---|---|")
    for name in only or SAMPLERS:
        seeds = range(first_seed, first_seed + searches)
        asked = [_ask(config, space, name, count, seed) for seed in seeds]
        outside, twice = (sum(getattr(one, what) for one in asked) for what in ("outside", "twice"))
        each, last = (
            1000 * fmean(getattr(one, what) for one in asked) for what in ("each", "last")
        )
        print(
            f"| {name} | {searches} x {count} | {outside} | {twice} | {each:.0f} | {last:.0f} |",
            flush=True,
        )
        amiss += outside + twice
    raise typer.Exit(int(amiss > 0))


class Asked(NamedTuple):
    """What came of the suggestions of one search: how many were amiss, and seconds for each."""

    outside: int
    twice: int
    each: float
    last: float


def _ask(config: SearchConfig, space: Space, name: str, count: int, seed: int) -> Asked:
    rng = Random(seed)
    sampler = make_sampler(
        space,
        config.cost_of,
        name=name,
        costs=config.cost_functions,
        work=config.work_of,
        seed=seed,
        population=default_population(name, count),
        storage=None,
    )
    seen: set[str] = set()
    outside = twice = 0
    times = [time.perf_counter()]
    for _ in range(count):
        proposal = sampler.ask()
        assert proposal is not None
        number, spec = proposal
        outside += not space.contains(spec)
        twice += spec.id in seen
        seen.add(spec.id)
        sampler.tell(number, (rng.random(), config.cost_of(spec)))
        times.append(time.perf_counter())
    tenth = max(1, count // 10)
    return Asked(
        outside=outside,
        twice=twice,
        each=(times[-1] - times[0]) / count,
        last=(times[-1] - times[-1 - tenth]) / tenth,
    )


if __name__ == "__main__":
    run_app(app, "suggestions")
