"""How far inherited scores can be trusted: a table, CSV, words, and a figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from rich.table import Table
from rich.text import Text

from hrvit_nas.objectives import OBJECTIVES
from hrvit_nas.results import Column, Criterion, Estimate, Trust, TrustScores, write_csv
from hrvit_nas.results.ranking import MIN_FOR_CURVE
from hrvit_nas.results.trust import TOP

from .calibration import UNITS, interval_cells, interval_columns
from .figures import GREY, INK, ReportError, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_REGRET = "best mean stand-alone score of all less that of the {} best by inherited score"
_ESTIMATES = {
    "tau": Column("", "Kendall's tau-b of inherited with one seed's stand-alone score"),
    "mean_tau": Column("", "the same with the mean stand-alone score"),
    "rho": Column("", "Spearman's correlation of inherited with one seed's stand-alone score"),
    "residual_tau": Column("", "tau with log MACs regressed out of both sides"),
    "ceiling": Column("", "tau between two seeds of stand-alone training"),
    "residual_ceiling": Column("", "the same with log MACs regressed out"),
    "ceiling_gain": Column("", "tau less ceiling"),
    "size_tau": Column("", "tau of MACs with one seed's stand-alone score"),
    "size_gain": Column("", "tau less size_tau"),
    **{f"top_{k}_regret": Column("criterion", _REGRET.format(k)) for k in TOP},
}
TRUST_COLUMNS: dict[str, Column] = {
    "name": Column("", "what was ranked by"),
    "criterion": Column("", "stand-alone score"),
    "num_architectures": Column("count", "architectures with both kinds of score"),
    "num_seeds": Column("count", "seeds of the stand-alone training"),
    "macs_min": Column("MACs", "multiply-adds an image of the cheapest"),
    "macs_max": Column("MACs", "multiply-adds an image of the dearest"),
    **interval_columns(_ESTIMATES),
    "confidence": Column("fraction", "coverage of the intervals"),
}
"""Columns of `trust.csv`, in order, with their units."""


@dataclass(frozen=True, kw_only=True)
class TrustPoint:
    """One architecture in the units of the axes.

    Attributes:
        arch_id: Its id.
        inherited: Score with inherited weights.
        score: Mean stand-alone score.
        low: Lowest stand-alone score among seeds.
        high: Highest.
        gmacs: Multiply-adds an image, in billions.
    """

    arch_id: str
    inherited: float
    score: float
    low: float
    high: float
    gmacs: float


@dataclass(frozen=True, kw_only=True)
class TrustData:
    """Everything that the figure shows, in the units of its axes.

    Attributes:
        points: By rising inherited score.
        x_label: Label of the x axis, with its unit.
        y_label: Label of the y axis, with its unit.
        caption: Numbers of architectures and seeds, and tau with its interval.
    """

    points: tuple[TrustPoint, ...]
    x_label: str
    y_label: str
    caption: str


def trust_table(rows: Mapping[str, Trust], title: str = "") -> Table:
    """A column a name (say, the criterion inherited scores are of), a row a statistic, for rich."""
    table = Table(title=Text(title) if title else None, title_justify="left")
    table.add_column("ranked by")
    for name in rows:
        table.add_column(Text(name), justify="right")
    statistics: dict[str, Callable[[Trust], str]] = {
        "tau": lambda trust: trust.tau.describe(),
        "with mean of seeds": lambda trust: trust.mean_tau.describe(),
        "rho": lambda trust: trust.rho.describe(),
        "tau without MACs": lambda trust: trust.residual_tau.describe(),
        "noise ceiling": lambda trust: trust.ceiling.describe(),
        "ceiling without MACs": lambda trust: trust.residual_ceiling.describe(),
        "tau of MACs alone": lambda trust: trust.size_tau.describe(),
        "top-1 regret": lambda trust: _in_unit(trust.regret[1], trust.criterion),
        "top-3 regret": lambda trust: _in_unit(trust.regret[3], trust.criterion),
    }
    for heading, statistic in statistics.items():
        table.add_row(heading, *(statistic(trust) for trust in rows.values()))
    return table


def trust_verdict(trust: Trust) -> list[str]:
    """What follows for a search that would rank by inherited scores, in words."""
    cheap, dear = (macs / 1e9 for macs in trust.macs)
    lines = [
        f"{trust.num_architectures} architectures of {cheap:.3g} to {dear:.3g} GMACs, trained"
        f" alone with seeds {', '.join(map(str, trust.seeds))} and scored by"
        f" {UNITS[trust.criterion][0]}; {trust.tau.confidence:.0%} intervals"
    ]
    if math.isnan(trust.tau.value):
        return [*lines, "inherited or stand-alone scores do not differ, and rank nothing"]
    curve = (
        ""
        if trust.num_architectures >= MIN_FOR_CURVE
        else f"; a straight line in log MACs taken off, a curve wants {MIN_FOR_CURVE} architectures"
    )
    lines += [
        _against_zero(
            trust.tau,
            yes="inherited scores rank architectures: tau stays above 0",
            no="inherited scores rank architectures the wrong way round: tau stays below 0",
            whether="whether inherited scores rank architectures at all",
            of="the interval of tau",
        ),
        _against_zero(
            trust.residual_tau,
            yes="they rank more than size: without MACs, tau stays above 0",
            no="beyond size they rank the wrong way round: without MACs, tau stays below 0",
            whether="whether they rank anything but size",
            of="without MACs, the interval of tau",
        )
        + curve,
        f"noise ceiling: two seeds of stand-alone training agree to a tau of"
        f" {trust.ceiling.describe()}, without MACs {trust.residual_ceiling.describe()}",
    ]
    if not trust.ceiling.low > 0:
        lines.append(
            "whether stand-alone scores rank architectures themselves cannot be told, so that"
            " there may be nothing to agree with"
        )
    lines += [
        _against_zero(
            trust.ceiling_gain,
            yes="inherited scores agree with a seed better than another seed does",
            no="inherited scores fall short of the noise ceiling",
            whether="whether inherited scores fall short of the noise ceiling",
            of="the interval of the difference",
        ),
        _against_zero(
            trust.size_gain,
            yes=f"they rank better than MACs alone, which earn {trust.size_tau.describe()}",
            no=f"MACs alone rank better, and earn {trust.size_tau.describe()}",
            whether="whether they rank better than MACs alone, which earn"
            f" {trust.size_tau.describe()},",
            of="the interval of the difference",
        ),
        "training only the first few by inherited score would lose, of the best mean stand-alone"
        " score seen (which noise flatters): "
        + "; ".join(
            f"top {k}, {_in_unit(regret, trust.criterion)}" for k, regret in trust.regret.items()
        ),
    ]
    return lines


def write_trust_csv(rows: Mapping[str, Trust], path: str | Path) -> None:
    """Writes a row a name; `TRUST_COLUMNS` says what the columns are.

    Args:
        rows: From `hrvit_nas.results.trust`, by what was ranked by.
        path: File to write, replaced in one step.

    Raises:
        OSError: The file cannot be written.
    """
    write_csv(path, TRUST_COLUMNS, (_csv_row(name, trust) for name, trust in rows.items()))


def trust_by_criterion(
    scores: TrustScores, searched_by: Criterion
) -> tuple[dict[str, Trust], TrustData]:
    """Trust in inherited scores by each criterion, what a search goes by first, and its figure.

    Args:
        scores: Of architectures that have both kinds.
        searched_by: The inherited score that the search goes by.

    Raises:
        ValueError: There are too few architectures or seeds.
    """
    ordered = sorted(scores.inherited, key=lambda criterion: criterion != searched_by)
    rows = {UNITS[criterion][0]: scores.trust(criterion) for criterion in ordered}
    figure = trust_data(
        next(iter(rows.values())),
        scores.arch_ids,
        scores.inherited[ordered[0]],
        scores.alone,
        scores.macs,
        inherited_criterion=ordered[0],
    )
    return rows, figure


def trust_data(
    trust: Trust,
    arch_ids: Sequence[str],
    inherited: ArrayLike,
    scores: ArrayLike,
    costs: ArrayLike,
    *,
    inherited_criterion: Criterion = "miou",
) -> TrustData:
    """Turns what trust was computed from into what the figure shows.

    Args:
        trust: From `hrvit_nas.results.trust`, of the same scores.
        arch_ids: (num_architectures,).
        inherited: (num_architectures,).
        scores: (num_architectures, num_seeds) stand-alone scores.
        costs: (num_architectures,) multiply-adds an image.
        inherited_criterion: What the inherited score is.

    Raises:
        ReportError: The shapes are not those that trust was computed from.
    """
    x, table, cost = (np.asarray(v, np.float64) for v in (inherited, scores, costs))
    num = trust.num_architectures
    shapes = (len(arch_ids),), x.shape, cost.shape, table.shape
    if shapes != ((num,), (num,), (num,), (num, len(trust.seeds))):
        raise ReportError(
            f"a figure of trust needs the {num} architectures and {len(trust.seeds)} seeds that"
            f" it was computed from, got shapes {', '.join(map(str, shapes))}"
        )
    x, table = x * UNITS[inherited_criterion][2], table * UNITS[trust.criterion][2]
    tau = trust.tau.describe()
    if not math.isnan(trust.tau.low):
        tau += f" ({trust.tau.confidence:.0%})"
    return TrustData(
        points=tuple(
            TrustPoint(
                arch_id=arch_ids[i],
                inherited=float(x[i]),
                score=float(table[i].mean()),
                low=float(table[i].min()),
                high=float(table[i].max()),
                gmacs=float(cost[i] / 1e9),
            )
            for i in np.argsort(x, kind="stable")
        ),
        x_label=f"With inherited weights: {_quantity(inherited_criterion)}",
        y_label=f"Trained alone: {_quantity(trust.criterion)}",
        caption=f"{num} architectures · {len(trust.seeds)} seeds · tau {tau}",
    )


def draw_trust(data: TrustData, path: str | Path) -> None:
    """Draws the figure for one column of a paper (3.5 inches wide, 7 to 8 point text).

    Colours of cost rise evenly in lightness, so the figure survives greyscale printing and
    colour blindness.

    Args:
        data: From `trust_data`.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.

    Raises:
        ReportError: The suffix is none of these.
        OSError: The file cannot be written.
    """
    save_figure(lambda figure: _draw(figure, data), path, (3.5, 3.1))


def _in_unit(estimate: Estimate, criterion: Criterion) -> str:
    _, unit, scale = UNITS[criterion]
    value, space, interval = estimate.describe(scale=scale).partition(" ")
    return f"{value} {unit} {interval}" if space else value


def _against_zero(estimate: Estimate, *, yes: str, no: str, whether: str, of: str) -> str:
    """On which side of 0 an interval lies, or that it cannot be told."""
    if estimate.low > 0:
        return f"{yes}: {estimate.describe()}"
    if estimate.high < 0:
        return f"{no}: {estimate.describe()}"
    # An interval that is unknown compares as false throughout.
    what = "is unknown" if math.isnan(estimate.low) else f"holds 0: {estimate.describe()}"
    return f"{whether} cannot be told: {of} {what}"


def _csv_row(name: str, trust: Trust) -> dict[str, object]:
    row: dict[str, object] = {
        "name": name,
        "criterion": trust.criterion,
        "num_architectures": trust.num_architectures,
        "num_seeds": len(trust.seeds),
        "macs_min": trust.macs[0],
        "macs_max": trust.macs[1],
        "confidence": trust.tau.confidence,
    }
    regrets = {f"top_{k}_regret": regret for k, regret in trust.regret.items()}
    estimates = {name: regrets.get(name) or getattr(trust, name) for name in _ESTIMATES}
    return row | interval_cells(estimates)


_TEXT, _SMALL = 8.0, 7.0
_NUM_TICKS = 4


def _quantity(criterion: Criterion) -> str:
    score = OBJECTIVES[criterion]
    return score.axis if score.direction == "maximize" else f"negated {score.axis}"


def _draw(figure: Figure, data: TrustData) -> None:
    from matplotlib.colors import LogNorm

    axes = figure.add_subplot()
    xs, ys = [p.inherited for p in data.points], [p.score for p in data.points]
    gmacs = [p.gmacs for p in data.points]
    axes.vlines(
        xs,
        [p.low for p in data.points],
        [p.high for p in data.points],
        color=GREY,
        linewidth=0.7,
        zorder=2,
    )
    least, most = min(gmacs), max(gmacs)
    wide = 1.0 if most > least else 1.1  # a scale of colours needs two ends
    dots = axes.scatter(
        xs,
        ys,
        s=4.4**2,
        c=gmacs,
        cmap="cividis",
        norm=LogNorm(least / wide, most * wide),
        edgecolors=INK,
        linewidths=0.5,
        zorder=3,
    )
    bar = figure.colorbar(dots, ax=axes, pad=0.02, aspect=28)
    ticks = np.geomspace(least, most, _NUM_TICKS) if most > least else [least]
    bar.set_ticks(list(ticks), labels=[f"{tick:.3g}" for tick in ticks])
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=_SMALL, color=GREY, labelcolor=INK, width=0.6, length=2)
    bar.set_label("GMACs per image, log scale", fontsize=_SMALL, color=INK)
    bar.outline.set_visible(False)
    _set_axes(axes, data)
    # From the figure's own edge, since beside the axis labels it would be too long.
    figure.suptitle(data.caption, x=0.01, ha="left", fontsize=_SMALL, color=GREY)


def _set_axes(axes: Axes, data: TrustData) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    axes.margins(x=0.05, y=0.06)
    axes.set_xlabel(data.x_label, fontsize=_TEXT, color=INK)
    axes.set_ylabel(f"{data.y_label}\nmean, lowest to highest seed", fontsize=_TEXT, color=INK)
    axes.tick_params(labelsize=_SMALL, color=GREY, labelcolor=INK, width=0.6, length=3)
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)
        spine.set_linewidth(0.6)
