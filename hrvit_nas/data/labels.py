"""What the stored values of masks mean. The standard library alone, until a table is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IGNORE_INDEX = 255
"""Label of a pixel that is neither trained on nor scored."""


class DataError(ValueError):
    """A data set cannot be read as configured; the message names the file and the remedy."""


@dataclass(frozen=True)
class LabelMap:
    """What the stored values of a mask become.

    Attributes:
        classes: Class of each stored value that has one.
        ignored: Stored values that are neither trained on nor scored; a class goes before.
        allowed: The values that may occur, in words.
    """

    classes: Mapping[int, int]
    ignored: Iterable[int]
    allowed: str

    @cached_property
    def table(self) -> NDArray[np.int16]:
        """Class of each stored value 0..255; -1 where a value must not occur."""
        import numpy as np

        table = np.full(256, -1, np.int16)
        table[list(self.ignored)] = IGNORE_INDEX
        for value, label in self.classes.items():
            table[value] = label
        return table

    @classmethod
    def plain(cls, num_classes: int, ignore: int) -> LabelMap:
        """Values that are the classes themselves, from 0, and one value that is ignored."""
        return cls(
            classes={label: label for label in range(num_classes)},
            ignored=(ignore,),
            allowed=f"0 to {num_classes - 1}, and {ignore} for ignored pixels",
        )
