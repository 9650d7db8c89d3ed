"""How noisy scores are, and what the true ones may be: pure functions over arrays.

Scores are (num_architectures, num_seeds) arrays. The model behind them is the two-way layout

    score[a, s] = mean + architecture[a] + seed[s] + noise[a, s],

in which only `architecture` is worth knowing. A seed's own effect moves all scores alike and so
ranks nothing; `noise` is what makes two seeds disagree about a ranking.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy  # whose parts load when they are first used
from numpy.typing import ArrayLike

from .estimates import Estimate, Floats, checked_scores

DRAWS = 20_000
GRID = 200
MIN_FOR_LINE = 4


@dataclass(frozen=True, kw_only=True)
class VarianceComponents:
    """Where the spread of scores comes from, as standard deviations in the scores' unit.

    Attributes:
        architectures: Between architectures, noise taken off.
        seeds: Between seeds of one architecture: the noise of one score, a seed's common effect
            left out.
        reliability: Share of the variance among scores of one seed that architectures make, 0 to
            1; also the correlation to be expected between two seeds.
    """

    architectures: Estimate
    seeds: Estimate
    reliability: Estimate

    def reliability_of_mean(self, num_seeds: int) -> float:
        """Share of the variance among means of so many seeds that architectures make."""
        signal, noise = self.architectures.value**2, self.seeds.value**2
        total = signal + noise / num_seeds
        return signal / total if total else 0.0


def variance_components(
    scores: ArrayLike, confidence: float = 0.95, seed: int = 0
) -> VarianceComponents:
    """Splits the variance of scores into architectures, seeds and noise.

    Estimates are those of the analysis of variance, cut off at 0. Intervals are generalised
    confidence intervals (Weerahandi, JASA 1993): quantiles of the components that the observed
    sums of squares imply over draws of their chi-square distributions.

    Args:
        scores: (num_architectures, num_seeds), each at least 2.
        confidence: Coverage of the intervals.
        seed: Of the draws.

    Raises:
        ValueError: There are too few scores, or one is not finite.
    """
    table = checked_scores(scores)
    num_arches, num_seeds = table.shape
    free = num_arches - 1, (num_arches - 1) * (num_seeds - 1)
    rows = table.mean(1, keepdims=True)
    between = num_seeds * float(((rows - table.mean()) ** 2).sum())
    rest = float(((table - rows - table.mean(0) + table.mean()) ** 2).sum())
    rng = np.random.default_rng(seed)
    noise = rest / rng.chisquare(free[1], DRAWS)
    signal = np.maximum(0.0, (between / rng.chisquare(free[0], DRAWS) - noise) / num_seeds)
    point_noise = rest / free[1]
    point_signal = max(0.0, (between / free[0] - point_noise) / num_seeds)

    def estimate(value: float, draws: Floats) -> Estimate:
        low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
        return Estimate(value=value, low=float(low), high=float(high), confidence=confidence)

    total, drawn = point_signal + point_noise, signal + noise
    share = np.divide(signal, drawn, out=np.zeros(DRAWS), where=drawn > 0)
    return VarianceComponents(
        architectures=estimate(point_signal**0.5, np.sqrt(signal)),
        seeds=estimate(point_noise**0.5, np.sqrt(noise)),
        reliability=estimate(point_signal / total if total else 0.0, share),
    )


def pooled_noise(scores: Iterable[tuple[str, int, float]]) -> tuple[dict[int, float], float, int]:
    """Effects of seeds, and the noise that is left, from whatever was trained with which seed.

    The two-way layout of the module's head, fitted by least squares to an incomplete table.

    Args:
        scores: (architecture, seed, score), in any order.

    Returns:
        Each seed's effect (their mean over scores is 0), the standard deviation between seeds of
        one architecture (nan without a degree of freedom), and its degrees of freedom.
    """
    rows = list(scores)
    if not rows:
        return {}, math.nan, 0
    arches = {name: i for i, name in enumerate(dict.fromkeys(row[0] for row in rows))}
    seeds = {name: i for i, name in enumerate(sorted({row[1] for row in rows}))}
    of_arch = np.array([arches[row[0]] for row in rows], np.intp)
    of_seed = np.array([seeds[row[1]] for row in rows], np.intp)
    y = np.array([row[2] for row in rows], np.float64)
    # Architectures are swept out first, so that the system has but the size of the seeds.
    counts = np.bincount(of_arch)
    centred = y - (np.bincount(of_arch, y) / counts)[of_arch]
    shares = np.zeros((len(arches), len(seeds)))
    np.add.at(shares, (of_arch, of_seed), 1 / counts[of_arch])
    design = np.eye(len(seeds))[of_seed] - shares[of_arch]
    effects, _, rank, _ = np.linalg.lstsq(design, centred, rcond=None)
    free = len(rows) - len(arches) - int(rank)
    rest = float(((centred - design @ effects) ** 2).sum())
    effects = effects - effects[of_seed].mean()
    noise = math.sqrt(rest / free) if free > 0 else math.nan
    return {seed: float(effects[i]) for seed, i in seeds.items()}, noise, free


def score_draws(
    means: ArrayLike,
    num_seeds: ArrayLike,
    costs: ArrayLike,
    noise: float,
    draws: int = 4000,
    seed: int = 0,
) -> Floats:
    """Draws what the true scores may be, given noisy means, as `score_draw_batches` all at once."""
    return next(score_draw_batches(means, num_seeds, costs, noise, draws, draws, seed))


def score_draw_batches(
    means: ArrayLike,
    num_seeds: ArrayLike,
    costs: ArrayLike,
    noise: float,
    draws: int,
    at_once: int,
    seed: int = 0,
) -> Iterator[Floats]:
    """Draws what the true scores may be, given noisy means: (at_once, num_architectures) a batch.

    The winner of many noisy scores is partly the luckiest, so that its score flatters it. Here
    true scores are taken to scatter normally around a line in the logarithm of cost (a plane, of
    two costs), and each mean is drawn towards that line by as much as its noise deserves: with many
    seeds hardly, with one and much noise far. Line and scatter are unknown too, with flat priors
    (Gelman et al., Bayesian Data Analysis, section 5.4).

    Args:
        means: (num_architectures,) mean scores, at least 4, and one more for a second cost.
        num_seeds: (num_architectures,) seeds behind each.
        costs: (num_architectures,) or (num_architectures, num_costs), positive.
        noise: Standard deviation of one score between seeds.
        draws: How many in all, at least.
        at_once: How many a batch, which bounds the memory.
        seed: Of the draws.

    Raises:
        ValueError: The rows differ in length or are too short, or a number is out of range.
    """
    y, own, design = _layout(means, num_seeds, costs, noise)
    rng = np.random.default_rng(seed)
    scatters = np.linspace(0, 4 * max(float(y.std()), noise), GRID)
    chances, lines, factors = _lines(y, own, design, scatters)
    for _ in range(-(-draws // at_once)):
        chosen = rng.choice(GRID, size=at_once, p=chances)
        steps = rng.standard_normal((at_once, design.shape[1], 1))
        drawn_lines = lines[chosen] + (factors[chosen] @ steps)[..., 0]
        prior = drawn_lines @ design.T
        variance = scatters[chosen, None] ** 2
        share = variance / (variance + own)
        centre = prior + share * (y - prior)
        truth: Floats = centre + np.sqrt(share * own) * rng.standard_normal(centre.shape)
        yield truth


def scatter_p_value(
    means: ArrayLike,
    num_seeds: ArrayLike,
    costs: ArrayLike,
    noise: float,
    num_free: float = math.inf,
) -> float:
    """How likely noise alone would scatter the means as far from what their costs predict.

    It is the chi-square test of the residuals about a line in the logarithm of cost (a plane, of
    two costs), or the F test where the noise is itself an estimate. Few architectures show a
    scatter only where it is much larger than the noise.

    Args:
        means: As `score_draw_batches`.
        num_seeds: See there.
        costs: See there.
        noise: See there.
        num_free: Degrees of freedom that the noise was estimated with; infinite = it is known.

    Raises:
        ValueError: See there.
    """
    y, own, design = _layout(means, num_seeds, costs, noise)
    weights = 1 / own
    precision = (design * weights[:, None]).T @ design
    line = np.linalg.solve(precision, design.T @ (weights * y))
    misfit = float((weights * (y - design @ line) ** 2).sum())
    free = len(y) - design.shape[1]
    if math.isinf(num_free):
        return float(scipy.stats.chi2.sf(misfit, free))
    return float(scipy.stats.f.sf(misfit / free, free, num_free))


def _layout(
    means: ArrayLike, num_seeds: ArrayLike, costs: ArrayLike, noise: float
) -> tuple[Floats, Floats, Floats]:
    """Means, the variance of each, and the columns of what costs predict."""
    y, n, cost = (np.asarray(row, np.float64) for row in (means, num_seeds, costs))
    table = cost[:, None] if cost.ndim == 1 else cost
    least = MIN_FOR_LINE + table.shape[-1] - 1
    if not y.shape == n.shape == table.shape[:1] or y.ndim != 1 or len(y) < least:
        raise ValueError(
            f"means, num_seeds and costs must be equally long rows of at least {least},"
            f" got shapes {y.shape}, {n.shape} and {cost.shape}"
        )
    if not (n >= 1).all() or not (cost > 0).all() or not noise > 0 or not np.isfinite(y).all():
        raise ValueError(
            "means must be finite, num_seeds at least 1, and costs and noise positive;"
            f" got noise {noise}"
        )
    return y, noise**2 / n, _design(table)


def _design(costs: Floats) -> Floats:
    """A constant and the centred logarithms of the costs, without those that others tell."""
    kept = [np.ones(len(costs))]
    for cost in costs.T:
        column = np.log(cost) - np.log(cost).mean()
        if np.linalg.matrix_rank(np.column_stack([*kept, column])) > len(kept):
            kept.append(column)
    return np.column_stack(kept)


def _lines(
    y: Floats, own: Floats, design: Floats, scatters: Floats
) -> tuple[Floats, Floats, Floats]:
    """For each scatter: how likely it is, the line fitted with it, and a factor of its errors."""
    log_odds, lines, factors = np.empty(len(scatters)), [], []
    for i, scatter in enumerate(scatters):
        weights = 1 / (scatter**2 + own)
        precision = (design * weights[:, None]).T @ design
        line = np.linalg.solve(precision, design.T @ (weights * y))
        misfit = float((weights * (y - design @ line) ** 2).sum())
        log_odds[i] = 0.5 * (np.log(weights).sum() - np.linalg.slogdet(precision)[1] - misfit)
        lines.append(line)
        factors.append(np.linalg.cholesky(np.linalg.inv(precision)))
    odds = np.exp(log_odds - log_odds.max())
    return odds / odds.sum(), np.asarray(lines), np.asarray(factors)
