"""What images and recipes must satisfy together before anything is trained on them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import islice
from math import ceil

from ..data import DataConfig, DataError, SegmentationData, Selection, check_data
from ..data.dataset import find
from ..training import Recipe
from .config_parts import ConfigError
from .run_config import RunConfig

LARGEST_STRIDE = 32
"""Pixels of the image that a pixel of the smallest map stands for, in every family."""

_log = logging.getLogger(__name__)


def check_images(config: RunConfig, data: SegmentationData) -> None:
    """Refuses what could not be trained or scored, and warns of what looks like a mistake.

    Raises:
        ConfigError: A batch norm would see one value a channel.
        DataError: A mask is faulty, a split has no labelled pixel, or images of a batch differ in
            size.
    """
    if config.data.synthetic:
        return
    plans = [config.supernet_plan(seed) for seed in config.supernet_seeds]
    for recipe in [*config.recipes, *(plan.recipe for plan in plans)]:
        check_maps(recipe, config.image_size, len(data.train))
    if not config.data.stored:
        return
    for warning in check_data(config.data).warnings:
        _log.warning("%s", warning)
    if config.data.image_size is None:
        check_sizes(config.data, config.recipes)


def check_maps(recipe: Recipe, image_size: tuple[int, int], num_images: int) -> None:
    """Refuses batches that leave a batch norm one value a channel on the smallest map.

    Args:
        recipe: How is trained.
        image_size: Height and width of whole images.
        num_images: Of the training split.

    Raises:
        ConfigError: Training, or BN recalibration, would come to such a batch.
    """
    crop = recipe.augment.crop_size or image_size
    _check_batch(recipe.batch_size, crop, "batch_size", "batches of training")
    if recipe.recalibration_batches:
        size = recipe.eval_batch_size
        chosen = min(num_images, recipe.recalibration_batches * size)
        last = chosen % size or size
        _check_batch(last, image_size, "eval_batch_size", "a batch of BN recalibration")


def _check_batch(images: int, size: tuple[int, int], field: str, what: str) -> None:
    height, width = (ceil(side / LARGEST_STRIDE) for side in size)
    if images * height * width > 1:
        return
    raise ConfigError(
        f"a batch norm must see more than one value a channel: {what} of {images} image at"
        f" {size[0]}x{size[1]} leave{'s' if what.startswith('a ') else ''} a smallest map of 1x1;"
        f" raise {field} to 2 or more, or the size above {LARGEST_STRIDE}x{LARGEST_STRIDE}"
    )


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
