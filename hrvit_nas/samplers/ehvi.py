"""Expected hypervolume improvement where costs are known before anything is trained.

Optuna's samplers, as those of other tools, learn every objective from what was tried. What an
architecture costs is told by its description: only its score is uncertain. Given its normal
distribution, the hypervolume that an architecture is expected to add is then a sum in closed form:
costs cut the space below the corner into cells, each with the best score known there, and a cell
adds its size times the expected improvement over that score.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats: TypeAlias = NDArray[np.float64]
MOST_CELLS = 2_000_000
"""Cells of all candidates that are looked at together, which bounds the memory."""


def expected_improvement(mean: Floats, deviation: Floats, best: Floats) -> Floats:
    """By how much normal scores are expected to exceed others, which broadcast against them."""
    z = (mean - best) / deviation
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    improvement: Floats = (mean - best) * ndtr(z) + deviation * density
    return improvement


def expected_hypervolume_improvement(
    mean: Floats, deviation: Floats, costs: Floats, known: Floats, corner: Floats
) -> Floats:
    """Hypervolume that each candidate is expected to add, its costs being certain.

    Args:
        mean: (n,) expected scores, more being better.
        deviation: (n,) their standard deviations, above 0.
        costs: (n, c) costs of the candidates.
        known: (m, 1 + c) scores and costs of what was tried.
        corner: (1 + c,) worst score and costs that count.

    Returns:
        (n,), in the unit of a score times those of the costs.
    """
    inside = known[(known[:, 1:] < corner[1:]).all(1)]
    at_once = max(1, MOST_CELLS // (len(inside) + 1) ** (len(corner) - 1))
    parts = [
        _added(
            mean[i : i + at_once],
            deviation[i : i + at_once],
            costs[i : i + at_once],
            inside,
            corner,
        )
        for i in range(0, len(mean), at_once)
    ]
    return np.concatenate(parts)


def _added(
    mean: Floats, deviation: Floats, costs: Floats, inside: Floats, corner: Floats
) -> Floats:
    """The same of some candidates, beside what lies below the corner."""
    weights = np.ones((len(mean), 1))
    places: list[NDArray[np.intp]] = []
    shape = []
    for own, tried, end in zip(costs.T, inside.T[1:], corner[1:], strict=True):
        upper = np.unique(np.append(tried, end))
        lower = np.append(-np.inf, upper[:-1])
        beyond = np.maximum(0.0, upper - np.maximum(lower, own[:, None]))
        weights = (weights[:, :, None] * beyond[:, None, :]).reshape(len(mean), -1)
        places.append(1 + np.searchsorted(upper, tried))
        shape.append(len(upper))
    best = np.full(shape, corner[0])
    for place, score in zip(zip(*places, strict=True), inside[:, 0], strict=True):
        cells = best[tuple(slice(at, None) for at in place)]
        np.maximum(cells, score, out=cells)
    gains = expected_improvement(mean[:, None], deviation[:, None], best.ravel())
    total: Floats = (weights * gains).sum(1)
    return total
