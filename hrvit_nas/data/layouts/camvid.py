"""CamVid (Brostow et al., 2009): photographs from a car, with the 11 classes of SegNet."""

from __future__ import annotations

from pathlib import Path

from ..labels import LabelMap
from .base import SPLITS, FileSet, Layout
from .pairing import tree_split

CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
IGNORED = 11
LABELS = LabelMap.plain(len(CLASSES), IGNORED)


def find(root: Path) -> FileSet:
    """The value of a pixel is its class, and 11 is ignored."""
    return FileSet(
        class_names=CLASSES,
        labels=LABELS,
        splits={split: tree_split(root, split) for split in SPLITS},
    )


LAYOUT = Layout(
    root="`images/{train,val}/NAME.jpg`, `annotations/{train,val}/NAME.png`, labels 0 to 10, 11"
    " ignored",
    find=find,
    labels=LABELS,
)
