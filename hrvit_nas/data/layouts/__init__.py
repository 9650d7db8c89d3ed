"""Data sets that are understood: one module a layout, and its entry here.

The standard library alone until one is read, so that a command can list names before it loads
anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from . import ade20k, camvid, cityscapes, drawn_classes, folder, imagenet, none, scenes
from .base import SPLITS, FileSet, Found, FoundImages, Layout, Task

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "scenes": scenes.LAYOUT,
        "camvid": camvid.LAYOUT,
        "cityscapes": cityscapes.LAYOUT,
        "ade20k": ade20k.LAYOUT,
        "folder": folder.LAYOUT,
        "imagenet": imagenet.LAYOUT,
        "drawn_classes": drawn_classes.LAYOUT,
        "none": none.LAYOUT,
    }
)

__all__ = ["LAYOUTS", "SPLITS", "FileSet", "Found", "FoundImages", "Layout", "Task"]
