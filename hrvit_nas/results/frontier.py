"""Non-dominated points, how sure they are, and hypervolume: pure functions over arrays.

A point dominates another if it is at least as good in every objective and better in one.
Unless said otherwise, points are of a score and its costs: the first objective is maximised, the
others are minimised.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pareto_front(points: ArrayLike, maximize: Sequence[bool] | None = None) -> NDArray[np.bool_]:
    """Marks the points that no other point dominates.

    Equal points do not dominate one another, so all copies of a frontier point are marked.
    A point with a NaN is never marked and dominates nothing. O(n log n) in two objectives,
    O(n * size of the frontier) in more.

    Args:
        points: Array (n, d), an objective a column; n may be 0.
        maximize: For each of the d objectives, whether more is better; None = for the first alone.

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

    Architectures are passed by rising costs, and the best score so far of each draw is kept by rank
    of the second cost in a tree of prefix maxima (Fenwick, 1994): O(n log n) steps over all draws,
    or n where there is one cost.

    Args:
        draws: Array (num_draws, n) of scores, more being better, as from `score_noise.score_draws`.
        costs: Array (n,), or (n, 1 or 2), less being better; known without error.

    Returns:
        Array (n,): the share of draws in which nothing at most as dear in all costs is better, and
        nothing also cheaper in one as good.

    Raises:
        ValueError: The shapes do not fit, or there is no draw.
    """
    scores, cost = np.asarray(draws, np.float64), np.asarray(costs, np.float64)
    table = cost[:, None] if cost.ndim == 1 else cost
    fits = scores.ndim == 2 and len(scores) and table.shape[:1] == scores.shape[1:]
    if not fits or table.shape[1:] not in {(1,), (2,)}:
        raise ValueError(
            "draws must be (num_draws, n) and costs (n,) or (n, 1 or 2), with a draw at least, got"
            f" shapes {scores.shape} and {cost.shape}"
        )
    second = table[:, 1] if table.shape[1] == 2 else np.zeros(len(table))
    levels, rank = np.unique(second, return_inverse=True)
    best = np.full((len(levels) + 1, len(scores)), -np.inf)
    probability = np.empty(len(table))
    order = np.lexsort((second, table[:, 0]))
    changes = np.any(np.diff(table[order], axis=0) != 0, axis=1)
    for group in np.split(order, np.flatnonzero(changes) + 1):
        mine = scores[:, group]
        before = np.full(len(scores), -np.inf)
        node = int(rank[group[0]]) + 1
        while node:
            np.maximum(before, best[node], out=before)
            node &= node - 1
        top = mine.max(axis=1)
        # Architectures of equal costs do not see each other's score unless it is better.
        on_front = (mine > before[:, None]) & (mine >= top[:, None])
        probability[group] = on_front.mean(axis=0)
        node = int(rank[group[0]]) + 1
        while node < len(best):
            np.maximum(best[node], top, out=best[node])
            node += node & -node
    return probability


def hypervolume(
    points: ArrayLike, reference: Sequence[float], maximize: Sequence[bool] | None = None
) -> float:
    """What the points dominate as far as a reference point: an area, a volume and so on, exactly.

    A point that is not better than the reference in every objective, or that has a NaN, adds
    nothing. The unit is the product of the units of the objectives. O(n log n) in two and three
    objectives.

    Args:
        points: Array (n, d), an objective a column, two at least; n may be 0.
        reference: The worst values that count, in the order of the columns.
        maximize: For each objective, whether more is better; None = for the first alone.

    Raises:
        ValueError: There is but one objective, or the reference is not as many finite numbers.
    """
    losses, corner = _losses_and_corner(points, reference, maximize)
    return _volume(losses, corner)


def hypervolume_curve(
    points: ArrayLike, reference: Sequence[float], maximize: Sequence[bool] | None = None
) -> NDArray[np.float64]:
    """Hypervolume of the first point, of the first two, and so on.

    In two objectives the frontier so far is kept in order, so that a point costs a search in it,
    and its share of what it takes over: O(n log n) but for the moving of memory. In more, a point
    that no other dominates has the hypervolume counted anew.

    Args:
        points: Array (n, d), an objective a column, in the order in which they came.
        reference: The worst values that count, in the order of the columns.
        maximize: For each objective, whether more is better; None = for the first alone.

    Returns:
        Array (n,), which never falls.

    Raises:
        ValueError: As `hypervolume`.
    """
    losses, corner = _losses_and_corner(points, reference, maximize)
    return _increments(losses, corner)


def _volume(losses: NDArray[np.float64], corner: NDArray[np.float64]) -> float:
    """Hypervolume of points that are worse the greater they are."""
    losses = losses[(losses < corner).all(axis=1)]  # a NaN compares false
    if not len(losses):
        return 0.0
    if len(corner) == 2:
        front = losses[_front_2d(losses)]
        front = front[np.argsort(front[:, 0], kind="stable")]
        widths = np.diff(np.append(front[:, 0], corner[0]))
        return float(np.sum(widths * (corner[1] - front[:, 1])))
    # In slices along the last objective, a point is there from its own value on.
    losses = losses[np.argsort(losses[:, -1], kind="stable")]
    heights = np.diff(np.append(losses[:, -1], corner[-1]))
    return float(heights @ _increments(losses[:, :-1], corner[:-1]))


def _increments(losses: NDArray[np.float64], corner: NDArray[np.float64]) -> NDArray[np.float64]:
    """`_volume` of the first point, of the first two, and so on."""
    if len(corner) == 2:
        return _increments_2d(losses, corner)
    volumes = np.empty(len(losses))
    front = losses[:0]
    volume = 0.0
    for number, point in enumerate(losses):
        if (point < corner).all() and not (front <= point).all(axis=1).any():
            front = np.vstack([front[~(point <= front).all(axis=1)], point])
            volume = max(volume, _volume(front, corner))  # which rounding may lower
        volumes[number] = volume
    return volumes


def _increments_2d(losses: NDArray[np.float64], corner: NDArray[np.float64]) -> NDArray[np.float64]:
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
    points: ArrayLike, reference: Sequence[float], maximize: Sequence[bool] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    corner = _losses([reference], maximize)[0]
    losses = _losses(points, maximize)
    if losses.size == 0:
        losses = losses.reshape(0, len(corner))
    if losses.shape[1] != len(corner) or len(corner) < 2:
        raise ValueError(
            "a hypervolume needs points and a reference of as many objectives, 2 at least,"
            f" got {losses.shape[1]} and {len(corner)}"
        )
    if not np.isfinite(corner).all():
        raise ValueError(f"the reference of a hypervolume must be finite, got {tuple(reference)}")
    return losses, corner


def _losses(points: ArrayLike, maximize: Sequence[bool] | None) -> NDArray[np.float64]:
    """The points with every objective turned so that less is better."""
    array = np.asarray(points, dtype=np.float64)
    if array.size == 0 and array.ndim <= 2:
        array = array.reshape(0, 2 if maximize is None else len(maximize))
    if array.ndim == 2 and maximize is None:
        maximize = [True] + [False] * (array.shape[1] - 1)
    if array.ndim != 2 or maximize is None or array.shape[1] != len(maximize):
        many = "d" if maximize is None else len(maximize)
        raise ValueError(
            f"points must have shape (n, {many}), a column an objective; got shape {array.shape}"
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
    on_front: NDArray[np.intp] = order[leads[group] & (second == best[group])]
    return on_front


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
