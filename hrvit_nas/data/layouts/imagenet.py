"""ImageNet-1K (Russakovsky et al., IJCV 2015), or any set with a folder a class.

`train/SYNSET/*.JPEG` and `val/SYNSET/*.JPEG`; the classes are the sorted names of the folders.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..labels import DataError
from .base import SPLITS, Layout
from .pairing import IMAGE_SUFFIXES, beside, listed

if TYPE_CHECKING:
    from ..images import ImageFileSplit


@dataclass(frozen=True)
class ImageFolders:
    """Folders of images, a folder a class, nothing decoded yet.

    Attributes:
        root: Folder of the set.
        files: Of each split, the names of the images of each class, sorted, by class.
    """

    root: Path
    files: dict[str, dict[str, tuple[str, ...]]]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the folders, sorted."""
        return tuple(self.files[SPLITS[0]])

    def split(self, name: str, size: tuple[int, int] | None) -> ImageFileSplit:
        """The training images as stored, or those of the validation at a height and width."""
        from ..images import ImageFileSplit

        return ImageFileSplit(
            folder=self.root / name,
            class_names=self.class_names,
            files=tuple(self.files[name].values()),
            size=None if name == "train" else size,
        )


def find(root: Path) -> ImageFolders:
    """The images of each class; both splits must have the same classes."""
    files = {split: _files(root / split) for split in SPLITS}
    train, val = (set(files[split]) for split in SPLITS)
    for here, there, classes in ((*SPLITS, train - val), (*SPLITS[::-1], val - train)):
        if classes:
            raise DataError(
                f"{root / there} must have a folder for every class that {here} has; it lacks"
                f" {listed(sorted(classes))}"
            )
    return ImageFolders(root, files)


def _files(folder: Path) -> dict[str, tuple[str, ...]]:
    """Names of the images of each class of a split."""
    if not folder.is_dir():
        raise DataError(f"folder of images is missing: {folder}{beside(folder)}")
    with os.scandir(folder) as entries:
        held = sorted(
            (entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")
        )
    classes = [name for name, is_folder in held if is_folder]
    if not classes:
        flat = any(_is_image(name) for name, _ in held)
        cause = (
            "; its images lie there unsorted: move each into the folder of its class, by"
            " ILSVRC2012_validation_ground_truth.txt of the development kit"
        )
        there = f"; there lie {listed([name for name, _ in held])}"
        raise DataError(f"folder holds no folder a class: {folder}{cause if flat else there}")
    return {name: _images(folder / name) for name in classes}


def _images(folder: Path) -> tuple[str, ...]:
    # Names alone: a million paths would take half a gigabyte in every process.
    names = tuple(sorted(name for name in os.listdir(folder) if _is_image(name)))
    if not names:
        raise DataError(
            f"folder of a class holds no {', '.join(IMAGE_SUFFIXES)} image: {folder}; remove it"
            " from both splits, or put the images there"
        )
    return names


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


LAYOUT = Layout(
    root="`train/SYNSET/*.JPEG`, `val/SYNSET/*.JPEG`: a folder a class, for classification",
    find=find,
    task="classification",
)
