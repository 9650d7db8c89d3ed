"""Thousands of suggestions of a sampler: none outside the limits, none a second time, and how fast.

Each is told a drawn score at once, so that samplers learn as they do in a search.

    python benchmarks/suggestions.py --count 10000 --only random --only nsga2
"""

from __future__ import annotations

import time
import warnings
from random import Random
from typing import Annotated

import typer

from hrvit_nas.cli.errors import run_app
from hrvit_nas.data import DataConfig
from hrvit_nas.samplers import SAMPLERS, default_population
from hrvit_nas.samplers.make import make_sampler
from hrvit_nas.search.config import SearchConfig
from hrvit_nas.search.profiles import load_profile, load_recipe

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def main(
    count: Annotated[int, typer.Option(min=1, help="Suggestions of each sampler.")] = 1000,
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
        rng = Random(0)
        sampler = make_sampler(
            space,
            config.cost_of,
            name=name,
            costs=config.cost_functions,
            seed=0,
            population=default_population(name, count),
            storage=None,
        )
        seen: set[str] = set()
        outside = twice = 0
        began, times = time.perf_counter(), []
        for _ in range(count):
            number, spec = sampler.ask()
            outside += not space.contains(spec)
            twice += spec.id in seen
            seen.add(spec.id)
            sampler.tell(number, (rng.random(), config.cost_of(spec)))
            times.append(time.perf_counter())
        tenth = max(1, count // 10)
        before = times[-tenth - 1] if count > tenth else began
        row = (outside, twice, f"{1000 * (times[-1] - began) / count:.0f}")
        last = f"{1000 * (times[-1] - before) / tenth:.0f}"
        print(f"| {name} | {count} | {' | '.join(map(str, row))} | {last} |", flush=True)
        amiss += outside + twice
    raise typer.Exit(int(amiss > 0))


if __name__ == "__main__":
    run_app(app, "suggestions")
