"""A built-in set for classification, which has no files: `hrvit_nas.data.objects` draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .base import Layout

if TYPE_CHECKING:
    from ..images import ObjectSplit

FIRST_VAL_OBJECT = 100_000_000
"""Number of the first validation image, so that the number of training images moves none."""


@dataclass(frozen=True)
class ObjectSet:
    """Objects of a seed.

    Attributes:
        num_train: Number of training images.
        num_val: Number of validation images.
        seed: Seed of the drawing.
    """

    num_train: int
    num_val: int
    seed: int

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        from ..objects import OBJECT_CLASSES

        return OBJECT_CLASSES

    def split(self, name: str, size: tuple[int, int] | None) -> ObjectSplit:
        """The training or the validation split, of a height and width; by default 64x64."""
        from ..images import ObjectSplit
        from ..objects import DEFAULT_SIZE

        first, count = (0, self.num_train) if name == "train" else (FIRST_VAL_OBJECT, self.num_val)
        return ObjectSplit(seed=self.seed, first=first, count=count, size=size or DEFAULT_SIZE)


LAYOUT = Layout(
    root="nothing: an object an image, drawn by the program, for classification",
    find=ObjectSet,
    task="classification",
)
