"""No images: nothing is trained, and scores are of a synthetic objective of the architecture.

`hrvit_nas.search.synthetic` is that objective, for trying what runs trials without training any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .base import Layout

if TYPE_CHECKING:
    from ..splits import NoSplit

NUM_CLASSES = 19
"""What costs are counted for; the number that published costs are of."""


@dataclass(frozen=True)
class Nothing:
    """Classes, so that networks have a size, and no images.

    Attributes:
        noise: Standard deviation of a score between seeds.
        delay_s: Seconds that a trial takes.
        failure_rate: Share of the trials that fail.
        seed: Seed of the objective.
    """

    noise: float
    delay_s: float
    failure_rate: float
    seed: int

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        return tuple(f"class {label}" for label in range(NUM_CLASSES))

    def split(self, name: str, size: tuple[int, int] | None) -> NoSplit:  # noqa: ARG002
        """The training or the validation split, which is empty."""
        from ..splits import NoSplit

        return NoSplit()


LAYOUT = Layout(
    root="nothing: nothing is trained, and scores are of a synthetic objective",
    find=Nothing,
    images=False,
)
