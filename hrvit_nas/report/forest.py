"""What the forest plot of an ablation shows: every difference with its intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hrvit_nas.results import Ablation

from .ablation import Five, effect_values, score_scale
from .ablation_costs import PUBLISHED, ArmText
from .figures import ReportError
from .units import UNITS

if TYPE_CHECKING:
    from hrvit_nas.search.ablation_config import Fact


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """One line of the forest plot, in the unit of its axis.

    Attributes:
        name: Of the change.
        effect: Difference to the base: mean, low, high, adjusted low, adjusted high; None where
            there is none yet.
        control: The same against a control of equal multiply-adds; None where it is the base.
        verdict: Of the effect.
        published: Published difference, as text.
    """

    name: str
    effect: Five | None
    control: Five | None
    verdict: str
    published: str


@dataclass(frozen=True, kw_only=True)
class ForestData:
    """Everything that the forest plot shows.

    Attributes:
        rows: Top to bottom.
        detectable: Half-width of the band in which nothing can be told; NaN while unknown.
        x_label: Label of the axis, with its unit.
        published_label: What the published column is; empty without one.
        caption: Data, scale, steps, seeds, intervals.
    """

    rows: tuple[ForestRow, ...]
    detectable: float
    x_label: str
    published_label: str
    caption: str


def forest_data(
    ablation: Ablation, texts: Sequence[ArmText], *, caption: str, fact: Fact = "cityscapes_miou"
) -> ForestData:
    """Turns an ablation into what the forest plot shows.

    Args:
        ablation: From `hrvit_nas.results.ablate`.
        texts: Of the base and each change, in order.
        caption: Data set, image size, scale.
        fact: Published figure to show beside.

    Raises:
        ReportError: No change has an effect yet.
    """
    scale, _, unit = score_scale(ablation)
    if all(row.effect is None for row in ablation.rows):
        raise ReportError("there is nothing to draw: no change has a seed in common with the base")
    rows = tuple(
        ForestRow(
            name=row.name,
            effect=effect_values(row.effect, scale),
            control=effect_values(row.beside_control, scale) if row.control else None,
            verdict=row.effect.verdict if row.effect else "",
            published=text.published.get(fact, ""),
        )
        for text, row in zip(texts[1:], ablation.rows, strict=True)
    )
    name = UNITS[ablation.criterion][0]
    published = any(row.published for row in rows)
    return ForestData(
        rows=rows,
        detectable=scale * ablation.detectable,
        x_label=f"change of {name} ({unit})",
        published_label=PUBLISHED[fact].replace("published ", "published,\n") if published else "",
        caption=f"{caption}, {' and '.join(map(str, ablation.steps))} steps"
        f"{' of a supernet' if ablation.inherited else ''},"
        f" n = {len(ablation.seeds)} seeds ({', '.join(map(str, ablation.seeds))})\n"
        f"thick: {ablation.confidence:.0%} interval; thin: adjusted for"
        f" {ablation.num_comparisons} comparisons; grey: undecided; shaded: too small to be told",
    )
