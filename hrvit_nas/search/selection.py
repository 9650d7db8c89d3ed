"""Which of the architectures that were scored go on to the next stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..arch import Arch
from ..results import (
    ArchSummary,
    CostName,
    Criterion,
    Stage,
    TrialRecord,
    hypervolume,
    pareto_front,
    summarise,
)
from ..results.records import SEARCHED
from ..samplers import Values
from .config import AnySearch

MARGIN = 0.1


def best_inherited(
    records: Iterable[TrialRecord], costs: Sequence[CostName], count: int, criterion: Criterion
) -> list[Arch]:
    """Architectures of the frontier of inherited scores that dominate most between them.

    They are taken one after the other, each for the hypervolume that it adds. The corner lies a
    tenth of the range beyond the dearest costs and the worst score, so that the ends of the
    frontier count for something. Where the frontier holds fewer, all of it comes back.

    Args:
        records: Of the run; the inherited scores of its search count.
        costs: Weighed against the score.
        count: How many at most.
        criterion: The score.

    Returns:
        The architectures by rising first cost.
    """
    points: dict[str, Values] = {}
    specs: dict[str, Arch] = {}
    for record in records:
        if record.stage == Stage("search", "inherited"):
            values = objective_values(record, costs, criterion)
            if values is not None:
                points[record.arch_id] = values
                specs[record.arch_id] = record.spec
    return [specs[arch_id] for arch_id in _dominating_most(points, count)]


def finalists(
    front: Sequence[ArchSummary], costs: Sequence[CostName], count: int
) -> list[ArchSummary]:
    """Architectures of a frontier that dominate most between them, by rising first cost.

    They are chosen as by `best_inherited`, from the scores of the search.

    Args:
        front: The frontier of a search.
        costs: Weighed against the score.
        count: How many at most.
    """
    rows = {row.arch_id: row for row in front}
    points = {
        row.arch_id: (row.search_score, *row.costs(costs))
        for row in front
        if row.search_score is not None
    }
    return [rows[arch_id] for arch_id in _dominating_most(points, count)]


def _dominating_most(points: Mapping[str, Values], count: int) -> list[str]:
    """Those of the frontier of score and costs that add most hypervolume, by rising first cost."""
    if not points:
        return []
    on_front = pareto_front(list(points.values()))
    left = [arch_id for arch_id, on in zip(points, on_front, strict=True) if on]
    scores, *costs = zip(*points.values(), strict=True)
    corner = (
        min(scores) - MARGIN * (max(scores) - min(scores) or 1.0),
        *(max(cost) + MARGIN * (max(cost) - min(cost) or 1.0) for cost in costs),
    )
    chosen: list[str] = []
    while left and len(chosen) < count:
        taken = [points[arch_id] for arch_id in chosen]
        gains = {a: hypervolume([*taken, points[a]], corner) for a in left}
        best = max(left, key=gains.__getitem__)
        left.remove(best)
        chosen.append(best)
    return sorted(chosen, key=lambda arch_id: points[arch_id][1])


def objective_values(
    record: TrialRecord, costs: Sequence[CostName], criterion: Criterion = "miou"
) -> Values | None:
    """Score and costs of a record as a sampler is told them; None where the trial failed."""
    score = record.score(criterion)
    return None if score is None else (score, *(float(getattr(record, cost)) for cost in costs))


def frontier_archs(records: Iterable[TrialRecord], config: AnySearch) -> Sequence[ArchSummary]:
    """Architectures of the frontier that the search itself found, by rising first cost."""
    found = (record for record in records if record.stage == SEARCHED)
    return summarise(found, costs=config.costs, criterion=config.recipe.criterion).frontier
