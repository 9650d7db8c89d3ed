"""What the arms of an ablation cost, beside what was published: before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from hrvit_nas.arch import PyramidSpec
from hrvit_nas.cost import Cost
from hrvit_nas.results import Column

from .grid import Grid, GridColumn
from .section import Records

if TYPE_CHECKING:
    from hrvit_nas.search.ablation_config import Fact

PUBLISHED: dict[Fact, str] = {
    "params": "published parameters",
    "macs": "published FLOPs",
    "imagenet_top1": "published ImageNet top-1 or its change",
    "cityscapes_miou": "published Cityscapes mIoU or its change",
    "ade20k_miou": "published ADE20K mIoU or its change",
}
"""Facts of a paper, by the name that a plan gives them; shown as text, never computed with."""

_COSTS = {
    "params": Column("count", "trainable parameters"),
    "published_macs": Column(
        "multiply-adds/image", "multiply-adds of the published form, as fvcore counts"
    ),
    "paper_macs": Column(
        "multiply-adds/image",
        "the same with half of the attention products (all of MiT's), as published figures count",
    ),
    "macs": Column("multiply-adds/image", "multiply-adds that this model executes"),
    "peak_activation_bytes": Column("B/image", "peak bytes of activations, float32 inference"),
}
COST_COLUMNS: dict[str, Column] = {
    "change": Column("", "name of the change; base = nothing changed"),
    "description": Column("", "what it means"),
    **{
        f"{name}{end}": Column(unit or column.unit, f"{column.description}{text}")
        for name, column in _COSTS.items()
        for end, unit, text in (
            ("", "", ""),
            ("_change", "", ", less the base's"),
            ("_change_percent", "%", ", less the base's, as a share of the base's"),
        )
    },
    **{f"reported_{name}": Column("", text) for name, text in PUBLISHED.items()},
}
"""Columns of the cost table as CSV, with their units."""


_SHOWN_COSTS = (
    ("params", "params", "M", 1e-6, 2),
    ("paper_macs", "GMACs, as published", "", 1e-9, 2),
    ("macs", "GMACs, executed", "", 1e-9, 2),
    ("peak_activation_bytes", "activations", "MiB", 2**-20, 1),
)
"""Name, name of the column, unit, factor and digits of the costs in the cost table."""


class ArmText(Protocol):
    """What a reader is told of one arm beside its numbers, such as an arm of a plan has it."""

    @property
    def name(self) -> str:
        """Of the change, or `base`."""

    @property
    def description(self) -> str:
        """What it means."""

    @property
    def published(self) -> Mapping[Fact, str]:
        """Published figures, as text, by the names of `PUBLISHED`."""


def paper_macs(cost: Cost) -> float:
    """Multiply-adds as the architecture's own publication counts them.

    The figures of HRViT and CSWin match fvcore's with half of the attention products, those of
    SegFormer with all of them.
    """
    if isinstance(cost.spec, PyramidSpec) and cost.spec.family == "mit":
        return cost.published_macs
    attention = sum(e.published_macs for e in cost.entries if e.operator == "attention")
    return cost.published_macs - attention / 2


def cost_rows(arms: Sequence[tuple[ArmText, Cost]]) -> list[dict[str, object]]:
    """One row an arm with the columns of `COST_COLUMNS`; the first arm is the base."""
    counts = [
        {
            name: paper_macs(cost) if name == "paper_macs" else float(getattr(cost, name))
            for name in _COSTS
        }
        for _, cost in arms
    ]
    rows = []
    for (text, _), count in zip(arms, counts, strict=True):
        row: dict[str, object] = {"change": text.name, "description": text.description}
        for name, value in count.items():
            change = value - counts[0][name]
            row[name] = round(value)
            row[f"{name}_change"] = round(change)
            row[f"{name}_change_percent"] = round(100 * change / counts[0][name], 3)
        rows.append(row | {f"reported_{k}": v for k, v in text.published.items()})
    return rows


def cost_grid(
    arms: Sequence[tuple[ArmText, Cost]], *, title: str, notes: Sequence[str] = ()
) -> Grid:
    """The cost table as text, with the published figures that any arm has beside our own."""
    shown = [name for name in PUBLISHED if any(name in text.published for text, _ in arms)]
    rows = []
    for row in cost_rows(arms):
        cells = [str(row["change"])]
        for name, _, _, scale, digits in _SHOWN_COSTS:
            value, change = float(str(row[name])), float(str(row[f"{name}_change_percent"]))
            cells.append(f"{value * scale:.{digits}f}{percent(change)}")
        rows.append(cells + [str(row.get(f"reported_{name}", "")) for name in shown])
    columns = [
        GridColumn(name="change", align="left"),
        *(GridColumn(name=name, unit=unit) for _, name, unit, _, _ in _SHOWN_COSTS),
        *(GridColumn(name=PUBLISHED[name]) for name in shown),
    ]
    return Grid(title=title, columns=columns, rows=rows, notes=notes)


def cost_records(arms: Sequence[tuple[ArmText, Cost]]) -> Records:
    """The rows of `cost_rows`."""
    return Records(name="costs", columns=COST_COLUMNS, rows=cost_rows(arms))


def percent(change: float) -> str:
    """A change in percent as it stands after a figure; nothing where there is none."""
    if change == 0:
        return ""
    return f" {change:+.1f}%" if abs(change) < 10 else f" {change:+.0f}%"
