"""Predictions in the forms that the evaluation servers of Cityscapes and ADE20K take.

Both want a PNG an image, of the image's own size, that holds the values of the release's masks:

- Cityscapes: label ids (7 is road), not train ids; the name begins as the image's does, with
  `CITY_SEQUENCE_FRAME`, by which its scripts find it.
- ADE20K: 1 to 150; the name is the image's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from .labels import DataError, LabelMap
from .layouts import ade20k, cityscapes

_FRAME = re.compile(r"([A-Za-z-]+_\d{6}_\d{6})_leftImg8bit")
_RELEASES = MappingProxyType({"cityscapes": cityscapes.LABELS, "ade20k": ade20k.LABELS})
FORMS = tuple(_RELEASES)


@dataclass(frozen=True, eq=False)
class Submission:
    """What is handed in.

    Attributes:
        form: One of `FORMS`.
        values: What is stored for each class, (num_classes,).
    """

    form: str
    values: NDArray[np.uint8]

    def file_name(self, image: str | Path) -> str:
        """Name of the file for an image.

        Raises:
            DataError: The server would not know whose it is.
        """
        stem = Path(image).stem
        if self.form != "cityscapes":
            return f"{stem}.png"
        found = _FRAME.fullmatch(stem)
        if found is None:
            raise DataError(
                f"to be handed in to Cityscapes, an image must be named"
                f" CITY_SEQUENCE_FRAME_leftImg8bit.png, got {Path(image).name}"
            )
        return f"{found[1]}{cityscapes.MASK.replace('gtFine', 'pred')}"

    def stored(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Labels (H, W) as they are stored."""
        return self.values[labels]


def submission(
    form: str, num_classes: int, label_values: Iterable[tuple[int, int]] = ()
) -> Submission:
    """How the predictions of a network are handed in.

    Args:
        form: One of `FORMS`.
        num_classes: Classes that the network tells apart.
        label_values: Class of each value of the masks that it learnt from; where it is not known,
            the network has the release's classes in their order.

    Raises:
        DataError: The network has not the classes of the release.
    """
    release = _RELEASES[form]
    values = stored_values(release, num_classes)
    if pairs := tuple(label_values):
        known = {label: value for value, label in sorted(pairs, reverse=True)}
        found = [known.get(label, -1) for label in range(num_classes)]
        if strange := [value for value in found if value not in release.classes]:
            raise DataError(
                f"a network for {form} must answer with values that its masks hold, and this one"
                f" has learnt from masks where a class is stored as {strange[0]}"
                if strange[0] >= 0
                else f"a network for {form} must know the stored value of each class"
            )
        values = np.array(found, np.uint8)
    return Submission(form=form, values=values)


def stored_values(release: LabelMap, num_classes: int) -> NDArray[np.uint8]:
    """The value of each class in the masks of a release.

    Raises:
        DataError: It has another number of classes.
    """
    if num_classes != len(release.classes):
        raise DataError(
            f"to be handed in, predictions must be of {len(release.classes)} classes, and this"
            f" network tells {num_classes} apart"
        )
    by_class = {label: value for value, label in release.classes.items()}
    return np.array([by_class[label] for label in range(num_classes)], np.uint8)
