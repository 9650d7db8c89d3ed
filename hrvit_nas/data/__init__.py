"""Data sets for semantic segmentation and classification, augmentation, batches.

`load_data` finds or draws a data set; `train_batches` and `val_batches` turn its splits into
tensors; `load_images`, `train_image_batches` and `val_image_batches` do so for classification.
`layouts` says which folders are understood, `scenes` what the built-in set shows.
The public names are loaded when first used, so that only the batches load torch, and a command
can list `layouts` before it loads anything.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batches import TrainBatches, train_batches, val_batches
    from .checks import DataCheck, check_data
    from .config import AugmentConfig, DataConfig, ImageAugmentConfig, RandAugmentConfig
    from .dataset import (
        ClassificationData,
        SegmentationData,
        load_data,
        load_images,
        open_data,
    )
    from .describing import describe, describe_images
    from .image_batches import train_image_batches, val_image_batches
    from .images import ImageSplit
    from .labels import IGNORE_INDEX, DataError
    from .scenes import SCENE_CLASSES, draw_scene
    from .sheet import contact_sheet, mask_sheet
    from .splits import Selection, Split, class_shares

_HOMES = {
    "IGNORE_INDEX": "labels",
    "SCENE_CLASSES": "scenes",
    "AugmentConfig": "config",
    "ClassificationData": "dataset",
    "DataCheck": "checks",
    "DataConfig": "config",
    "DataError": "labels",
    "ImageAugmentConfig": "config",
    "ImageSplit": "images",
    "RandAugmentConfig": "config",
    "SegmentationData": "dataset",
    "Selection": "splits",
    "Split": "splits",
    "TrainBatches": "batches",
    "check_data": "checks",
    "class_shares": "splits",
    "contact_sheet": "sheet",
    "describe": "describing",
    "describe_images": "describing",
    "draw_scene": "scenes",
    "load_data": "dataset",
    "load_images": "dataset",
    "mask_sheet": "sheet",
    "open_data": "dataset",
    "train_batches": "batches",
    "train_image_batches": "image_batches",
    "val_batches": "batches",
    "val_image_batches": "image_batches",
}

__all__ = [
    "IGNORE_INDEX",
    "SCENE_CLASSES",
    "AugmentConfig",
    "ClassificationData",
    "DataCheck",
    "DataConfig",
    "DataError",
    "ImageAugmentConfig",
    "ImageSplit",
    "RandAugmentConfig",
    "SegmentationData",
    "Selection",
    "Split",
    "TrainBatches",
    "check_data",
    "class_shares",
    "contact_sheet",
    "describe",
    "describe_images",
    "draw_scene",
    "load_data",
    "load_images",
    "mask_sheet",
    "open_data",
    "train_batches",
    "train_image_batches",
    "val_batches",
    "val_image_batches",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
