"""What the scores of a search are worth, by the table of long training of its data set."""

from __future__ import annotations

from dataclasses import dataclass

from ..data import DataConfig
from ..results import (
    Benchmark,
    BenchmarkError,
    Criterion,
    Estimate,
    list_benchmarks,
    load_benchmark,
)
from ..training import Recipe
from .config import AnySearch, SupernetSearchConfig

MIN_ARCHITECTURES = 6
"""Fewer say nothing of a rank correlation."""
VALID_TAU, VALID_LOW = 0.6, 0.4
"""Kendall's tau with long training, and the lower end of its interval, from which on scores are
taken to rank as long training does."""
_NOT_OF_TRAINING = {
    *("criterion", "stop_after", "evaluations", "num_workers", "gradient_checkpointing")
}


@dataclass(frozen=True, kw_only=True)
class Validity:
    """How far scores on the way through a schedule rank as its end does.

    Attributes:
        table: Name of the table of long training.
        space: What its architectures were drawn from, in words.
        criterion: What is ranked by.
        step: Optimiser steps of a score.
        steps: Optimiser steps of long training.
        num_architectures: Architectures of the table that every seed has.
        num_seeds: Its seeds.
        tau: Kendall's tau of scores with the mIoU of long training of another seed.
        ceiling: Kendall's tau between two seeds of long training.
    """

    table: str
    space: str
    criterion: Criterion
    step: int
    steps: int
    num_architectures: int
    num_seeds: int
    tau: Estimate
    ceiling: Estimate


def validity_of(config: AnySearch, step: int | None = None) -> Validity | None:
    """Reads the validity of a search's scores off the shipped table of its data set.

    Args:
        config: The search.
        step: Optimiser steps of the scores; by default those that its trials are trained for.

    Returns:
        None where there is no table, or one of another schedule or data, of too few architectures,
        or without such scores at that step; and of scores with the weights of a supernet.
    """
    table = _table_of(config)
    step = config.recipe.trained_steps if step is None else step
    if table is None or step not in table.steps:
        return None
    return _validity(table, config.recipe.criterion, step)


def valid_from(config: AnySearch) -> Validity | None:
    """The first scores on the way through the schedule that rank as long training does: to
    `VALID_TAU`, with the interval above `VALID_LOW`.

    Returns:
        None where nothing is known, as of `validity_of`, or no step of the table is so.
    """
    table = _table_of(config)
    if table is None:
        return None
    for step in table.steps:
        found = _validity(table, config.recipe.criterion, step)
        if found.tau.value >= VALID_TAU and found.tau.low > VALID_LOW:
            return found
    return None


def _table_of(config: AnySearch) -> Benchmark | None:
    """The table of long training by the schedule of a search, on its data."""
    recipe, data = config.recipe, config.data
    if isinstance(config, SupernetSearchConfig):
        return None
    if data.name not in list_benchmarks():
        return None
    try:
        table = load_benchmark(data.name)
    except BenchmarkError:
        return None
    theirs = Recipe.model_validate(table.study["recipe"])  # fields added since are at default
    if any(
        getattr(theirs, name) != value for name, value in recipe if name not in _NOT_OF_TRAINING
    ):
        return None
    if data.without_root() != DataConfig.rooted(table.study["data"]).without_root():
        return None
    if recipe.criterion not in table.table or len(table.seeds) < 2:
        return None
    return table if len(table.arch_ids) >= MIN_ARCHITECTURES else None


def _validity(table: Benchmark, criterion: Criterion, step: int) -> Validity:
    return Validity(
        table=table.name,
        space=f"{table.study['study']['space']}, as profile {table.study['study']['profile']}"
        " narrows it",
        criterion=criterion,
        step=step,
        steps=table.steps[-1],
        num_architectures=len(table.arch_ids),
        num_seeds=len(table.seeds),
        tau=table.validity(criterion, step),
        ceiling=table.ceiling,
    )
