"""Whether batches have as many images as batch norms need."""

from __future__ import annotations

from collections.abc import Iterable

from ..arch import HEAD_KINDS, HeadKind
from .recipe import Recipe


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
        if max(1, recipe.batch_size // num_processes) < least:
            raise ValueError(
                f"batch_size must be at least {least * num_processes} for head {kind}, which"
                f" normalises over {least} images or more a process; got {recipe.batch_size}"
            )
        size = recipe.eval_batch_size
        images = min(recipe.recalibration_batches * size, num_train)
        if images and (images % size or size) < least:
            raise ValueError(
                f"eval_batch_size must leave no batch of fewer than {least} of the {images} images"
                f" that recalibrate head {kind}, got {size}"
            )
