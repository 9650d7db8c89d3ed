"""How far inherited scores can be trusted: a table, records, findings, data of a figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hrvit_nas.objectives import OBJECTIVES
from hrvit_nas.results import Column, Criterion, Estimate, Trust, TrustScores
from hrvit_nas.results.ranking import MIN_FOR_CURVE
from hrvit_nas.results.trust import TOP

from .figures import ReportError
from .grid import Grid, named
from .section import Finding, Records
from .units import UNITS, interval_cells, interval_columns, side_of_zero

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


def trust_grid(rows: Mapping[str, Trust], title: str = "") -> Grid:
    """A column a name (say, the criterion inherited scores are of), a row a statistic."""
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
    return Grid(
        title=title,
        columns=named("ranked by", *rows),
        rows=[
            [heading, *(statistic(trust) for trust in rows.values())]
            for heading, statistic in statistics.items()
        ],
    )


def trust_verdict(trust: Trust) -> list[Finding]:
    """What follows for a search that would rank by inherited scores."""
    return [
        _compared(trust),
        *(_nothing_ranked() if math.isnan(trust.tau.value) else _ranking(trust)),
    ]


def _compared(trust: Trust) -> Finding:
    cheap, dear = (macs / 1e9 for macs in trust.macs)
    return Finding(
        name="compared",
        text=f"{trust.num_architectures} architectures of {cheap:.3g} to {dear:.3g} GMACs, trained"
        f" alone with seeds {', '.join(map(str, trust.seeds))} and scored by"
        f" {UNITS[trust.criterion][0]}; {trust.tau.confidence:.0%} intervals",
        facts={
            "num_architectures": trust.num_architectures,
            "seeds": trust.seeds,
            "macs": trust.macs,
        },
    )


def _nothing_ranked() -> Iterator[Finding]:
    yield Finding(
        name="nothing_ranked",
        text="inherited or stand-alone scores do not differ, and rank nothing",
    )


def _ranking(trust: Trust) -> Iterator[Finding]:
    yield _against_zero(
        "tau",
        trust.tau,
        yes="inherited scores rank architectures: tau stays above 0",
        no="inherited scores rank architectures the wrong way round: tau stays below 0",
        whether="whether inherited scores rank architectures at all",
        of="the interval of tau",
    )
    curve = (
        ""
        if trust.num_architectures >= MIN_FOR_CURVE
        else f"; a straight line in log MACs taken off, a curve wants {MIN_FOR_CURVE} architectures"
    )
    yield _against_zero(
        "beyond_size",
        trust.residual_tau,
        yes="they rank more than size: without MACs, tau stays above 0",
        no="beyond size they rank the wrong way round: without MACs, tau stays below 0",
        whether="whether they rank anything but size",
        of="without MACs, the interval of tau",
        more=curve,
    )
    yield Finding(
        name="ceiling",
        text="noise ceiling: two seeds of stand-alone training agree to a tau of"
        f" {trust.ceiling.describe()}, without MACs {trust.residual_ceiling.describe()}",
        facts={"tau": trust.ceiling, "residual_tau": trust.residual_ceiling},
    )
    if not trust.ceiling.low > 0:
        yield Finding(
            name="ceiling_unknown",
            text="whether stand-alone scores rank architectures themselves cannot be told, so that"
            " there may be nothing to agree with",
        )
    yield from _gains(trust)


def _gains(trust: Trust) -> Iterator[Finding]:
    """Inherited scores beside another seed and beside size, and what going by them loses."""
    yield _against_zero(
        "beside_ceiling",
        trust.ceiling_gain,
        yes="inherited scores agree with a seed better than another seed does",
        no="inherited scores fall short of the noise ceiling",
        whether="whether inherited scores fall short of the noise ceiling",
        of="the interval of the difference",
    )
    size = trust.size_tau.describe()
    yield _against_zero(
        "beside_size",
        trust.size_gain,
        yes=f"they rank better than MACs alone, which earn {size}",
        no=f"MACs alone rank better, and earn {size}",
        whether=f"whether they rank better than MACs alone, which earn {size},",
        of="the interval of the difference",
    )
    regrets = (
        f"top {k}, {_in_unit(regret, trust.criterion)}" for k, regret in trust.regret.items()
    )
    yield Finding(
        name="regret",
        text="training only the first few by inherited score would lose, of the best mean"
        f" stand-alone score seen (which noise flatters): {'; '.join(regrets)}",
        facts={f"top_{k}": regret for k, regret in trust.regret.items()},
    )


def trust_records(rows: Mapping[str, Trust]) -> Records:
    """A row a name; `TRUST_COLUMNS` says what the columns are.

    Args:
        rows: From `hrvit_nas.results.trust`, by what was ranked by.
    """
    return Records(
        name="trust",
        columns=TRUST_COLUMNS,
        rows=[_record(name, trust) for name, trust in rows.items()],
    )


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


def _in_unit(estimate: Estimate, criterion: Criterion) -> str:
    _, unit, scale = UNITS[criterion]
    value, space, interval = estimate.describe(scale=scale).partition(" ")
    return f"{value} {unit} {interval}" if space else value


def _against_zero(
    name: str,
    estimate: Estimate,
    *,
    yes: str,
    no: str,
    whether: str,
    of: str,
    more: str = "",
) -> Finding:
    """On which side of 0 an interval lies, or that it cannot be told."""
    side, value = side_of_zero(estimate), estimate.describe()
    text = {
        "above": f"{yes}: {value}",
        "below": f"{no}: {value}",
        "both": f"{whether} cannot be told: {of} holds 0: {value}",
        "unknown": f"{whether} cannot be told: {of} is unknown",
    }[side]
    return Finding(name=name, text=f"{text}{more}", facts={"estimate": estimate, "side": side})


def _record(name: str, trust: Trust) -> dict[str, object]:
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


def _quantity(criterion: Criterion) -> str:
    score = OBJECTIVES[criterion]
    return score.axis if score.direction == "maximize" else f"negated {score.axis}"
