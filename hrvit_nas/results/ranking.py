"""How far scores rank architectures alike: pure functions over arrays.

Scores are (num_architectures, num_seeds) arrays; `score_noise` has the model behind them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy  # whose parts load when they are first used
from numpy.typing import ArrayLike

from .estimates import Estimate, Floats, bootstrap, checked_scores

MIN_FOR_CURVE = 16


def kendall_tau(first: ArrayLike, second: ArrayLike) -> float:
    """Kendall's tau-b, in which ties count for neither side; nan where one side has but ties.

    Raises:
        ValueError: The two differ in length, or hold fewer than 2 values.
    """
    x, y = _two_rows(first, second)
    return float(scipy.stats.kendalltau(x, y).statistic)


def tau_interval(
    first: ArrayLike, second: ArrayLike, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """Kendall's tau-b between two scores, with a bootstrap interval over architectures.

    Args:
        first: (num_architectures,).
        second: (num_architectures,).
        confidence: Coverage of the interval.
        seed: Of the resampling.

    Raises:
        ValueError: As `kendall_tau`.
    """
    table = np.stack(_two_rows(first, second), axis=1)
    return bootstrap(table, lambda t: taus(t[..., 0], t[..., 1]), confidence, seed)


def seed_tau(scores: ArrayLike, confidence: float = 0.95, seed: int = 0) -> Estimate:
    """Kendall's tau-b between the rankings of two seeds, averaged over all pairs of seeds.

    This is the noise ceiling: no other measure can be expected to agree with one seed better
    than another seed does. The interval is a bootstrap over architectures.

    Args:
        scores: (num_architectures, num_seeds), each at least 2.
        confidence: Coverage of the interval.
        seed: Of the resampling.

    Raises:
        ValueError: There are too few scores, or one is not finite.
    """
    table = checked_scores(scores)
    return bootstrap(table, pair_taus, confidence, seed)


def cross_tau(
    scores: ArrayLike, others: ArrayLike, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """Kendall's tau-b between two kinds of score, each of another seed than the other.

    Averaged over all pairs of different seeds, so that what two scores of one run share by chance
    earns nothing. Between a score and itself it is `seed_tau`.

    Args:
        scores: (num_architectures, num_seeds), each at least 2.
        others: The same shape: the same architectures and seeds.
        confidence: Coverage of the interval.
        seed: Of the resampling.

    Raises:
        ValueError: There are too few scores, one is not finite, or the shapes differ.
    """
    table = _side_by_side(scores, others)
    return bootstrap(table, _cross_taus, confidence, seed)


def cross_tau_difference(
    scores: ArrayLike,
    baseline: ArrayLike,
    others: ArrayLike,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """How much higher `cross_tau` with the others is for one kind of score than for another.

    Each resample has the same architectures on both sides, so that the interval is far narrower
    than two intervals of `cross_tau` side by side suggest.

    Args:
        scores: (num_architectures, num_seeds), each at least 2.
        baseline: The same shape; whose tau is subtracted.
        others: The same shape; what both are held to.
        confidence: Coverage of the interval.
        seed: Of the resampling.

    Raises:
        ValueError: As `cross_tau`.
    """
    held = np.hstack([_side_by_side(scores, others), _side_by_side(baseline, others)])
    half = held.shape[1] // 2

    def difference(rows: Floats) -> Floats:
        found: Floats = _cross_taus(rows[..., :half]) - _cross_taus(rows[..., half:])
        return found

    return bootstrap(held, difference, confidence, seed)


def cross_residual_tau(
    scores: ArrayLike,
    others: ArrayLike,
    costs: ArrayLike,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """`cross_tau` once the logarithm of a cost is regressed out of both kinds of score.

    As in `residual_tau`, its square goes too from 16 architectures on, and the fit is anew in
    each resample.

    Args:
        scores: (num_architectures, num_seeds), each at least 2.
        others: The same shape: the same architectures and seeds.
        costs: (num_architectures,), positive.
        confidence: Coverage of the interval.
        seed: Of the resampling.

    Raises:
        ValueError: As `cross_tau`, or a cost is not positive.
    """
    return bootstrap_residuals(_side_by_side(scores, others), costs, _cross_taus, confidence, seed)


def residual_tau(
    scores: ArrayLike, costs: ArrayLike, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """`seed_tau` of what is left of scores once the logarithm of a cost is regressed out.

    'Bigger is better' earns nothing here. From 16 architectures on, the square of the logarithm is
    regressed out as well, since scores saturate; of fewer, what bends away from a straight line
    still counts. The fit is of each seed by least squares, and anew in each resample.

    Args:
        scores: (num_architectures, num_seeds), each at least 2.
        costs: (num_architectures,), positive.
        confidence: Coverage of the interval.
        seed: Of the resampling.

    Raises:
        ValueError: There are too few scores, one is not finite, or a cost is not positive.
    """
    return bootstrap_residuals(checked_scores(scores), costs, pair_taus, confidence, seed)


def bootstrap_residuals(
    table: Floats,
    costs: ArrayLike,
    statistic: Callable[[Floats], Floats],
    confidence: float,
    seed: int,
) -> Estimate:
    """`bootstrap` of a statistic of what a cost leaves of each column, fitted anew each time.

    Args:
        table: (num_architectures, num_columns).
        costs: (num_architectures,), positive.
        statistic: Of (..., num_architectures, num_columns).
        confidence: Coverage of the interval.
        seed: Of the resampling.

    Raises:
        ValueError: A cost is not positive.
    """
    powers = _log_powers(costs, len(table))
    num = powers.shape[1]
    joined = np.hstack([powers, table])

    def of_residuals(sample: Floats) -> Floats:
        return statistic(_residuals(sample[..., num:], sample[..., :num]))

    return bootstrap(joined, of_residuals, confidence, seed)


def _two_rows(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    """Two equally long rows to rank by."""
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 2:
        raise ValueError(
            f"a rank correlation needs two equally long rows of at least 2 values, got shapes"
            f" {x.shape} and {y.shape}"
        )
    return x, y


def _side_by_side(scores: ArrayLike, others: ArrayLike) -> Floats:
    """Two tables of scores as one, (num_architectures, 2 * num_seeds)."""
    first, second = checked_scores(scores), checked_scores(others)
    if first.shape != second.shape:
        raise ValueError(f"both scores must have one shape, got {first.shape} and {second.shape}")
    return np.hstack([first, second])


def _cross_taus(rows: Floats) -> Floats:
    """Mean tau-b between the two halves of the columns, over all pairs of different seeds."""
    num = rows.shape[-1] // 2
    pairs = [(a, b) for a in range(num) for b in range(num) if a != b]
    found: Floats = np.mean([taus(rows[..., a], rows[..., num + b]) for a, b in pairs], axis=0)
    return found


def _log_powers(costs: ArrayLike, num_arches: int) -> Floats:
    """What is regressed out: log costs and, of enough architectures, their squares, centred."""
    cost = np.asarray(costs, np.float64)
    if cost.shape != (num_arches,) or not ((cost > 0) & np.isfinite(cost)).all():
        raise ValueError(
            f"costs must be {num_arches} positive numbers, one an architecture, got {cost}"
        )
    powers = np.log(cost)[:, None] ** range(1, 3 if num_arches >= MIN_FOR_CURVE else 2)
    centred: Floats = powers - powers.mean(0)
    return centred


def _residuals(scores: Floats, regressors: Floats) -> Floats:
    """Scores (..., n, s) less their least-squares fit by regressors (..., n, k) and a constant."""
    x = regressors - regressors.mean(-2, keepdims=True)
    y = scores - scores.mean(-2, keepdims=True)
    # Rounding leaves what equal architectures differ by; it must not rank them.
    found: Floats = np.round(y - x @ (np.linalg.pinv(x) @ y), 10)
    return found


def taus(x: Floats, y: Floats) -> Floats:
    """Kendall's tau-b along the last axis."""
    sx, sy = (np.sign(v[..., :, None] - v[..., None, :]) for v in (x, y))
    norm: Floats = np.sqrt((sx**2).sum((-2, -1)) * (sy**2).sum((-2, -1)))
    product: Floats = (sx * sy).sum((-2, -1))
    found: Floats = np.where(norm > 0, product / np.where(norm > 0, norm, 1), np.nan)
    return found


def pair_taus(table: Floats) -> Floats:
    """Mean tau-b over the pairs of columns of (..., n, s)."""
    num = table.shape[-1]
    pairs = [(a, b) for a in range(num) for b in range(a + 1, num)]
    found: Floats = np.mean([taus(table[..., a], table[..., b]) for a, b in pairs], axis=0)
    return found
