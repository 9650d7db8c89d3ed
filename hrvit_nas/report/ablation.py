"""What an ablation costs and found: tables, CSV, the forest plot, and words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hrvit_nas.arch import PyramidSpec
from hrvit_nas.cost import Cost
from hrvit_nas.results import (
    SCHEMA,
    Ablation,
    AblationRow,
    ArmScores,
    Column,
    Effect,
    Interval,
    format_interval,
    paired_difference,
    write_csv,
)

from .calibration import UNITS
from .figures import BLUE, FAINT, GREY, INK, VERMILION, ReportError, save_figure
from .grid import Grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PUBLISHED = {
    "params": "published parameters",
    "macs": "published FLOPs",
    "imagenet_top1": "published ImageNet top-1",
    "cityscapes_miou": "published Cityscapes mIoU",
    "ade20k_miou": "published ADE20K mIoU",
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
    ("params", "params M", 1e-6, 2),
    ("paper_macs", "GMACs, as published", 1e-9, 2),
    ("macs", "GMACs, executed", 1e-9, 2),
    ("peak_activation_bytes", "activations MiB", 2**-20, 1),
)
"""Name, heading, factor and digits of the costs in the cost table."""


class ArmText(Protocol):
    """What a reader is told of one arm beside its numbers, such as an arm of a plan has it."""

    @property
    def name(self) -> str:
        """Of the change, or `base`."""

    @property
    def description(self) -> str:
        """What it means."""

    @property
    def published(self) -> Mapping[str, str]:
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
        for name, _, scale, digits in _SHOWN_COSTS:
            value, change = float(str(row[name])), float(str(row[f"{name}_change_percent"]))
            cells.append(f"{value * scale:.{digits}f}{_percent(change)}")
        rows.append(cells + [str(row.get(f"reported_{name}", "")) for name in shown])
    headings = [
        "change",
        *(heading for _, heading, _, _ in _SHOWN_COSTS),
        *(PUBLISHED[name] for name in shown),
    ]
    return Grid(title=title, headings=headings, rows=rows, notes=notes)


def write_cost_csv(arms: Sequence[tuple[ArmText, Cost]], path: str | Path) -> None:
    """Writes the cost table as CSV, replacing an older file in one step.

    Raises:
        OSError: The file cannot be written.
    """
    write_csv(path, COST_COLUMNS, cost_rows(arms))


def _percent(change: float) -> str:
    if change == 0:
        return ""
    return f" {change:+.1f}%" if abs(change) < 10 else f" {change:+.0f}%"


_EFFECT = {
    "": "mean difference",
    "_low": "lower end of its interval, for this comparison alone",
    "_high": "upper end of that interval",
    "_adjusted_low": "lower end of its interval, adjusted for all comparisons of the run",
    "_adjusted_high": "upper end of that interval",
}


def _effect_columns(name: str, what: str) -> dict[str, Column]:
    columns = {
        f"{name}{end}": Column("criterion", f"{what}: {text}") for end, text in _EFFECT.items()
    }
    return columns | {
        f"{name}_verdict": Column(
            "", f"{what}: higher, lower or undecided, by the adjusted interval"
        )
    }


ABLATION_COLUMNS: dict[str, Column] = {
    "change": COST_COLUMNS["change"],
    "description": COST_COLUMNS["description"],
    "arch_id": SCHEMA["arch_id"],
    "criterion": Column("", "score that is compared: a fraction of mIoU, or nats of cross entropy"),
    "score": Column("criterion", "mean over the seeds"),
    "score_low": Column("criterion", "lower end of its interval, from these seeds alone"),
    "score_high": Column("criterion", "upper end of that interval"),
    "seeds": Column("", "seeds behind that mean"),
    **_effect_columns("effect", "changed less base, paired by seed"),
    **_effect_columns("at_equal_macs", "changed less the base at the same multiply-adds"),
    "control_arch_id": Column("", "the base at the same multiply-adds; empty: the base itself"),
    "control_macs": SCHEMA["macs"],
    "macs": SCHEMA["macs"],
    "macs_change_percent": Column("%", "less the base's, as a share of the base's"),
    "params": SCHEMA["params"],
    "params_change_percent": Column("%", "less the base's, as a share of the base's"),
    "peak_activation_bytes": SCHEMA["peak_activation_bytes"],
    "peak_activation_bytes_change_percent": Column("%", "less the base's, as a share of it"),
    "latency_ms": SCHEMA["latency_ms"],
    "latency_change_percent": Column("%", "less the base's, paired by round, as a share of it"),
    "latency_change_percent_low": Column("%", "lower end of its interval, not adjusted"),
    "latency_change_percent_high": Column("%", "upper end of that interval"),
    "confidence": Column("fraction", "coverage of the intervals"),
    "num_comparisons": Column("count", "comparisons that the adjusted intervals hold for together"),
    **{f"reported_{name}": Column("", text) for name, text in PUBLISHED.items()},
}
"""Columns of `ablation.csv`, in order, with their units."""


def ablation_rows(ablation: Ablation, texts: Sequence[ArmText]) -> list[dict[str, object]]:
    """One row an arm with the columns of `ABLATION_COLUMNS`; the first is the base."""
    rows = []
    for text, arm, row in _arms(ablation, texts):
        latency = _latency_change(arm, ablation.base) if row else None
        rows.append(
            {
                "change": text.name,
                "description": text.description,
                "arch_id": arm.arch_id,
                "criterion": ablation.criterion,
                **_mean_cells(arm.mean),
                "seeds": " ".join(map(str, sorted(arm.scores))),
                **(_effect_cells("effect", row.effect) if row else {}),
                **(_effect_cells("at_equal_macs", row.beside_control) if row else {}),
                "control_arch_id": row.control.arch_id if row and row.control else "",
                "control_macs": row.control.macs if row and row.control else "",
                **{
                    key: value
                    for name in ("macs", "params", "peak_activation_bytes")
                    for key, value in (
                        (name, getattr(arm, name)),
                        (f"{name}_change_percent", _change(arm, ablation.base, name)),
                    )
                },
                "latency_ms": _mean(arm.latencies_ms.values()),
                **_latency_cells(latency),
                "confidence": ablation.confidence,
                "num_comparisons": ablation.num_comparisons,
                **{f"reported_{k}": v for k, v in text.published.items()},
            }
        )
    return rows


def write_ablation_csv(ablation: Ablation, texts: Sequence[ArmText], path: str | Path) -> None:
    """Writes an ablation as CSV, replacing an older file in one step.

    Raises:
        OSError: The file cannot be written.
    """
    write_csv(path, ABLATION_COLUMNS, ablation_rows(ablation, texts))


def ablation_grid(ablation: Ablation, texts: Sequence[ArmText], *, title: str) -> Grid:
    """An ablation as text: costs, score, differences with their verdicts, published figures."""
    scale, digits, unit = _scale(ablation)
    share = f"{ablation.confidence:.0%}"
    adjusted = f"[{share} for all {ablation.num_comparisons} comparisons together]"
    shown = [
        name
        for name in ("imagenet_top1", "cityscapes_miou", "ade20k_miou")
        if any(name in text.published for text in texts)
    ]
    rows = []
    dim = set()
    for number, (text, arm, row) in enumerate(_arms(ablation, texts)):
        latency = _latency_change(arm, ablation.base) if row else None
        cells = [text.name]
        for name, factor in (("params", 1e-6), ("macs", 1e-6), ("peak_activation_bytes", 2**-20)):
            change = _percent(_change(arm, ablation.base, name))
            cells.append(f"{getattr(arm, name) * factor:.3g}{change}")
        mean_latency = _mean(arm.latencies_ms.values())
        cells.append(
            "" if mean_latency == "" else f"{mean_latency:.3g}{_interval_percent(latency)}"
        )
        cells.append(
            "" if arm.mean is None else format_interval(arm.mean, scale=scale, digits=digits)
        )
        cells.append(_effect_text(row.effect, scale, digits) if row else "")
        if not ablation.inherited:
            cells.append(_control_text(row, scale, digits) if row else "")
        cells += [text.published.get(name, "") for name in shown]
        rows.append(cells)
        if row is not None and (row.effect is None or row.effect.verdict == "undecided"):
            dim.add(number)
    name = UNITS[ablation.criterion][0]
    headings = [
        "change",
        "params M",
        "MMACs",
        "activations MiB",
        "latency ms",
        f"{name}, {'%' if unit == 'points' else unit} [{share}]",
        f"change of {name} {adjusted}",
        *([] if ablation.inherited else [f"at equal MACs {adjusted}"]),
        *(f"{PUBLISHED[fact]} (full scale)" for fact in shown),
    ]
    return Grid(
        title=title,
        headings=headings,
        rows=rows,
        notes=ablation_words(ablation),
        dim=frozenset(dim),
    )


def ablation_words(ablation: Ablation) -> list[str]:
    """What an ablation decides and what it cannot, in sentences."""
    scale, digits, unit = _scale(ablation)
    name = UNITS[ablation.criterion][0]
    failed = [f"{ablation.num_failed} trials failed"] if ablation.num_failed else []
    unpaired = [row.name for row in ablation.rows if row.effect is None]
    if unpaired:
        failed.append(f"not yet comparable, for want of a common seed: {', '.join(unpaired)}")
    if math.isnan(ablation.detectable):
        return [*failed, "with fewer than two seeds nothing can be told"]
    trained = f"{' and '.join(map(str, ablation.steps))} steps"
    words = []
    if ablation.inherited:
        trained += " of a supernet a seed"
        words.append(
            "scores are with the weights of supernets: trained alone, the arms may differ in"
            " another way (see docs/supernet.md on how far such scores agree)"
        )
    words.append(
        f"{len(ablation.seeds)} seeds ({', '.join(map(str, ablation.seeds))}),"
        f" {trained}: one {name} has a deviation of"
        f" {scale * ablation.noise:.{digits}f} {unit} beside its architecture and seed, pooled over"
        f" all architectures ({ablation.free} degrees of freedom), so that differences below"
        f" {scale * ablation.detectable:.{digits}f} {unit} cannot be told here"
    )
    for verdict in ("lower", "higher", "undecided"):
        names = [r.name for r in ablation.rows if r.effect and r.effect.verdict == verdict]
        if names:
            words.append(f"{verdict} against the base: {', '.join(names)}")
    changed = [
        f"{r.name} ({r.effect.verdict} against the base, {r.beside_control.verdict} at equal MACs)"
        for r in ablation.rows
        if r.effect and r.beside_control and r.effect.verdict != r.beside_control.verdict
    ]
    if changed:
        words.append(f"size makes a difference to the verdict: {', '.join(changed)}")
    gaps = [abs(r.control.macs / r.arm.macs - 1) for r in ablation.rows if r.control]
    if gaps:
        words.append(
            f"at equal MACs: against the base with its widths changed to within {max(gaps):.1%} of"
            " the multiply-adds, or the base itself where these are the same"
        )
    return [*failed, *words]


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
    effect: tuple[float, float, float, float, float] | None
    control: tuple[float, float, float, float, float] | None
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
    ablation: Ablation, texts: Sequence[ArmText], *, caption: str, fact: str = "cityscapes_miou"
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
    scale, _, unit = _scale(ablation)
    if all(row.effect is None for row in ablation.rows):
        raise ReportError("there is nothing to draw: no change has a seed in common with the base")
    rows = tuple(
        ForestRow(
            name=row.name,
            effect=_five(row.effect, scale),
            control=_five(row.beside_control, scale) if row.control else None,
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


def draw_forest(data: ForestData, path: str | Path) -> None:
    """Draws the forest plot.

    Args:
        data: From `forest_data`.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.

    Raises:
        ReportError: The suffix is none of these.
        OSError: The file cannot be written.
    """
    height = 1.1 + 0.34 * len(data.rows)
    save_figure(lambda figure: _draw(figure, data), path, (5.6, height))


def _draw(figure: Figure, data: ForestData) -> None:
    axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=(5, 2.4))
    if not math.isnan(data.detectable):
        axes.axvspan(-data.detectable, data.detectable, color="#f1f1f1", linewidth=0)
    axes.axvline(0, color=GREY, linewidth=0.7)
    for position, row in enumerate(data.rows):
        decided = row.verdict != "undecided"
        if row.effect is not None:
            _bar(axes, position - 0.14, row.effect, BLUE if decided else FAINT, "o", filled=True)
        if row.control is not None:
            low, high = row.control[3:]
            color = FAINT if low <= 0 <= high or math.isnan(low) else VERMILION
            _bar(axes, position + 0.16, row.control, color, "s", filled=False)
        for place, word in ((0.0, row.verdict), (0.42, row.published)):
            beside.text(place, position, word, fontsize=6.5, va="center", color=INK)
    for place, heading in ((0.0, "this run"), (0.42, data.published_label)):
        beside.text(place, -0.62, heading, fontsize=6.5, va="bottom", color=GREY)
    beside.set_axis_off()
    axes.set_yticks(range(len(data.rows)), [row.name for row in data.rows], fontsize=7)
    axes.set_ylim(len(data.rows) - 0.5, -0.6)
    axes.set_xlabel(data.x_label, fontsize=7, color=INK)
    axes.tick_params(labelsize=7, color=GREY, labelcolor=INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GREY)
    axes.plot([], [], "o", color=BLUE, markersize=4, label="against the base")
    axes.plot(
        [], [], "s", color=VERMILION, markersize=4, markerfacecolor="white", label="at equal MACs"
    )
    figure.legend(loc="outside lower left", ncols=2, fontsize=6.5, frameon=False)
    figure.suptitle(data.caption, x=0.01, ha="left", fontsize=6.5, color=GREY)


def _bar(
    axes: Axes,
    position: float,
    values: tuple[float, float, float, float, float],
    color: str,
    marker: str,
    *,
    filled: bool,
) -> None:
    mean, low, high, far_low, far_high = values
    if not math.isnan(low):
        axes.plot([far_low, far_high], [position] * 2, color=color, linewidth=0.8)
        axes.plot([low, high], [position] * 2, color=color, linewidth=2.2, solid_capstyle="butt")
    face = color if filled else "white"
    axes.plot([mean], [position], marker, color=color, markersize=4, markerfacecolor=face, zorder=3)


def _five(effect: Effect | None, scale: float) -> tuple[float, float, float, float, float] | None:
    if effect is None:
        return None
    near, far = effect.interval, effect.adjusted
    mean, low, high, far_low, far_high = (
        scale * value for value in (near.mean, near.low, near.high, far.low, far.high)
    )
    return mean, low, high, far_low, far_high


def _scale(ablation: Ablation) -> tuple[float, int, str]:
    """Factor, digits and unit that differences of scores are shown with."""
    _, unit, factor = UNITS[ablation.criterion]
    return factor, 2 if factor > 1 else 3, unit


def _arms(
    ablation: Ablation, texts: Sequence[ArmText]
) -> Iterable[tuple[ArmText, ArmScores, AblationRow | None]]:
    yield texts[0], ablation.base, None
    for text, row in zip(texts[1:], ablation.rows, strict=True):
        yield text, row.arm, row


def _change(arm: ArmScores, base: ArmScores, name: str) -> float:
    before = getattr(base, name)
    return round(100 * (getattr(arm, name) - before) / before, 3)


def _latency_change(arm: ArmScores, base: ArmScores) -> Interval | None:
    """Change of the measured latency, paired by round, as a share of the base's."""
    if not arm.latencies_ms.keys() & base.latencies_ms.keys():
        return None
    difference = paired_difference(arm.latencies_ms, base.latencies_ms).interval
    before = sum(base.latencies_ms.values()) / len(base.latencies_ms)
    return Interval(
        mean=difference.mean / before,
        low=difference.low / before,
        high=difference.high / before,
        num_values=difference.num_values,
        confidence=difference.confidence,
    )


def _latency_cells(change: Interval | None) -> dict[str, object]:
    if change is None:
        return {}
    name = "latency_change_percent"
    ends = {f"{name}_low": change.low, f"{name}_high": change.high} if change.known else {}
    return {key: round(100 * value, 3) for key, value in ({name: change.mean} | ends).items()}


def _interval_percent(change: Interval | None) -> str:
    if change is None:
        return ""
    ends = f" [{100 * change.low:+.0f}, {100 * change.high:+.0f}]" if change.known else ""
    return f" {100 * change.mean:+.0f}%{ends}"


def _mean(values: Iterable[float]) -> float | str:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else ""


def _mean_cells(mean: Interval | None) -> dict[str, object]:
    if mean is None:
        return {}
    ends = {"score_low": mean.low, "score_high": mean.high} if mean.known else {}
    return {"score": mean.mean, **ends}


def _effect_cells(name: str, effect: Effect | None) -> dict[str, object]:
    if effect is None:
        return {}
    values = _five(effect, 1.0)
    assert values is not None
    cells: dict[str, object] = {
        f"{name}{end}": "" if math.isnan(value) else value
        for end, value in zip(_EFFECT, values, strict=True)
    }
    return cells | {f"{name}_verdict": effect.verdict}


def _effect_text(effect: Effect | None, scale: float, digits: int) -> str:
    if effect is None:
        return "not yet"
    text = format_interval(effect.adjusted, scale=scale, digits=digits, signed=True)
    return f"{text}: {effect.verdict}"


def _control_text(row: AblationRow, scale: float, digits: int) -> str:
    return "the same" if row.control is None else _effect_text(row.beside_control, scale, digits)
