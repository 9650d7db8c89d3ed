"""Whether batches have as many images, and maps as many pixels, as batch norms need."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from ..arch import HEAD_KINDS, HeadKind
from .recipe import Recipe

LARGEST_STRIDE = 32
"""Pixels of the image that a pixel of the smallest map stands for, in every family."""


def check_batches(
    kinds: Iterable[HeadKind], recipe: Recipe, num_train: int, num_processes: int = 1
) -> None:
    """Refuses batches with fewer images than some head can normalise over, before a step is made.

    Args:
        kinds: Heads of what is trained.
        recipe: Whose batches these are.
        num_train: Training images, some of which recalibrate.
        num_processes: Who shares each batch.

    Raises:
        ValueError: A batch of training, or of BN recalibration, has too few images.
    """
    for kind in kinds:
        least = HEAD_KINDS[kind].min_images
        parts = num_processes * recipe.accumulation_steps
        if max(1, recipe.batch_size // parts) < least:
            raise ValueError(
                f"batch_size must be at least {least * parts} for head {kind}, which normalises"
                f" over {least} images or more of each of {parts} parts; got {recipe.batch_size}"
            )
        images, smallest = _recalibrating(recipe, num_train)
        if images and smallest < least:
            raise ValueError(
                f"eval_batch_size must leave no batch of fewer than {least} of the {images} images"
                f" that recalibrate head {kind}, got {recipe.eval_batch_size}"
            )


def check_maps(
    recipe: Recipe, image_size: tuple[int, int], num_train: int, num_processes: int = 1
) -> None:
    """Refuses batches that leave a batch norm one value a channel on the smallest map.

    Args:
        recipe: Whose batches these are.
        image_size: Height and width of whole images.
        num_train: Training images, some of which recalibrate.
        num_processes: Who shares each batch.

    Raises:
        ValueError: Training, or BN recalibration, would come to such a batch.
    """
    crop = recipe.crop_size or image_size
    together = 1 if recipe.sync_batch_norm else num_processes
    if recipe.accumulation_steps * num_processes > recipe.batch_size:
        raise ValueError(
            f"batch_size must be at least {recipe.accumulation_steps * num_processes}, an image for"
            f" each of {recipe.accumulation_steps} parts of {num_processes} processes; got"
            f" {recipe.batch_size}"
        )
    part = max(1, recipe.batch_size // (together * recipe.accumulation_steps))
    _check_map(part, crop, "training", "batch_size")
    images, smallest = _recalibrating(recipe, num_train)
    if images:
        _check_map(smallest, image_size, "BN recalibration", "eval_batch_size")


def _check_map(images: int, size: tuple[int, int], what: str, field: str) -> None:
    height, width = (ceil(side / LARGEST_STRIDE) for side in size)
    if images * height * width < 2:
        raise ValueError(
            "a batch norm must see more than one value a channel, and one image of"
            f" {size[0]}x{size[1]} has a smallest map of 1x1, in a batch of {what}; raise {field}"
            f" to 2 or more, or the size above {LARGEST_STRIDE}x{LARGEST_STRIDE}"
        )


def _recalibrating(recipe: Recipe, num_train: int) -> tuple[int, int]:
    """How many images recalibrate batch norms, and how many the smallest batch of them has."""
    size = recipe.eval_batch_size
    images = min(recipe.recalibration_batches * size, num_train)
    return images, images % size or min(size, images)
