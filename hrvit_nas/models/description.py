"""What a network's numbers mean: its classes, colours, normalisation and label rules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

Colour = tuple[int, int, int]
PerChannel = tuple[float, float, float]


class DescriptionError(ValueError):
    """A description is none; the message names the field."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What travels with a network's weights, so that its input and output can be read.

    Attributes:
        class_names: Name of each class, by label.
        palette: Colour of each class, red, green, blue in 0..255; empty for whole images.
        mean: What is taken from each channel of an image in 0..255, red, green, blue.
        deviation: What the difference is divided by.
        label_rule: What the values of a stored mask mean, in words.
        label_values: Class of each stored value that has one; empty where it is not known.
        ignore_index: Label of pixels that are neither trained on nor scored; None for whole images,
            each of which has a class.
        data: Name of the data set that the network was trained on; empty where there was none.
    """

    class_names: tuple[str, ...]
    palette: tuple[Colour, ...]
    mean: PerChannel
    deviation: PerChannel
    label_rule: str
    label_values: tuple[tuple[int, int], ...] = ()
    ignore_index: int | None = 255
    data: str = ""

    def __post_init__(self) -> None:
        for name in ("class_names", "mean", "deviation"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("palette", "label_values"):
            object.__setattr__(self, name, tuple(tuple(item) for item in getattr(self, name)))
        if not self.class_names or not all(isinstance(name, str) for name in self.class_names):
            raise DescriptionError(f"class_names must be names, got {self.class_names!r}")
        if self.ignore_index is None and self.palette:
            raise DescriptionError(
                "palette must be empty for whole images, whose ignore_index is None,"
                f" got {len(self.palette)} colours"
            )
        if self.ignore_index is not None and len(self.palette) != len(self.class_names):
            raise DescriptionError(
                f"palette must have a colour for each of {len(self.class_names)} classes,"
                f" got {len(self.palette)}"
            )
        for colour in self.palette:
            if len(colour) != 3 or not all(_is_int(channel, 255) for channel in colour):
                raise DescriptionError(f"a colour must be three of 0 to 255, got {colour!r}")
        for name, lowest in (("mean", -math.inf), ("deviation", 0.0)):
            values = getattr(self, name)
            if len(values) != 3 or not all(_is_number(value, lowest) for value in values):
                above = " above 0" if lowest == 0 else ""
                raise DescriptionError(f"{name} must be three numbers{above}, got {values!r}")
        highest = len(self.class_names) - 1
        for pair in self.label_values:
            if len(pair) != 2 or not _is_int(pair[0], 255) or not _is_int(pair[1], highest):
                raise DescriptionError(
                    f"label_values must be pairs of a stored value, 0 to 255, and a class, 0 to"
                    f" {highest}; got {pair!r}"
                )
        ignored = self.ignore_index
        if ignored is not None and not (_is_int(ignored, 255) and ignored > highest):
            raise DescriptionError(
                f"ignore_index must be from {highest + 1} to 255, got {self.ignore_index!r}"
            )
        for name in ("label_rule", "data"):
            if not isinstance(getattr(self, name), str):
                raise DescriptionError(f"{name} must be text, got {getattr(self, name)!r}")

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def to_dict(self) -> dict[str, Any]:
        """The description as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> Description:
        """Rebuilds a description from `to_dict`.

        Raises:
            DescriptionError: A key is unknown or missing, or a field is at fault.
        """
        if not isinstance(data, Mapping):
            raise DescriptionError(f"a description must be a mapping, got {type(data).__name__}")
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(map(str, data)) - set(known)):
            raise DescriptionError(f"unknown key {unknown[0]!r}; known: {', '.join(known)}")
        try:
            return cls(**data)
        except TypeError as error:  # a key is missing, or a list is none
            raise DescriptionError(str(error)) from error


def _is_int(value: object, highest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= highest


def _is_number(value: object, lowest: float) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and lowest < value < math.inf  # type: ignore[operator]
