"""Cityscapes (Cordts et al., CVPR 2016), fine annotations: streets, with 19 classes scored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..labels import LabelMap
from .base import SPLITS, FileSet, Layout, Paired
from .pairing import files_in, images_in, masks_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
        splits={split: _paired(root, split) for split in SPLITS},
        suspect=suspect,
    )


def _paired(root: Path, split: str) -> Paired:
    masks = root / "gtFine" / split
    return masks_of(
        _by_frame(images_in(root / "leftImg8bit" / split, f"*/*{IMAGE}"), IMAGE),
        _by_frame(files_in(masks, f"*/*{MASK}"), MASK),
        masks,
        f"{{}}{MASK}",
    )


def _by_frame(paths: list[Path], suffix: str) -> dict[str, Path]:
    """Files by city and the name that image and mask share."""
    return {f"{path.parent.name}/{path.name[: -len(suffix)]}": path for path in paths}


def suspect(pixels: NDArray[np.int64]) -> str | None:
    """Train ids under the name of label ids: they end at 18, where most label ids are above it."""
    train_ids = len(SCORED)
    if pixels[:train_ids].any() and not pixels[train_ids:-1].any():
        return (
            "its masks hold no label id above 18: they look like train ids, most of which are"
            " ignored here; use the *_gtFine_labelIds.png of the release"
        )
    return None


LAYOUT = Layout(
    root="`leftImg8bit/SPLIT/CITY/*_leftImg8bit.png`, `gtFine/SPLIT/CITY/*_gtFine_labelIds.png`",
    find=find,
    labels=LABELS,
)
