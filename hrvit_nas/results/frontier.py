"""Non-dominated points, how sure they are, and hypervolume: pure functions over arrays.

A point dominates another if it is at least as good in every objective and better in one.
By default an objective pair is (mIoU, cost): the first is maximised, the second minimised.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIOU_AND_COST: tuple[bool, ...] = (True, False)
"""Maximise the first objective, minimise the second."""


def pareto_front(points: ArrayLike, maximize: Sequence[bool] = MIOU_AND_COST) -> NDArray[np.bool_]:
    """Marks the points that no other point dominates.

    Equal points do not dominate one another, so all copies of a frontier point are marked.
    A point with a NaN is never marked and dominates nothing. O(n log n) in two objectives,
    O(n * size of the frontier) in more.

    Args:
        points: Array (n, d), an objective a column; n may be 0.
        maximize: For each of the d objectives, whether more is better.

    Returns:
        Boolean array (n,), in the order of `points`.

    Raises:
        ValueError: `points` is not (n, d), or d is not the length of `maximize`.
    """
    losses = _losses(points, maximize)
    on_front = np.zeros(len(losses), dtype=np.bool_)
    valid = np.flatnonzero(~np.isnan(losses).any(axis=1))
    if len(valid):
        front = _front_2d if losses.shape[1] == 2 else _front_any
        on_front[valid[front(losses[valid])]] = True
    return on_front


def frontier_probability(draws: ArrayLike, costs: ArrayLike) -> NDArray[np.float64]:
    """Probability that each architecture is on the frontier, given draws of the true scores.

    Args:
        draws: Array (num_draws, n) of scores, more being better, as from `score_noise.score_draws`.
        costs: Array (n,), less being better; known without error.

    Returns:
        Array (n,): the share of draws in which nothing at most as dear is better, and nothing
        cheaper as good.

    Raises:
        ValueError: The shapes do not fit, or there is no draw.
    """
    scores, cost = np.asarray(draws, np.float64), np.asarray(costs, np.float64)
    if scores.ndim != 2 or cost.shape != scores.shape[1:] or not len(scores):
        raise ValueError(
            "draws must be (num_draws, n) and costs (n,), with a draw at least, got shapes"
            f" {scores.shape} and {cost.shape}"
        )
    order = np.argsort(cost, kind="stable")
    ranked = scores[:, order]
    best = np.maximum.accumulate(ranked, axis=1)
    # Of equal cost all stand at the end of their group, and see the best before it.
    _, starts, group = np.unique(cost[order], return_index=True, return_inverse=True)
    before = np.where(starts > 0, best[:, starts - 1], -np.inf)[:, group]
    ends = np.append(starts[1:], len(cost)) - 1
    on_front = (ranked > before) & (ranked >= best[:, ends][:, group])
    probability = np.empty(len(cost))
    probability[order] = on_front.mean(axis=0)
    return probability


def hypervolume(
    points: ArrayLike, reference: Sequence[float], maximize: Sequence[bool] = MIOU_AND_COST
) -> float:
    """Area dominated by the points and bounded by a reference point, exactly, in two objectives.

    A point that is not better than the reference in both objectives, or that has a NaN, adds
    nothing. The unit is the product of the units of the objectives.

    Args:
        points: Array (n, 2), an objective a column; n may be 0.
        reference: The worst values that count, in the order of the columns.
        maximize: For each objective, whether more is better.

    Raises:
        ValueError: There are not two objectives, or the reference is not two finite numbers.
    """
    losses, corner = _losses_and_corner(points, reference, maximize)
    losses = losses[(losses < corner).all(axis=1)]  # a NaN compares false
    if not len(losses):
        return 0.0
    front = losses[_front_2d(losses)]
    front = front[np.argsort(front[:, 0], kind="stable")]
    widths = np.diff(np.append(front[:, 0], corner[0]))
    return float(np.sum(widths * (corner[1] - front[:, 1])))


def hypervolume_curve(
    points: ArrayLike, reference: Sequence[float], maximize: Sequence[bool] = MIOU_AND_COST
) -> NDArray[np.float64]:
    """Hypervolume of the first point, of the first two, and so on, in two objectives.

    The frontier so far is kept in order, so that a point costs a search in it, and its share of
    what it takes over: O(n log n) but for the moving of memory.

    Args:
        points: Array (n, 2), an objective a column, in the order in which they came.
        reference: The worst values that count, in the order of the columns.
        maximize: For each objective, whether more is better.

    Returns:
        Array (n,), which never falls.

    Raises:
        ValueError: As `hypervolume`.
    """
    losses, corner = _losses_and_corner(points, reference, maximize)
    edge, floor = (float(value) for value in corner)
    lefts: list[float] = []  # rising first losses of the frontier so far
    levels: list[float] = []  # its second losses, which fall
    areas = np.empty(len(losses))
    area = 0.0
    for number, (left, level) in enumerate(losses.tolist()):
        if left < edge and level < floor:  # a NaN compares false
            first = bisect_left(lefts, left)
            ceiling = levels[first - 1] if first else floor
            last = first
            position, gain = left, 0.0
            while last < len(lefts) and levels[last] >= level:
                gain += (lefts[last] - position) * (ceiling - level)
                position, ceiling = lefts[last], levels[last]
                last += 1
            following = lefts[last] if last < len(lefts) else edge
            if ceiling > level and following > position:
                gain += (following - position) * (ceiling - level)
            if gain > 0:
                area += gain
                lefts[first:last], levels[first:last] = [left], [level]
        areas[number] = area
    return areas


def _losses_and_corner(
    points: ArrayLike, reference: Sequence[float], maximize: Sequence[bool]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    losses = _losses(points, maximize)
    if losses.shape[1] != 2 or len(reference) != 2:
        raise ValueError(
            "a hypervolume needs points and a reference of 2 objectives,"
            f" got {losses.shape[1]} and {len(reference)}"
        )
    corner = _losses([reference], maximize)[0]
    if not np.isfinite(corner).all():
        raise ValueError(f"the reference of a hypervolume must be finite, got {tuple(reference)}")
    return losses, corner


def _losses(points: ArrayLike, maximize: Sequence[bool]) -> NDArray[np.float64]:
    """The points with every objective turned so that less is better."""
    array = np.asarray(points, dtype=np.float64)
    if array.size == 0 and array.ndim <= 2:
        array = array.reshape(0, len(maximize))
    if array.ndim != 2 or array.shape[1] != len(maximize):
        raise ValueError(
            f"points must have shape (n, {len(maximize)}), one column an objective of"
            f" maximize={tuple(maximize)}; got shape {array.shape}"
        )
    return np.where(np.asarray(maximize, dtype=np.bool_), -array, array)


def _front_2d(losses: NDArray[np.float64]) -> NDArray[np.intp]:
    order = np.lexsort((losses[:, 1], losses[:, 0]))
    first, second = losses[order, 0], losses[order, 1]
    # Points with the same first loss form a group, whose best second loss stands at its start.
    starts = np.flatnonzero(np.append(True, first[1:] != first[:-1]))
    group = np.cumsum(np.append(0, first[1:] != first[:-1]))
    best = second[starts]
    best_before = np.minimum.accumulate(best)[:-1]
    leads = np.append(True, best[1:] < best_before)
    members: NDArray[np.intp] = order[leads[group] & (second == best[group])]
    return members


def _front_any(losses: NDArray[np.float64]) -> NDArray[np.intp]:
    # In lexicographic order no point is dominated by a later one, so each head is on the front.
    remaining = np.lexsort(losses.T[::-1])
    front: list[NDArray[np.intp]] = []
    while len(remaining):
        head, values = losses[remaining[0]], losses[remaining]
        equal = (values == head).all(axis=1)
        front.append(remaining[equal])
        remaining = remaining[(values < head).any(axis=1)]
    return np.concatenate(front)
