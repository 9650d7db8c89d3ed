"""A calibration of a proxy as a table, as records, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from hrvit_nas.results import Calibration, Column, Criterion, Estimate, Fidelity
from hrvit_nas.results.ranking import MIN_FOR_CURVE

from .grid import Grid, GridColumn, named
from .section import Finding, Records
from .units import UNITS, interval_cells, interval_columns, side_of_zero

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


def calibration_grid(calibration: Calibration, *, title: str = "") -> Grid:
    """A row a fidelity: what a trial costs, spreads, and taus with their intervals."""
    _, unit, scale = UNITS[calibration.criterion]
    rows = []
    for fidelity in calibration.fidelities:
        spreads = fidelity.components
        rows.append(
            [
                str(fidelity.steps),
                f"{fidelity.seconds:.0f}",
                spreads.architectures.describe(scale=scale),
                spreads.seeds.describe(scale=scale),
                fidelity.seed_tau.describe(),
                fidelity.residual_tau.describe(),
                fidelity.final_tau.describe(),
                *([fidelity.validity.describe()] if fidelity.validity else []),
            ]
        )
    columns = [
        GridColumn(name="steps"),
        GridColumn(name="s/trial"),
        GridColumn(name="sd architectures", unit=unit),
        GridColumn(name="sd seeds", unit=unit),
        GridColumn(name="repeatability: tau of two seeds"),
        GridColumn(name="without MACs"),
        GridColumn(name="with last fidelity"),
        *_validity_column(calibration),
    ]
    return Grid(title=title, columns=columns, rows=rows)


def criteria_grid(calibrations: Mapping[Criterion, Calibration]) -> Grid:
    """A row a criterion, of the last fidelity; the first is what a search ranks by."""
    first, *_ = calibrations
    rows = []
    for criterion, calibration in calibrations.items():
        final = calibration.final
        taus = [final.seed_tau, final.residual_tau, final.final_tau]
        taus += [final.validity] if final.validity else []
        rows.append([UNITS[criterion][0], *(tau.describe() for tau in taus)])
    columns = [
        *named("criterion", "repeatability: tau of two seeds", "without MACs"),
        GridColumn(name=f"with {UNITS[first][0]}"),
        *_validity_column(calibrations[first]),
    ]
    return Grid(title="criteria at the last fidelity", columns=columns, rows=rows)


def calibration_records(calibrations: Iterable[Calibration]) -> Records:
    """A row a criterion and fidelity; `CALIBRATION_COLUMNS` says what the columns are.

    Args:
        calibrations: From `hrvit_nas.results.calibrate_criteria`.
    """
    rows = [_record(c, fidelity) for c in calibrations for fidelity in c.fidelities]
    return Records(name="calibration", columns=CALIBRATION_COLUMNS, rows=rows)


def calibration_verdict(calibration: Calibration, wanted_tau: float) -> list[Finding]:
    """What follows for a search: the fidelity to use, or that there is none."""
    return [
        *_compared(calibration),
        *_recommended(calibration, wanted_tau),
        _beyond_size(calibration),
        *_limits(calibration),
    ]


def _compared(calibration: Calibration) -> Iterator[Finding]:
    cheap, dear = (macs / 1e9 for macs in calibration.macs)
    yield Finding(
        name="compared",
        text=f"{calibration.num_architectures} architectures of {cheap:.3g} to {dear:.3g} GMACs,"
        f" seeds {', '.join(map(str, calibration.seeds))}, ranked by"
        f" {UNITS[calibration.criterion][0]};"
        f" {calibration.final.components.seeds.confidence:.0%} intervals",
        facts={
            "num_architectures": calibration.num_architectures,
            "seeds": calibration.seeds,
            "macs": calibration.macs,
        },
    )
    if calibration.num_left_out:
        yield Finding(
            name="left_out",
            text=f"{calibration.num_left_out} architectures lack a seed and were left out",
            facts={"num_architectures": calibration.num_left_out},
        )
    if calibration.long_steps is not None and calibration.long_tau is not None:
        yield Finding(
            name="ceiling",
            text=f"validity is of {calibration.num_long} architectures trained for"
            f" {calibration.long_steps} steps, whose own two seeds agree to a tau of"
            f" {calibration.long_tau.describe()}: its ceiling",
            facts={
                "num_architectures": calibration.num_long,
                "steps": calibration.long_steps,
                "tau": calibration.long_tau,
            },
        )


def _recommended(calibration: Calibration, wanted_tau: float) -> Iterator[Finding]:
    chosen, long = calibration.recommended(wanted_tau), calibration.long_steps
    if chosen is None:
        yield _none_recommended(calibration, wanted_tau)
        return
    what = f"mIoU after {long} steps agrees" if long else "two seeds agree"
    reached = chosen.validity or chosen.seed_tau
    sure = reached.low >= wanted_tau
    yield Finding(
        name="recommended",
        text=f"recommended: {chosen.steps} steps ({chosen.seconds:.0f} s a trial), the cheapest"
        f" fidelity at which {what} to a tau of {wanted_tau:g}:"
        f" {reached.describe()}"
        + ("" if sure else f"; the interval does not rule out less than {wanted_tau:g}"),
        facts={"steps": chosen.steps, "seconds": chosen.seconds, "tau": reached, "sure": sure},
    )
    if chosen is not calibration.final:
        yield Finding(
            name="part_of_schedule",
            text=f"it is a score on the way: `stop_after: {chosen.steps}` in a recipe file takes"
            " it",
            facts={"steps": chosen.steps},
            hint="shorter_schedule",
        )


def _none_recommended(calibration: Calibration, wanted_tau: float) -> Finding:
    final = calibration.final
    tau = final.seed_tau if final.validity is None else final.validity
    seeds = None if final.validity is not None else final.seeds_for(wanted_tau)
    if final.validity is not None:
        text = (
            f"no fidelity reaches a tau of {wanted_tau:g} with mIoU after"
            f" {calibration.long_steps} steps; the last has {tau.describe()}: a search by these"
            " scores finds something else"
        )
    else:
        remedy = (
            "By these spreads, not even means over 64 seeds would reach it"
            if seeds is None
            else f"By these spreads, means over {seeds} seeds would be expected to reach it"
        )
        text = (
            f"no fidelity reaches a tau of {wanted_tau:g} between two seeds; the last has"
            f" {tau.describe()}. {remedy}"
        )
    return Finding(name="none_recommended", text=text, facts={"tau": tau, "seeds": seeds})


def _beyond_size(calibration: Calibration) -> Finding:
    tau = calibration.final.residual_tau
    side = side_of_zero(tau)
    if side == "above":
        curve = (
            ""
            if calibration.num_architectures >= MIN_FOR_CURVE
            else f" (a straight line in log MACs taken off; a curve wants {MIN_FOR_CURVE}"
            " architectures)"
        )
        text = f"scores rank more than size: without MACs, tau stays above 0{curve}"
    elif side == "below":
        text = "without MACs, two seeds rank against each other: tau is below 0"
    else:
        text = (
            "whether scores rank anything but size cannot be told: without MACs, the interval of"
            f" tau {'is unknown' if side == 'unknown' else 'holds 0'}"
        )
    return Finding(name="beyond_size", text=text, facts={"tau": tau, "side": side})


def _limits(calibration: Calibration) -> Iterator[Finding]:
    _, unit, scale = UNITS[calibration.criterion]
    final = calibration.final
    if not math.isnan(final.seed_tau.value):
        apart = 1.96 * 2**0.5 * final.components.seeds.value
        yield Finding(
            name="resolution",
            text=f"two scores of one seed that are less than {scale * apart:.1f} {unit} apart"
            " cannot be told apart",
            facts={"difference": apart},
        )
    if calibration.long_steps is None:
        yield Finding(
            name="validity_unknown",
            text="two seeds that agree are repeatable, not valid: whether these scores rank as"
            " long training does is unknown here",
            hint="measure_long",
        )


def _validity_column(calibration: Calibration) -> list[GridColumn]:
    if calibration.long_steps is None:
        return []
    return [GridColumn(name=f"validity: tau with mIoU after {calibration.long_steps}")]


def _record(calibration: Calibration, fidelity: Fidelity) -> dict[str, object]:
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
