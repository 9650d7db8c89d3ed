"""Any set in the tree that CamVid has, with its classes in a YAML file::

classes: [sky, building, road]   # the value of a pixel is the place in this list, from 0
ignore_index: 255                # the one value that is not scored (may be left out)

Masks that hold other values say so there too: `hrvit_nas.data.class_file.ClassFile`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .base import SPLITS, FileSet, Layout
from .pairing import tree_split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..labels import LabelMap


def find(root: Path, classes: Path) -> FileSet:
    """Images and masks as of CamVid; what the masks hold is what the YAML file says."""
    from ..class_file import read_classes

    names, labels = read_classes(classes)
    return FileSet(
        class_names=names,
        labels=labels,
        splits={split: tree_split(root, split) for split in SPLITS},
        suspect=lambda pixels: suspect(pixels, labels),
    )


def suspect(pixels: NDArray[np.int64], labels: LabelMap) -> str | None:
    """Binary masks of 0 and 255, where 255 is ignored."""
    held = {value for value in range(len(pixels)) if pixels[value]}
    if held == {0, 255} and 0 in labels.classes and 255 not in labels.classes:
        return (
            "its masks hold 0 and 255 alone, and 255 is ignored; if it is a class, give map:"
            " {0: 0, 255: 1} in the classes file"
        )
    return None


LAYOUT = Layout(
    root="as camvid, with a YAML file of `classes: [names]` and what its masks hold, if that is not"
    " 0, 1, 2, ... and 255 for ignored",
    find=find,
)
