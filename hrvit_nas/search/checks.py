"""What a run must satisfy before anything is trained for it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from ..arch import Arch, ArchSpec, PyramidSpec
from ..cost.heads import auxiliary_input
from ..execution import check_before
from ..models import build_segmentor
from ..results import StoreError, TrialStore
from ..results.store import JOURNAL_NAME, TABLE_NAME
from ..samplers.database import check_storage
from ..space import Space, SpaceError
from ..space.genes import Target
from ..training import check_batches, check_maps, load_supernet
from .ablation_config import AblationConfig
from .config import AnySearch, SpaceConfig, SupernetSearchConfig
from .config_parts import ConfigError
from .layout import RunLayout
from .run_config import RunConfig
from .supernet import build_from

_log = logging.getLogger(__name__)


def space_of_arms(config: AblationConfig) -> Space | None:
    """The space of an ablation's supernets, which all its arms are in.

    Raises:
        ConfigError: An arm is none.
        SpaceError: The space is gone, or damaged.
    """
    space = stored_space(config)
    for arm in config.arms:
        if space is None:
            break
        if not isinstance(arm.spec, ArchSpec) or not space.contains(arm.spec):
            raise ConfigError(
                f"a supernet scores its own subnets, and {arm.name!r} is none: it changes more than"
                " its fields; leave it out, or train it"
            )
    return space


def stored_space(config: RunConfig) -> Space | None:
    """The space of a run, as it was stored with it; None for one that has none.

    Raises:
        SpaceError: It is gone, or damaged.
    """
    if isinstance(config, SpaceConfig):
        return config.load_space()
    if not isinstance(config, AblationConfig):
        return None
    if config.supernet is not None and config.as_started is None:
        raise SpaceError("the space of its supernets is gone")
    return None if config.as_started is None else Space.from_dict(config.as_started)


def with_supernet(config: RunConfig, path: Path, num_classes: int) -> SupernetSearchConfig:
    """The search with the steps that a supernet was trained for.

    Raises:
        ConfigError: The run is another kind of search, or there is no supernet.
        CheckpointError: The supernet's file is corrupt, or of another space or number of classes.
    """
    if not isinstance(config, SupernetSearchConfig):
        raise ConfigError("a supernet is of use to a search with a supernet alone")
    if not path.is_file():
        raise ConfigError(f"no supernet at {path}")
    steps = load_supernet(path, build_from(config.supernet_plan(config.seed), num_classes)).step
    supernet = config.supernet.model_copy(update={"steps": steps})
    return config.model_copy(update={"supernet": supernet})


def check_new(layout: RunLayout) -> None:
    """Refuses a directory that holds a run, or anything else."""
    directory = layout.directory
    if layout.config.exists():
        raise ConfigError(f"{directory} holds a run already; resume it, or name another directory")
    held = set(directory.iterdir()) if directory.is_dir() else set()
    # An empty journal alone is what a run leaves that was killed as it was being made.
    killed = held == {journal := directory / JOURNAL_NAME} and not journal.stat().st_size
    if held and not killed:
        raise ConfigError(f"a run needs a new or empty directory, and {directory} holds files")


def check_reachable(config: RunConfig) -> None:
    """Refuses what the run is to use and is not there, before anything is made for it.

    Raises:
        ExecutionError: This machine could never hold a trial, or no cluster answers.
        SamplerError: The study's storage is not there.
    """
    check_before(config.resources)
    if isinstance(config, AnySearch) and config.storage is not None:
        check_storage(config.storage)


def check_buildable(specs: Iterable[Arch]) -> None:
    """Refuses architectures that this installation cannot build, before anything is trained."""
    for family in {spec.family: spec for spec in specs if isinstance(spec, PyramidSpec)}.values():
        try:
            build_segmentor(family, 1)
        except ImportError as error:
            raise ConfigError(str(error)) from error


def check_trainable(config: RunConfig, space: Space | None, num_train: int) -> None:
    """Refuses networks that a recipe cannot train, before anything is trained.

    Args:
        config: Of the run.
        space: What its architectures are drawn from, where there is one.
        num_train: Training images.

    Raises:
        ConfigError: Batches have too few images, or pixels of the smallest map, or there is no map
            for an auxiliary head to read.
    """
    named = config.named_architectures
    kinds = {spec.head_kind for spec in named}
    widths = {spec.out_widths for spec in named}
    if space is not None:
        kinds.update(map(str, space.values_at(Target("head_kind"))))
        widths.add(space.base.out_widths)
    recipes = list(config.recipes)
    for seed in config.supernet_seeds:
        supernet, recipe = config.supernet_plan(seed).supernet, config.supernet_plan(seed).recipe
        update = {"recalibration_batches": supernet.recalibration_batches}
        recipes.append(recipe.model_copy(update=update))
    try:
        for recipe in recipes:
            check_maps(recipe, config.image_size, num_train)
            check_batches(sorted(kinds), recipe, num_train)
            if recipe.auxiliary_weight:
                for each in sorted(widths):
                    auxiliary_input(each)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def check_seeds_grow(directory: Path, before: RunConfig, now: RunConfig) -> None:
    """Refuses to take seeds from an ablation, whose differences are paired by seed."""
    if isinstance(before, AblationConfig) and len(now.seeds) < len(before.seeds):
        raise ConfigError(
            f"{directory} has {len(before.seeds)} seeds; num_seeds can only grow, got"
            f" {len(now.seeds)}"
        )


def check_journal(store: TrialStore) -> None:
    """Refuses a journal that lost trials which the table beside it has.

    A table that cannot be read says nothing of that, and is written anew from the journal.
    """
    try:
        kept = store.rows_in_table()
    except StoreError as error:
        _log.warning("%s; it is written anew from %s", error, store.journal.name)
        store.write_parquet()
        return
    if kept > len(store.records()):
        raise ConfigError(
            f"{store.journal} holds {len(store.records())} trials, and the table beside it"
            f" {kept}; the journal has lost some: restore it, or remove {TABLE_NAME} to have them"
            " trained again"
        )
