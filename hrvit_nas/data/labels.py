"""What the stored values of masks mean. The standard library alone, until a table is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IGNORE_INDEX = 255
"""Label of a pixel that is neither trained on nor scored."""

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""


class DataError(ValueError):
    """A data set cannot be read as configured; the message names the file and the remedy."""


@dataclass(frozen=True)
class LabelMap:
    """What the stored values of a mask become.

    Attributes:
        classes: Class of each stored value that has one.
        ignored: Stored values that are neither trained on nor scored; a class goes before.
        allowed: The values that may occur, in words.
        suspicions: What to try where a value occurs that must not, in words, by value.
        colours: Class, or `IGNORE_INDEX`, of each colour, of masks that are coloured; these have no
            values.
    """

    classes: Mapping[int, int]
    ignored: Iterable[int]
    allowed: str
    suspicions: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[Colour, int] | None = None

    @cached_property
    def table(self) -> NDArray[np.int16]:
        """Class of each stored value 0..255; -1 where a value must not occur."""
        import numpy as np

        table = np.full(256, -1, np.int16)
        table[list(self.ignored)] = IGNORE_INDEX
        for value, label in self.classes.items():
            table[value] = label
        return table

    @cached_property
    def colour_table(self) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Colours as `packed`, rising, and the label of each."""
        import numpy as np

        assert self.colours is not None
        codes = packed(np.array(list(self.colours), np.uint8))
        order = np.argsort(codes)
        return codes[order], np.array(list(self.colours.values()), np.uint8)[order]

    def refusal(self, value: int) -> str:
        """What is allowed in place of a value, and what it may come from."""
        suspicion = self.suspicions.get(value)
        if value > IGNORE_INDEX:
            suspicion = "values such as label * 256 + instance must be divided by 256 first"
        return f"allowed: {self.allowed}" + (f"; {suspicion}" if suspicion else "")

    @classmethod
    def plain(
        cls, num_classes: int, ignore: int, suspicions: Mapping[int, str] | None = None
    ) -> LabelMap:
        """Values that are the classes themselves, from 0, and one value that is ignored."""
        return cls(
            classes={label: label for label in range(num_classes)},
            ignored=(ignore,),
            allowed=f"0 to {num_classes - 1}, and {ignore} for ignored pixels",
            suspicions=suspicions or {},
        )


def packed(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Colours (..., 3) as one integer each (...)."""
    import numpy as np

    wide = colours.astype(np.int32)
    code: NDArray[np.int32] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return code
