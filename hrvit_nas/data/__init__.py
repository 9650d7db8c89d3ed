"""Data sets for semantic segmentation, joint augmentation, batches.

`load_data` finds or draws a data set; `train_batches` and `val_batches` turn its splits into
tensors. `layouts` says which folders are understood, `scenes` what the built-in set shows.
The public names are loaded when first used, so that only the batches load torch, and a command
can list `layouts` before it loads anything.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batches import train_batches, val_batches
    from .checks import DataCheck, check_data
    from .config import AugmentConfig, DataConfig
    from .dataset import SegmentationData, load_data, open_data
    from .describing import describe
    from .labels import IGNORE_INDEX, DataError
    from .scenes import SCENE_CLASSES, draw_scene
    from .sheet import contact_sheet, mask_sheet
    from .splits import Selection, Split, class_shares

_HOMES = {
    "IGNORE_INDEX": "labels",
    "SCENE_CLASSES": "scenes",
    "AugmentConfig": "config",
    "DataCheck": "checks",
    "DataConfig": "config",
    "DataError": "labels",
    "SegmentationData": "dataset",
    "Selection": "splits",
    "Split": "splits",
    "check_data": "checks",
    "class_shares": "splits",
    "contact_sheet": "sheet",
    "describe": "describing",
    "draw_scene": "scenes",
    "load_data": "dataset",
    "mask_sheet": "sheet",
    "open_data": "dataset",
    "train_batches": "batches",
    "val_batches": "batches",
}

__all__ = [
    "IGNORE_INDEX",
    "SCENE_CLASSES",
    "AugmentConfig",
    "DataCheck",
    "DataConfig",
    "DataError",
    "SegmentationData",
    "Selection",
    "Split",
    "check_data",
    "class_shares",
    "contact_sheet",
    "describe",
    "draw_scene",
    "load_data",
    "mask_sheet",
    "open_data",
    "train_batches",
    "val_batches",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
