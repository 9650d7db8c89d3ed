"""Data sets for semantic segmentation, joint augmentation, batches.

`load_data` finds or draws a data set; `train_batches` and `val_batches` turn its splits into
tensors. `layouts` says which folders are understood, `scenes` what the built-in set shows.
Only the batches need torch, and they are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import IGNORE_INDEX, AugmentConfig, DataConfig, DataError
from .dataset import SegmentationData, load_data
from .scenes import SCENE_CLASSES, draw_scene
from .sheet import contact_sheet, mask_sheet
from .splits import Selection, Split, class_shares

if TYPE_CHECKING:
    from .batches import train_batches, val_batches

__all__ = [
    "IGNORE_INDEX",
    "SCENE_CLASSES",
    "AugmentConfig",
    "DataConfig",
    "DataError",
    "SegmentationData",
    "Selection",
    "Split",
    "class_shares",
    "contact_sheet",
    "draw_scene",
    "load_data",
    "mask_sheet",
    "train_batches",
    "val_batches",
]


def __getattr__(name: str) -> Any:
    if name not in ("train_batches", "val_batches"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import batches

    return getattr(batches, name)
