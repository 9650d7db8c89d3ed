"""A calibration of a proxy as a table, as CSV, and in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.table import Table
from rich.text import Text

from hrvit_nas.objectives import OBJECTIVES, SCORES
from hrvit_nas.results import Calibration, Column, Criterion, Estimate, Fidelity, write_csv
from hrvit_nas.results.ranking import MIN_FOR_CURVE

UNITS: dict[Criterion, tuple[str, str, float]] = {
    name: (OBJECTIVES[name].word, OBJECTIVES[name].unit, OBJECTIVES[name].scale) for name in SCORES
}
"""Name of a criterion, unit of its spreads in tables, and factor to that unit."""


def interval_columns(estimates: Mapping[str, Column]) -> dict[str, Column]:
    """Three columns an estimate: its value, and the ends of its interval."""
    return {
        f"{name}{end}": Column(column.unit, f"{column.description}{text}")
        for name, column in estimates.items()
        for end, text in (("", ""), ("_low", ", lower end"), ("_high", ", upper end"))
    }


def interval_cells(estimates: Mapping[str, Estimate]) -> dict[str, object]:
    """What `interval_columns` hold of a row; empty where unknown."""
    return {
        f"{name}{end}": "" if math.isnan(value) else value
        for name, estimate in estimates.items()
        for end, value in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high))
    }


_UNKNOWN = Estimate(value=math.nan, low=math.nan, high=math.nan, confidence=math.nan)
_ESTIMATES = {
    "sd_architectures": Column("criterion", "spread between architectures, noise taken off"),
    "sd_seeds": Column("criterion", "spread between seeds of one architecture: the noise"),
    "reliability": Column("fraction", "share of one seed's variance that architectures make"),
    "seed_tau": Column("", "repeatability: Kendall's tau-b between two seeds"),
    "residual_tau": Column("", "the same with log MACs regressed out"),
    "final_tau": Column(
        "", "Kendall's tau-b with another seed's last fidelity of the score that a search uses"
    ),
    "validity": Column(
        "", "Kendall's tau-b with mIoU of another seed's long training; empty without such"
    ),
}
CALIBRATION_COLUMNS: dict[str, Column] = {
    "criterion": Column("", "score that was ranked"),
    "steps": Column("count", "optimiser steps (the fidelity)"),
    "seconds": Column("s", "median wall time of a trial up to here"),
    "num_architectures": Column("count", "architectures with a score for every seed"),
    "num_seeds": Column("count", "seeds of each"),
    **interval_columns(_ESTIMATES),
    "confidence": Column("fraction", "coverage of the intervals"),
}
"""Columns of `calibration.csv`, in order, with their units."""


def calibration_table(calibration: Calibration, *, title: str = "") -> Table:
    """A row a fidelity: what a trial costs, spreads, and taus with their intervals, for rich."""
    _, unit, scale = UNITS[calibration.criterion]
    table = Table(title=Text(title) if title else None, title_justify="left")
    for heading in (
        "steps",
        "s/trial",
        f"sd architectures, {unit}",
        f"sd seeds, {unit}",
        "repeatability: tau of two seeds",
        "without MACs",
        "with last fidelity",
        *_validity_heading(calibration),
    ):
        table.add_column(heading, justify="right")
    for fidelity in calibration.fidelities:
        spreads = fidelity.components
        table.add_row(
            str(fidelity.steps),
            f"{fidelity.seconds:.0f}",
            spreads.architectures.describe(scale=scale),
            spreads.seeds.describe(scale=scale),
            fidelity.seed_tau.describe(),
            fidelity.residual_tau.describe(),
            fidelity.final_tau.describe(),
            *([fidelity.validity.describe()] if fidelity.validity else []),
        )
    return table


def _validity_heading(calibration: Calibration) -> list[str]:
    if calibration.long_steps is None:
        return []
    return [f"validity: tau with mIoU after {calibration.long_steps}"]


def criteria_table(calibrations: Mapping[Criterion, Calibration]) -> Table:
    """A row a criterion, of the last fidelity, for rich; the first is what a search ranks by."""
    first, *_ = calibrations
    table = Table(title="criteria at the last fidelity", title_justify="left")
    headings = (
        "repeatability: tau of two seeds",
        "without MACs",
        f"with {UNITS[first][0]}",
        *_validity_heading(calibrations[first]),
    )
    table.add_column("criterion")
    for heading in headings:
        table.add_column(heading, justify="right")
    for criterion, calibration in calibrations.items():
        final = calibration.final
        taus = [final.seed_tau, final.residual_tau, final.final_tau]
        taus += [final.validity] if final.validity else []
        table.add_row(UNITS[criterion][0], *(tau.describe() for tau in taus))
    return table


def calibration_verdict(calibration: Calibration, wanted_tau: float) -> list[str]:
    """What follows for a search, in words: the fidelity to use, or that there is none."""
    final, chosen = calibration.final, calibration.recommended(wanted_tau)
    name, unit, scale = UNITS[calibration.criterion]
    cheap, dear = (macs / 1e9 for macs in calibration.macs)
    lines = [
        f"{calibration.num_architectures} architectures of {cheap:.3g} to {dear:.3g} GMACs,"
        f" seeds {', '.join(map(str, calibration.seeds))}, ranked by {name};"
        f" {final.components.seeds.confidence:.0%} intervals"
    ]
    if calibration.num_left_out:
        lines.append(f"{calibration.num_left_out} architectures lack a seed and were left out")
    long = calibration.long_steps
    if long is not None and calibration.long_tau is not None:
        lines.append(
            f"validity is of {calibration.num_long} architectures trained for {long} steps, whose"
            f" own two seeds agree to a tau of {calibration.long_tau.describe()}: its ceiling"
        )
    what = f"mIoU after {long} steps agrees" if long else "two seeds agree"
    if chosen is not None:
        reached = chosen.validity or chosen.seed_tau
        sure = reached.low >= wanted_tau
        lines.append(
            f"recommended: {chosen.steps} steps ({chosen.seconds:.0f} s a trial), the cheapest"
            f" fidelity at which {what} to a tau of {wanted_tau:g}:"
            f" {reached.describe()}"
            + ("" if sure else f"; the interval does not rule out less than {wanted_tau:g}")
        )
        if chosen is not final:
            lines.append(
                f"it is a score on the way: `stop_after: {chosen.steps}` in a recipe file takes it;"
                f" --steps {chosen.steps} would be another, shorter schedule"
            )
    elif final.validity is not None:
        lines.append(
            f"no fidelity reaches a tau of {wanted_tau:g} with mIoU after {long} steps; the last"
            f" has {final.validity.describe()}: a search by these scores finds something else"
        )
    else:
        lines.append(
            f"no fidelity reaches a tau of {wanted_tau:g} between two seeds; the last has"
            f" {final.seed_tau.describe()}. {_remedy(final, wanted_tau)}"
        )
    if final.residual_tau.low > 0:
        curve = (
            ""
            if calibration.num_architectures >= MIN_FOR_CURVE
            else f" (a straight line in log MACs taken off; a curve wants {MIN_FOR_CURVE}"
            " architectures)"
        )
        lines.append(f"scores rank more than size: without MACs, tau stays above 0{curve}")
    elif math.isnan(final.residual_tau.low):
        lines.append(
            "whether scores rank anything but size cannot be told: without MACs, the interval of"
            " tau is unknown"
        )
    elif final.residual_tau.high < 0:
        lines.append("without MACs, two seeds rank against each other: tau is below 0")
    else:
        lines.append(
            "whether scores rank anything but size cannot be told: without MACs, the interval of"
            " tau holds 0"
        )
    if not math.isnan(final.seed_tau.value):
        lines.append(
            f"two scores of one seed that are less than {1.96 * 2**0.5 * scale * _noise(final):.1f}"
            f" {unit} apart cannot be told apart"
        )
    if long is None:
        lines.append(
            "two seeds that agree are repeatable, not valid: whether these scores rank as long"
            " training does is unknown here; --long-steps N measures it"
        )
    return lines


def write_calibration_csv(calibrations: Iterable[Calibration], path: str | Path) -> None:
    """Writes a row a criterion and fidelity; `CALIBRATION_COLUMNS` says what the columns are.

    Args:
        calibrations: From `hrvit_nas.results.calibrate_criteria`.
        path: File to write, replaced in one step.

    Raises:
        OSError: The file cannot be written.
    """
    rows = (_csv_row(c, fidelity) for c in calibrations for fidelity in c.fidelities)
    write_csv(path, CALIBRATION_COLUMNS, rows)


def _noise(fidelity: Fidelity) -> float:
    return fidelity.components.seeds.value


def _remedy(fidelity: Fidelity, wanted_tau: float) -> str:
    seeds = fidelity.seeds_for(wanted_tau)
    if seeds is None:
        return "By these spreads, not even means over 64 seeds would reach it"
    return f"By these spreads, means over {seeds} seeds would be expected to reach it"


def _csv_row(calibration: Calibration, fidelity: Fidelity) -> dict[str, object]:
    spreads = fidelity.components
    estimates: dict[str, Estimate] = {
        "sd_architectures": spreads.architectures,
        "sd_seeds": spreads.seeds,
        "reliability": spreads.reliability,
        "seed_tau": fidelity.seed_tau,
        "residual_tau": fidelity.residual_tau,
        "final_tau": fidelity.final_tau,
        "validity": fidelity.validity or _UNKNOWN,
    }
    row: dict[str, object] = {
        "criterion": calibration.criterion,
        "steps": fidelity.steps,
        "seconds": fidelity.seconds,
        "num_architectures": calibration.num_architectures,
        "num_seeds": len(calibration.seeds),
        "confidence": spreads.seeds.confidence,
    }
    return row | interval_cells(estimates)
