"""What files of images must satisfy before anything is trained on them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import islice

from ..data import DataConfig, DataError, Selection, check_data
from ..data.dataset import find
from ..training import Recipe
from .run_config import RunConfig

_log = logging.getLogger(__name__)


def check_images(config: RunConfig) -> None:
    """Refuses files that could not be trained on, and warns of what looks like a mistake.

    Raises:
        DataError: A mask is faulty, a split has no labelled pixel, or images of a batch differ in
            size.
    """
    if not config.data.stored:
        return
    for warning in check_data(config.data).warnings:
        _log.warning("%s", warning)
    if config.data.image_size is None:
        check_sizes(config.data, config.recipes)


def check_sizes(data: DataConfig, recipes: Sequence[Recipe]) -> None:
    """Refuses whole images of one batch that differ in size, by their headers.

    Raises:
        DataError: They do.
    """
    found = find(data)
    for recipe in recipes:
        size = recipe.eval_batch_size
        val = found.split("val", None)
        _check_alike(val.names, val.sizes(), size)
        if recipe.recalibration_batches:
            train = found.split("train", None)
            chosen = Selection(split=train, count=recipe.recalibration_batches * size)
            sizes = dict(zip(train.names, train.sizes(), strict=True))
            _check_alike(chosen.names, [sizes[name] for name in chosen.names], size)


def _check_alike(names: Sequence[str], sizes: Iterable[tuple[int, int]], batch_size: int) -> None:
    pairs = iter(zip(names, sizes, strict=True))
    while batch := list(islice(pairs, batch_size)):
        (first, size), *others = batch
        for name, other in others:
            if other != size:
                raise DataError(
                    f"whole images of one batch differ in size: {first} has {size[0]}x{size[1]}"
                    f" pixels, {name} has {other[0]}x{other[1]}; set image_size in the recipe, or"
                    " eval_batch_size: 1"
                )
