"""What architectures can be scored and weighed by: one declaration a quantity.

Whatever names an objective reads it here: the options and configurations of a search, its study,
frontier and tables, and the axes of figures. The standard library alone, so that a command can list
names before it loads anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One quantity.

    Attributes:
        name: As trials and summaries call it, in their own unit.
        word: In a sentence.
        unit: That it is shown in.
        scale: What its own unit is multiplied by for that.
        source: `scored` on the validation set, `computed` from the description of a network alone,
            or `measured` on the device.
        direction: What a search does with it.
        worst: The worst value that counts in a hypervolume; None = the worst of what is compared.
        axis: Title of its axis, `{at}` being the image size.
    """

    name: str
    word: str
    unit: str
    scale: float
    source: Literal["scored", "computed", "measured"]
    direction: Literal["minimize", "maximize"] = "minimize"
    worst: float | None = None
    axis: str

    @property
    def little(self) -> str:
        """What a search wants of a cost: few of what is counted, a low rate or amount."""
        return f"{'few' if self.word.endswith('s') else 'low'} {self.word}"

    @property
    def level(self) -> str:
        """What stands behind a value in `unit` that is no difference of two."""
        return "%" if self.unit == "points" else f" {self.unit}"

    def gain(self, value: float) -> float:
        """A value so turned that more is better; done twice, it is the value again."""
        return value if self.direction == "maximize" else -value


def _score(name: str, word: str) -> Objective:
    return Objective(
        name=name,
        word=word,
        unit="points",
        scale=100.0,
        source="scored",
        direction="maximize",
        worst=0.0,
        axis=f"{word} (%)",
    )


_DECLARED = (
    _score("miou", "mIoU"),
    _score("averaged_miou", "mIoU of averaged weights"),
    _score("fw_iou", "frequency-weighted IoU"),
    _score("boundary_miou", "boundary mIoU"),
    Objective(
        name="cross_entropy",
        word="cross entropy",
        unit="nats",
        scale=1.0,
        source="scored",
        axis="cross entropy (nats)",
    ),
    Objective(
        name="macs",
        word="multiply-adds",
        unit="GMACs",
        scale=1e-9,
        source="computed",
        axis="Multiply-adds per image{at}\n(GMACs, fvcore convention)",
    ),
    Objective(
        name="params",
        word="parameters",
        unit="M",
        scale=1e-6,
        source="computed",
        axis="Parameters (millions)",
    ),
    Objective(
        name="peak_activation_bytes",
        word="peak activation memory",
        unit="MiB",
        scale=2.0**-20,
        source="computed",
        axis="Peak activation memory per image{at} (MiB)",
    ),
    Objective(
        name="predicted_latency_ms",
        word="predicted latency",
        unit="ms",
        scale=1.0,
        source="computed",
        axis="Predicted latency per image{at} (ms)",
    ),
    Objective(
        name="latency_ms",
        word="latency",
        unit="ms",
        scale=1.0,
        source="measured",
        axis="Latency per image{at} (ms)",
    ),
)
OBJECTIVES = {objective.name: objective for objective in _DECLARED}
SCORES = tuple(o.name for o in _DECLARED if o.source == "scored")
CRITERIA = tuple(name for name in SCORES if name != "averaged_miou")
"""Scores that a search may rank by; `miou` is of averaged weights where weights are averaged."""
COSTS = tuple(o.name for o in _DECLARED if o.source != "scored")
MOST_COSTS = 2
"""Costs that a search may weigh its score against at a time."""


def known_criterion(name: str) -> str:
    """The name of a score that a search may rank by.

    Raises:
        ValueError: It is none.
    """
    return _one_of(CRITERIA, "a criterion", name)


def known_costs(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the costs of a search.

    Raises:
        ValueError: One is none or there twice, or there are none or too many.
    """
    for name in names:
        _one_of(COSTS, "a cost", name)
    if not 1 <= len(names) <= MOST_COSTS or len(set(names)) < len(names):
        raise ValueError(
            f"a search weighs its score against 1 to {MOST_COSTS} different costs, got"
            f" {', '.join(names) or 'none'}"
        )
    return names


def _one_of(names: tuple[str, ...], what: str, name: str) -> str:
    if name not in names:
        raise ValueError(f"{what} must be one of {', '.join(names)}, got {name!r}")
    return name
