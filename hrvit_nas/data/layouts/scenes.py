"""The built-in set, which has no files: `hrvit_nas.data.scenes` draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .base import Layout

if TYPE_CHECKING:
    from ..splits import SceneSplit

FIRST_VAL_SCENE = 1_000_000
"""Index of the first validation scene, so that the number of training scenes moves none."""


@dataclass(frozen=True)
class SceneSet:
    """Scenes of a seed.

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
        from ..scenes import SCENE_CLASSES

        return SCENE_CLASSES

    def split(self, name: str, size: tuple[int, int] | None) -> SceneSplit:
        """The training or the validation split, of a height and width; by default 96x128."""
        from ..scenes import DEFAULT_SIZE
        from ..splits import SceneSplit

        first, count = (0, self.num_train) if name == "train" else (FIRST_VAL_SCENE, self.num_val)
        return SceneSplit(seed=self.seed, first=first, count=count, size=size or DEFAULT_SIZE)


LAYOUT = Layout(
    root="nothing: drawn by the program, the same for the same seed",
    find=SceneSet,
)
