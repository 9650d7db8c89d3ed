"""Ranking consistency of inherited scores: a table, records, findings, data of a figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hrvit_nas.objectives import OBJECTIVES
from hrvit_nas.results import Column, ConsistencyScores, Criterion, Estimate, RankingConsistency
from hrvit_nas.results.consistency import TOP
from hrvit_nas.results.ranking import MIN_FOR_CURVE

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
CONSISTENCY_COLUMNS: dict[str, Column] = {
    "name": Column("", "what was ranked by"),
    "criterion": Column("", "stand-alone score"),
    "num_architectures": Column("count", "architectures with both kinds of score"),
    "num_seeds": Column("count", "seeds of the stand-alone training"),
    "macs_min": Column("MACs", "multiply-adds an image of the cheapest"),
    "macs_max": Column("MACs", "multiply-adds an image of the dearest"),
    **interval_columns(_ESTIMATES),
    "confidence": Column("fraction", "coverage of the intervals"),
}
"""Columns of `ranking_consistency.csv`, in order, with their units."""


@dataclass(frozen=True, kw_only=True)
class ConsistencyPoint:
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
class ConsistencyData:
    """Everything that the figure shows, in the units of its axes.

    Attributes:
        points: By rising inherited score.
        x_label: Label of the x axis, with its unit.
        y_label: Label of the y axis, with its unit.
        caption: Numbers of architectures and seeds, and tau with its interval.
    """

    points: tuple[ConsistencyPoint, ...]
    x_label: str
    y_label: str
    caption: str


def consistency_grid(rows: Mapping[str, RankingConsistency], title: str = "") -> Grid:
    """A column a name (say, the criterion inherited scores are of), a row a statistic."""
    statistics: dict[str, Callable[[RankingConsistency], str]] = {
        "tau": lambda found: found.tau.describe(),
        "with mean of seeds": lambda found: found.mean_tau.describe(),
        "rho": lambda found: found.rho.describe(),
        "tau without MACs": lambda found: found.residual_tau.describe(),
        "noise ceiling": lambda found: found.ceiling.describe(),
        "ceiling without MACs": lambda found: found.residual_ceiling.describe(),
        "tau of MACs alone": lambda found: found.size_tau.describe(),
        "top-1 regret": lambda found: _in_unit(found.regret[1], found.criterion),
        "top-3 regret": lambda found: _in_unit(found.regret[3], found.criterion),
    }
    return Grid(
        title=title,
        columns=named("ranked by", *rows),
        rows=[
            [heading, *(statistic(found) for found in rows.values())]
            for heading, statistic in statistics.items()
        ],
    )


def consistency_verdict(found: RankingConsistency) -> list[Finding]:
    """What follows for a search that would rank by inherited scores."""
    return [
        _compared(found),
        *(_nothing_ranked() if math.isnan(found.tau.value) else _ranking(found)),
    ]


def _compared(found: RankingConsistency) -> Finding:
    cheap, dear = (macs / 1e9 for macs in found.macs)
    return Finding(
        name="compared",
        text=f"{found.num_architectures} architectures of {cheap:.3g} to {dear:.3g} GMACs, trained"
        f" alone with seeds {', '.join(map(str, found.seeds))} and scored by"
        f" {UNITS[found.criterion][0]}; {found.tau.confidence:.0%} intervals",
        facts={
            "num_architectures": found.num_architectures,
            "seeds": found.seeds,
            "macs": found.macs,
        },
    )


def _nothing_ranked() -> Iterator[Finding]:
    yield Finding(
        name="nothing_ranked",
        text="inherited or stand-alone scores do not differ, and rank nothing",
    )


def _ranking(found: RankingConsistency) -> Iterator[Finding]:
    yield _against_zero(
        "tau",
        found.tau,
        yes="inherited scores rank architectures: tau stays above 0",
        no="inherited scores rank architectures the wrong way round: tau stays below 0",
        whether="whether inherited scores rank architectures at all",
        of="the interval of tau",
    )
    curve = (
        ""
        if found.num_architectures >= MIN_FOR_CURVE
        else f"; a straight line in log MACs taken off, a curve wants {MIN_FOR_CURVE} architectures"
    )
    yield _against_zero(
        "beyond_size",
        found.residual_tau,
        yes="they rank more than size: without MACs, tau stays above 0",
        no="beyond size they rank the wrong way round: without MACs, tau stays below 0",
        whether="whether they rank anything but size",
        of="without MACs, the interval of tau",
        more=curve,
    )
    yield Finding(
        name="ceiling",
        text="noise ceiling: two seeds of stand-alone training agree to a tau of"
        f" {found.ceiling.describe()}, without MACs {found.residual_ceiling.describe()}",
        facts={"tau": found.ceiling, "residual_tau": found.residual_ceiling},
    )
    if not found.ceiling.low > 0:
        yield Finding(
            name="ceiling_unknown",
            text="whether stand-alone scores rank architectures themselves cannot be told, so that"
            " there may be nothing to agree with",
        )
    yield from _gains(found)


def _gains(found: RankingConsistency) -> Iterator[Finding]:
    """Inherited scores beside another seed and beside size, and what going by them loses."""
    yield _against_zero(
        "beside_ceiling",
        found.ceiling_gain,
        yes="inherited scores agree with a seed better than another seed does",
        no="inherited scores fall short of the noise ceiling",
        whether="whether inherited scores fall short of the noise ceiling",
        of="the interval of the difference",
    )
    size = found.size_tau.describe()
    yield _against_zero(
        "beside_size",
        found.size_gain,
        yes=f"they rank better than MACs alone, which earn {size}",
        no=f"MACs alone rank better, and earn {size}",
        whether=f"whether they rank better than MACs alone, which earn {size},",
        of="the interval of the difference",
    )
    regrets = (
        f"top {k}, {_in_unit(regret, found.criterion)}" for k, regret in found.regret.items()
    )
    yield Finding(
        name="regret",
        text="training only the first few by inherited score would lose, of the best mean"
        f" stand-alone score seen (which noise flatters): {'; '.join(regrets)}",
        facts={f"top_{k}": regret for k, regret in found.regret.items()},
    )


def consistency_records(rows: Mapping[str, RankingConsistency]) -> Records:
    """A row a name; `CONSISTENCY_COLUMNS` says what the columns are.

    Args:
        rows: From `hrvit_nas.results.ranking_consistency`, by what was ranked by.
    """
    return Records(
        name="ranking_consistency",
        columns=CONSISTENCY_COLUMNS,
        rows=[_record(name, found) for name, found in rows.items()],
    )


def consistency_by_criterion(
    scores: ConsistencyScores, searched_by: Criterion
) -> tuple[dict[str, RankingConsistency], ConsistencyData]:
    """Ranking consistency by each criterion, what a search goes by first, and its figure.

    Args:
        scores: Of architectures that have both kinds.
        searched_by: The inherited score that the search goes by.

    Raises:
        ValueError: There are too few architectures or seeds.
    """
    ordered = sorted(scores.inherited, key=lambda criterion: criterion != searched_by)
    rows = {UNITS[criterion][0]: scores.ranking_consistency(criterion) for criterion in ordered}
    figure = consistency_data(
        next(iter(rows.values())),
        scores.arch_ids,
        scores.inherited[ordered[0]],
        scores.alone,
        scores.macs,
        inherited_criterion=ordered[0],
    )
    return rows, figure


def consistency_data(
    found: RankingConsistency,
    arch_ids: Sequence[str],
    inherited: ArrayLike,
    scores: ArrayLike,
    costs: ArrayLike,
    *,
    inherited_criterion: Criterion = "miou",
) -> ConsistencyData:
    """Turns what the ranking consistency was computed from into what the figure shows.

    Args:
        found: From `hrvit_nas.results.ranking_consistency`, of the same scores.
        arch_ids: (num_architectures,).
        inherited: (num_architectures,).
        scores: (num_architectures, num_seeds) stand-alone scores.
        costs: (num_architectures,) multiply-adds an image.
        inherited_criterion: What the inherited score is.

    Raises:
        ReportError: The shapes are not those that it was computed from.
    """
    x, table, cost = (np.asarray(v, np.float64) for v in (inherited, scores, costs))
    num = found.num_architectures
    shapes = (len(arch_ids),), x.shape, cost.shape, table.shape
    if shapes != ((num,), (num,), (num,), (num, len(found.seeds))):
        raise ReportError(
            f"a figure of ranking consistency needs the {num} architectures and {len(found.seeds)}"
            f" seeds that it was computed from, got shapes {', '.join(map(str, shapes))}"
        )
    x, table = x * UNITS[inherited_criterion][2], table * UNITS[found.criterion][2]
    tau = found.tau.describe()
    if not math.isnan(found.tau.low):
        tau += f" ({found.tau.confidence:.0%})"
    return ConsistencyData(
        points=tuple(
            ConsistencyPoint(
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
        y_label=f"Trained alone: {_quantity(found.criterion)}",
        caption=f"{num} architectures · {len(found.seeds)} seeds · tau {tau}",
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


def _record(name: str, found: RankingConsistency) -> dict[str, object]:
    row: dict[str, object] = {
        "name": name,
        "criterion": found.criterion,
        "num_architectures": found.num_architectures,
        "num_seeds": len(found.seeds),
        "macs_min": found.macs[0],
        "macs_max": found.macs[1],
        "confidence": found.tau.confidence,
    }
    regrets = {f"top_{k}_regret": regret for k, regret in found.regret.items()}
    estimates = {name: regrets.get(name) or getattr(found, name) for name in _ESTIMATES}
    return row | interval_cells(estimates)


def _quantity(criterion: Criterion) -> str:
    score = OBJECTIVES[criterion]
    return score.axis if score.direction == "maximize" else f"negated {score.axis}"
