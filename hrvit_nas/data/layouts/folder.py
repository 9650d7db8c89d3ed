"""Any set in the tree that CamVid has, with its classes in a YAML file::

classes: [sky, building, road]   # the value of a pixel is the place in this list, from 0
ignore: 255                      # the one value that is not scored (may be left out)
"""

from __future__ import annotations

from pathlib import Path

from ..labels import LabelMap
from .base import SPLITS, FileSet, Layout, tree_pairs


def find(root: Path, classes: Path) -> FileSet:
    """Images as .jpg, .jpeg or .png; the values of pixels are what the YAML file says."""
    from ..class_file import read_classes

    names, ignored = read_classes(classes)
    return FileSet(
        class_names=names,
        labels=LabelMap.plain(len(names), ignored),
        pairs={split: tree_pairs(root, split) for split in SPLITS},
    )


LAYOUT = Layout(
    root="as camvid, with a YAML file of `classes: [names]` and optionally `ignore: 255`",
    find=find,
)
