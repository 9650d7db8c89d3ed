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
        source: `scored` on the validation set, `computed` from the description of a network in
            closed form, or `measured` on the device.
        direction: What a search does with it.
        axis: Title of its axis, `{at}` being the image size; empty where it has none.
    """

    name: str
    word: str
    unit: str
    scale: float
    source: Literal["scored", "computed", "measured"]
    direction: Literal["minimize", "maximize"] = "minimize"
    axis: str = ""


def _score(name: str, word: str) -> Objective:
    return Objective(
        name=name, word=word, unit="points", scale=100.0, source="scored", direction="maximize"
    )


_DECLARED = (
    _score("miou", "mIoU"),
    _score("averaged_miou", "mIoU of averaged weights"),
    _score("fw_iou", "frequency-weighted IoU"),
    _score("boundary_miou", "boundary mIoU"),
    Objective(name="cross_entropy", word="cross entropy", unit="nats", scale=1.0, source="scored"),
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
        name="latency_ms",
        word="latency",
        unit="ms",
        scale=1.0,
        source="measured",
        axis="Latency per image{at} (ms)",
    ),
)
OBJECTIVES = {objective.name: objective for objective in _DECLARED}
COSTS = tuple(o.name for o in _DECLARED if o.source != "scored")


def known_cost(name: str) -> str:
    """The name of a cost.

    Raises:
        ValueError: It is none.
    """
    if name not in COSTS:
        raise ValueError(f"a cost must be one of {', '.join(COSTS)}, got {name!r}")
    return name
