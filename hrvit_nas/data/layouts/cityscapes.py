"""Cityscapes (Cordts et al., CVPR 2016), fine annotations: streets, with 19 classes scored."""

from __future__ import annotations

from pathlib import Path

from ..labels import LabelMap
from .base import SPLITS, FileSet, Layout, Pairs, images_in, paired

SCORED = {
    7: "road",
    8: "sidewalk",
    11: "building",
    12: "wall",
    13: "fence",
    17: "pole",
    19: "traffic light",
    20: "traffic sign",
    21: "vegetation",
    22: "terrain",
    23: "sky",
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
"""Label id -> name of the classes that are scored, in the order of their train ids."""

LABELS = LabelMap(
    classes={value: label for label, value in enumerate(SCORED)},
    # 255 stands for -1, the licence plates, in masks that keep them.
    ignored=(*range(34), 255),
    allowed="the label ids 0 to 33, and 255",
)
IMAGE, MASK = "_leftImg8bit.png", "_gtFine_labelIds.png"


def find(root: Path) -> FileSet:
    """Label ids become the 19 train ids, every other id is ignored."""
    return FileSet(
        class_names=tuple(SCORED.values()),
        labels=LABELS,
        pairs={split: _pairs(root, split) for split in SPLITS},
    )


def _pairs(root: Path, split: str) -> Pairs:
    masks = root / "gtFine" / split
    return tuple(
        paired(image, masks / image.parent.name / (image.name.removesuffix(IMAGE) + MASK))
        for image in images_in(root / "leftImg8bit" / split, f"*/*{IMAGE}")
    )


LAYOUT = Layout(
    root="`leftImg8bit/SPLIT/CITY/*_leftImg8bit.png`, `gtFine/SPLIT/CITY/*_gtFine_labelIds.png`",
    find=find,
)
