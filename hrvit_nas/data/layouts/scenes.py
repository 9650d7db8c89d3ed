"""The built-in set, which has no files: `hrvit_nas.data.scenes` draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import DrawnSet, Layout

if TYPE_CHECKING:
    from ..splits import SceneSplit


class SceneSet(DrawnSet):
    """Scenes of a seed."""

    first_val = 1_000_000

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        from ..scenes import SCENE_CLASSES

        return SCENE_CLASSES

    def split(self, name: str, size: tuple[int, int] | None) -> SceneSplit:
        """The training or the validation split, of a height and width; by default 96x128."""
        from ..scenes import DEFAULT_SIZE
        from ..splits import SceneSplit

        first, count = self.numbers(name)
        return SceneSplit(seed=self.seed, first=first, count=count, size=size or DEFAULT_SIZE)


LAYOUT = Layout(
    root="nothing: drawn by the program, the same for the same seed",
    find=SceneSet,
)
