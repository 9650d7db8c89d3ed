"""What an ablation found: its table, its records, and what it decides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

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
)

from .ablation_costs import COST_COLUMNS, PUBLISHED, ArmText, percent
from .grid import Grid, GridColumn
from .section import Finding, Records
from .units import UNITS

if TYPE_CHECKING:
    from hrvit_nas.search.ablation_config import Fact

_SCORES: tuple[Fact, ...] = ("imagenet_top1", "cityscapes_miou", "ade20k_miou")
Five = tuple[float, float, float, float, float]
"""A mean, the ends of its interval, and those of its adjusted interval."""

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
    "data": Column("", "data set that it was trained and scored on"),
    "image_height": Column("pixel", "of the images"),
    "image_width": Column("pixel", "of the images"),
    "steps": SCHEMA["steps"],
    "width_factor": Column("", "what the widths of the plan's architectures were multiplied by"),
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


def ablation_rows(
    ablation: Ablation, texts: Sequence[ArmText], conditions: Mapping[str, object]
) -> list[dict[str, object]]:
    """One row an arm with the columns of `ABLATION_COLUMNS`; the first is the base.

    Args:
        ablation: From `hrvit_nas.results.ablate`.
        texts: Of the base and each change, in order.
        conditions: `data`, `image_height`, `image_width`, `steps`, `width_factor`.
    """
    rows = []
    for text, arm, row in _arms(ablation, texts):
        latency = _latency_change(arm, ablation.base) if row else None
        rows.append(
            {
                "change": text.name,
                "description": text.description,
                "arch_id": arm.arch_id,
                **conditions,
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


def ablation_records(
    ablation: Ablation, texts: Sequence[ArmText], conditions: Mapping[str, object]
) -> Records:
    """The rows of `ablation_rows`."""
    rows = ablation_rows(ablation, texts, conditions)
    return Records(name="ablation", columns=ABLATION_COLUMNS, rows=rows)


def ablation_grid(ablation: Ablation, texts: Sequence[ArmText], *, title: str) -> Grid:
    """An ablation as text: costs, score, differences with their verdicts, published figures."""
    shown = [name for name in _SCORES if any(name in text.published for text in texts)]
    arms = list(_arms(ablation, texts))
    return Grid(
        title=title,
        columns=_columns(ablation, shown),
        rows=[_cells(ablation, shown, *arm) for arm in arms],
        dim=frozenset(number for number, (_, _, row) in enumerate(arms) if row and _open(row)),
    )


def _columns(ablation: Ablation, shown: Sequence[Fact]) -> list[GridColumn]:
    name, unit, _ = UNITS[ablation.criterion]
    share = f"{ablation.confidence:.0%}"
    adjusted = f"[{share} for all {ablation.num_comparisons} comparisons together]"
    score = "%" if unit == "points" else unit
    columns = [
        GridColumn(name="change", align="left"),
        GridColumn(name="params", unit="M"),
        GridColumn(name="MMACs"),
        GridColumn(name="activations", unit="MiB"),
        GridColumn(name="latency", unit="ms"),
        GridColumn(name=name, unit=score, detail=f"[{share}]"),
        GridColumn(name=f"change of {name}", unit=unit, detail=adjusted),
    ]
    if not ablation.inherited:
        columns.append(GridColumn(name="at equal MACs", unit=unit, detail=adjusted))
    return columns + [GridColumn(name=f"{PUBLISHED[fact]}, full scale") for fact in shown]


def _cells(
    ablation: Ablation,
    shown: Sequence[Fact],
    text: ArmText,
    arm: ArmScores,
    row: AblationRow | None,
) -> list[str]:
    scale, digits, _ = score_scale(ablation)
    latency = _latency_change(arm, ablation.base) if row else None
    cells = [text.name]
    for name, factor in (("params", 1e-6), ("macs", 1e-6), ("peak_activation_bytes", 2**-20)):
        change = percent(_change(arm, ablation.base, name))
        cells.append(f"{getattr(arm, name) * factor:.3g}{change}")
    mean_latency = _mean(arm.latencies_ms.values())
    cells.append("" if mean_latency == "" else f"{mean_latency:.3g}{_interval_percent(latency)}")
    cells.append("" if arm.mean is None else format_interval(arm.mean, scale=scale, digits=digits))
    cells.append(_effect_text(row.effect, scale, digits) if row else "")
    if not ablation.inherited:
        cells.append(_control_text(row, scale, digits) if row else "")
    return cells + [text.published.get(name, "") for name in shown]


def _open(row: AblationRow) -> bool:
    """Whether nothing is decided of a change."""
    effects = (row.effect, row.beside_control)
    return all(effect is None or effect.verdict == "undecided" for effect in effects)


def ablation_verdict(ablation: Ablation) -> list[Finding]:
    """What an ablation decides and what it cannot."""
    if math.isnan(ablation.detectable):
        few = "with fewer than two seeds nothing can be told"
        return [*_missing(ablation), Finding(name="too_few_seeds", text=few)]
    return [*_missing(ablation), _resolution(ablation), *_decided(ablation)]


def _missing(ablation: Ablation) -> Iterator[Finding]:
    if ablation.num_failed:
        yield Finding(
            name="failed",
            text=f"{ablation.num_failed} trials failed",
            facts={"num_trials": ablation.num_failed},
        )
    unpaired = [row.name for row in ablation.rows if row.effect is None]
    if unpaired:
        yield Finding(
            name="not_comparable",
            text=f"not comparable, for want of a common seed: {', '.join(unpaired)}",
            facts={"changes": unpaired},
        )
    if ablation.inherited and not math.isnan(ablation.detectable):
        yield Finding(
            name="inherited",
            text="scores are with the weights of supernets: trained alone, the arms may differ in"
            " another way (see docs/supernet.md on how far such scores agree)",
        )


def _resolution(ablation: Ablation) -> Finding:
    scale, digits, unit = score_scale(ablation)
    of = " of a supernet a seed" if ablation.inherited else ""
    return Finding(
        name="resolution",
        text=f"{len(ablation.seeds)} seeds ({', '.join(map(str, ablation.seeds))}),"
        f" {' and '.join(map(str, ablation.steps))} steps{of}: one {UNITS[ablation.criterion][0]}"
        f" has a deviation of {scale * ablation.noise:.{digits}f} {unit} beside its architecture"
        f" and seed, pooled over all architectures ({ablation.free} degrees of freedom), so that"
        f" differences below {scale * ablation.detectable:.{digits}f} {unit} cannot be told here",
        facts={
            "seeds": ablation.seeds,
            "steps": ablation.steps,
            "noise": ablation.noise,
            "detectable": ablation.detectable,
        },
    )


def _decided(ablation: Ablation) -> Iterator[Finding]:
    for verdict in ("lower", "higher", "undecided"):
        names = [r.name for r in ablation.rows if r.effect and r.effect.verdict == verdict]
        if names:
            yield Finding(
                name=verdict,
                text=f"{verdict} against the base: {', '.join(names)}",
                facts={"changes": names},
            )
    changed = {
        r.name: (r.effect.verdict, r.beside_control.verdict)
        for r in ablation.rows
        if r.effect and r.beside_control and r.effect.verdict != r.beside_control.verdict
    }
    if changed:
        texts = [
            f"{name} ({base} against the base, {control} at equal MACs)"
            for name, (base, control) in changed.items()
        ]
        yield Finding(
            name="size_matters",
            text=f"size makes a difference to the verdict: {', '.join(texts)}",
            facts={"verdicts": changed},
        )
    gaps = [abs(r.control.macs / r.arm.macs - 1) for r in ablation.rows if r.control]
    if gaps:
        yield Finding(
            name="equal_macs",
            text="at equal MACs: against the base with its widths changed to within"
            f" {max(gaps):.1%} of the multiply-adds, or the base itself where these are the same",
            facts={"largest_gap": max(gaps)},
        )


def score_scale(ablation: Ablation) -> tuple[float, int, str]:
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
    before: float = getattr(base, name)
    after: float = getattr(arm, name)
    return round(100 * (after - before) / before, 3)


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
    values = effect_values(effect, 1.0)
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
    if row.beside_control is None and row.effect is not None and row.control is None:
        return "no control"
    return "the same" if row.control is None else _effect_text(row.beside_control, scale, digits)


def effect_values(
    effect: Effect | None, scale: float
) -> tuple[float, float, float, float, float] | None:
    """Mean, interval and adjusted interval of a difference, times a factor."""
    if effect is None:
        return None
    near, far = effect.interval, effect.adjusted
    mean, low, high, far_low, far_high = (
        scale * value for value in (near.mean, near.low, near.high, far.low, far.high)
    )
    return mean, low, high, far_low, far_high
