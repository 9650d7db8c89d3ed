"""A built-in set for classification, which has no files: `hrvit_nas.data.objects` draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import DrawnSet, Layout

if TYPE_CHECKING:
    from ..images import ObjectSplit


class ObjectSet(DrawnSet):
    """Objects of a seed."""

    first_val = 100_000_000

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        from ..objects import OBJECT_CLASSES

        return OBJECT_CLASSES

    def split(self, name: str, size: tuple[int, int] | None) -> ObjectSplit:
        """The training or the validation split, of a height and width; by default 64x64."""
        from ..images import ObjectSplit
        from ..objects import DEFAULT_SIZE

        first, count = self.numbers(name)
        return ObjectSplit(seed=self.seed, first=first, count=count, size=size or DEFAULT_SIZE)


LAYOUT = Layout(
    root="nothing: an object an image, drawn by the program, for classification",
    find=ObjectSet,
    task="classification",
)
