"""How far scores can be trusted to rank architectures: pure functions over arrays.

Scores are (num_architectures, num_seeds) arrays. The model behind them is the two-way layout

    score[a, s] = mean + architecture[a] + seed[s] + noise[a, s],

in which only `architecture` is worth knowing. A seed's own effect moves all scores alike and so
ranks nothing; `noise` is what makes two seeds disagree about a ranking.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]
RESAMPLES = 2000
DRAWS = 20_000
GRID = 200
MIN_FOR_LINE = 4
MIN_FOR_CURVE = 16


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An estimate and its confidence interval, in its own unit.

    Attributes:
        value: The estimate; nan where the scores do not define it.
        low: Lower end of the interval; nan where unknown.
        high: Upper end.
        confidence: Coverage asked for, between 0 and 1.
    """

    value: float
    low: float
    high: float
    confidence: float

    def describe(self, *, scale: float = 1.0, digits: int = 2) -> str:
        """`value [low, high]`, or `value (interval unknown)`."""
        if math.isnan(self.value):
            return "undefined"
        text = f"{self.value * scale:.{digits}f}"
        if math.isnan(self.low):
            return f"{text} (interval unknown)"
        return f"{text} [{self.low * scale:.{digits}f}, {self.high * scale:.{digits}f}]"


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
    table = _table(scores)
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


def kendall_tau(first: ArrayLike, second: ArrayLike) -> float:
    """Kendall's tau-b, in which ties count for neither side; nan where one side has but ties.

    Raises:
        ValueError: The two differ in length, or hold fewer than 2 values.
    """
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 2:
        raise ValueError(
            f"a rank correlation needs two equally long rows of at least 2 values, got shapes"
            f" {x.shape} and {y.shape}"
        )
    return float(stats.kendalltau(x, y).statistic)


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
    point = kendall_tau(first, second)
    table = np.stack([np.asarray(first, np.float64), np.asarray(second, np.float64)], axis=1)
    return _bootstrap(point, table, lambda t: _taus(t[..., 0], t[..., 1]), confidence, seed)


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
    table = _table(scores)
    return _bootstrap(float(_pair_taus(table)), table, _pair_taus, confidence, seed)


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
    first, second = _table(scores), _table(others)
    if first.shape != second.shape:
        raise ValueError(f"both scores must have one shape, got {first.shape} and {second.shape}")
    num = first.shape[1]
    pairs = [(a, b) for a in range(num) for b in range(num) if a != b]

    def statistic(rows: Floats) -> Floats:
        taus: Floats = np.mean([_taus(rows[..., a], rows[..., num + b]) for a, b in pairs], axis=0)
        return taus

    joined = np.hstack([first, second])
    return _bootstrap(float(statistic(joined)), joined, statistic, confidence, seed)


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
    first, second = _table(scores), _table(others)
    if first.shape != second.shape:
        raise ValueError(f"both scores must have one shape, got {first.shape} and {second.shape}")
    num = first.shape[1]
    pairs = [(a, b) for a in range(num) for b in range(num) if a != b]
    powers = _log_powers(costs, len(first))
    joined = np.hstack([powers, first, second])
    start = powers.shape[1]

    def statistic(sample: Floats) -> Floats:
        rows = _residuals(sample[..., start:], sample[..., :start])
        taus: Floats = np.mean([_taus(rows[..., a], rows[..., num + b]) for a, b in pairs], axis=0)
        return taus

    return _bootstrap(float(statistic(joined)), joined, statistic, confidence, seed)


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
    table = _table(scores)
    powers = _log_powers(costs, len(table))
    num = powers.shape[1]
    joined = np.hstack([powers, table])

    def statistic(sample: Floats) -> Floats:
        return _pair_taus(_residuals(sample[..., num:], sample[..., :num]))

    return _bootstrap(float(statistic(joined)), joined, statistic, confidence, seed)


def predictor_tau(
    predictor: ArrayLike, scores: ArrayLike, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """Kendall's tau-b between a predictor and the scores of one seed, averaged over seeds.

    Args:
        predictor: (num_architectures,), more being better.
        scores: (num_architectures, num_seeds), each at least 2.
        confidence: Coverage of the interval, a bootstrap over architectures.
        seed: Of the resampling.

    Raises:
        ValueError: There are too few scores, one is not finite, or the architectures differ.
    """
    joined = _joined(scores, predictor)
    return _bootstrap(float(_first_taus(joined)), joined, _first_taus, confidence, seed)


def predictor_rho(
    predictor: ArrayLike, scores: ArrayLike, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """Spearman's rank correlation instead of Kendall's; otherwise as `predictor_tau`."""
    joined = _joined(scores, predictor)

    def statistic(sample: Floats) -> Floats:
        columns = np.swapaxes(sample, -1, -2)
        rhos: Floats = _rhos(columns[..., :1, :], columns[..., 1:, :]).mean(-1)
        return rhos

    return _bootstrap(float(statistic(joined)), joined, statistic, confidence, seed)


def predictor_residual_tau(
    predictor: ArrayLike,
    scores: ArrayLike,
    costs: ArrayLike,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """`predictor_tau` once the logarithm of a cost is regressed out of both sides.

    As in `residual_tau`, its square goes too from 16 architectures on, and the fit is anew in
    each resample.

    Args:
        predictor: (num_architectures,), more being better.
        scores: (num_architectures, num_seeds), each at least 2.
        costs: (num_architectures,), positive.
        confidence: Coverage of the interval, a bootstrap over architectures.
        seed: Of the resampling.

    Raises:
        ValueError: As `predictor_tau`, or a cost is not positive.
    """
    joined = _joined(scores, predictor)
    # Residuals are rounded, and a predictor may be of any size.
    spans = np.ptp(joined, axis=0)
    joined = (joined - joined.min(0)) / np.where(spans > 0, spans, 1)
    powers = _log_powers(costs, len(joined))
    num = powers.shape[1]
    joined = np.hstack([powers, joined])

    def statistic(sample: Floats) -> Floats:
        return _first_taus(_residuals(sample[..., num:], sample[..., :num]))

    return _bootstrap(float(statistic(joined)), joined, statistic, confidence, seed)


def predictor_tau_gain(
    predictor: ArrayLike,
    scores: ArrayLike,
    baseline: ArrayLike | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """By how much `predictor_tau` exceeds that of another predictor, or `seed_tau`.

    Both are resampled together, so that what they share by chance does not widen the interval.

    Args:
        predictor: (num_architectures,), more being better.
        scores: (num_architectures, num_seeds), each at least 2.
        baseline: (num_architectures,), the other predictor; None = another seed's scores.
        confidence: Coverage of the interval, a bootstrap over architectures.
        seed: Of the resampling.

    Raises:
        ValueError: As `predictor_tau`.
    """
    others = () if baseline is None else (baseline,)
    joined = _joined(scores, *others, predictor)
    num = len(others)

    def statistic(sample: Floats) -> Floats:
        first, table = sample[..., num:], sample[..., num + 1 :]
        if not num:
            return _first_taus(first) - _pair_taus(table)
        return _first_taus(first) - _first_taus(np.delete(sample, num, axis=-1))

    return _bootstrap(float(statistic(joined)), joined, statistic, confidence, seed)


def predictor_regret(
    predictor: ArrayLike, scores: ArrayLike, k: int, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """What is lost by training only the k architectures that a predictor puts first.

    It is the best mean score of all less the best mean score among the k. Both are maxima over
    noisy means, which flatter, that of all the more: noise alone makes a regret. Ties of the
    predictor are broken against it, and a predictor of but ties has none. A resample's copies
    of an architecture count once among the k. Maxima are resampled badly, so that the interval
    is a rough one: percentiles without a correction. In simulated studies of 12 and 24
    architectures, intervals of 95% held the regret to be expected 70 to 95 times in 100, those
    that are unknown left out.

    Args:
        predictor: (num_architectures,), more being better.
        scores: (num_architectures, num_seeds), each at least 2.
        k: How many are trained.
        confidence: Coverage of the interval, a bootstrap over architectures.
        seed: Of the resampling.

    Raises:
        ValueError: As `predictor_tau`, or k is not from 1 to one less than all.
    """
    joined = _joined(scores, predictor)
    if not 1 <= k < len(joined):
        raise ValueError(f"k must be from 1 to {len(joined) - 1}, one less than all, got {k}")
    rows = np.column_stack([joined[:, 0], joined[:, 1:].mean(1), np.arange(len(joined))])

    def statistic(sample: Floats) -> Floats:
        first, mean, name = np.moveaxis(sample, -1, 0)
        order = np.lexsort((name, mean, -first), axis=-1)
        mean, name = (np.take_along_axis(v, order, -1) for v in (mean, name))
        place = np.diff(name, axis=-1, prepend=-1).astype(bool).cumsum(-1)
        chosen = np.where(place <= k, mean, -np.inf)
        regret: Floats = mean.max(-1) - chosen.max(-1)
        return np.where(np.ptp(first, axis=-1) > 0, regret, np.nan)

    return _bootstrap(
        float(statistic(rows)), rows, statistic, confidence, seed, method="percentile"
    )


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
    true scores are taken to scatter normally around a line in the logarithm of cost, and each
    mean is drawn towards that line by as much as its noise deserves: with many seeds hardly,
    with one and much noise far. Line and scatter are unknown too, with flat priors (Gelman et
    al., Bayesian Data Analysis, section 5.4).

    Args:
        means: (num_architectures,) mean scores, at least 4.
        num_seeds: (num_architectures,) seeds behind each.
        costs: (num_architectures,), positive.
        noise: Standard deviation of one score between seeds.
        draws: How many in all, at least.
        at_once: How many a batch, which bounds the memory.
        seed: Of the draws.

    Raises:
        ValueError: The rows differ in length or are too short, or a number is out of range.
    """
    y, n, cost = (np.asarray(row, np.float64) for row in (means, num_seeds, costs))
    if not y.shape == n.shape == cost.shape or y.ndim != 1 or len(y) < MIN_FOR_LINE:
        raise ValueError(
            f"means, num_seeds and costs must be equally long rows of at least {MIN_FOR_LINE},"
            f" got shapes {y.shape}, {n.shape} and {cost.shape}"
        )
    if not (n >= 1).all() or not (cost > 0).all() or not noise > 0 or not np.isfinite(y).all():
        raise ValueError(
            "means must be finite, num_seeds at least 1, and costs and noise positive;"
            f" got noise {noise}"
        )
    rng = np.random.default_rng(seed)
    x = np.log(cost) - np.log(cost).mean()
    design = np.column_stack([np.ones_like(x), x])
    if np.ptp(cost) == 0:
        design = design[:, :1]
    own = noise**2 / n
    scatters = np.linspace(0, 4 * max(float(y.std()), noise), GRID)
    log_odds, lines, factors = np.empty(GRID), [], []
    for i, scatter in enumerate(scatters):
        weights = 1 / (scatter**2 + own)
        precision = (design * weights[:, None]).T @ design
        line = np.linalg.solve(precision, design.T @ (weights * y))
        misfit = float((weights * (y - design @ line) ** 2).sum())
        log_odds[i] = 0.5 * (np.log(weights).sum() - np.linalg.slogdet(precision)[1] - misfit)
        lines.append(line)
        factors.append(np.linalg.cholesky(np.linalg.inv(precision)))
    odds = np.exp(log_odds - log_odds.max())
    for _ in range(-(-draws // at_once)):
        chosen = rng.choice(GRID, size=at_once, p=odds / odds.sum())
        steps = rng.standard_normal((at_once, design.shape[1], 1))
        drawn_lines = np.asarray(lines)[chosen] + (np.asarray(factors)[chosen] @ steps)[..., 0]
        prior = drawn_lines @ design.T
        variance = scatters[chosen, None] ** 2
        share = variance / (variance + own)
        centre = prior + share * (y - prior)
        truth: Floats = centre + np.sqrt(share * own) * rng.standard_normal(centre.shape)
        yield truth


def _table(scores: ArrayLike) -> Floats:
    table = np.asarray(scores, np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise ValueError(
            "scores must be (num_architectures, num_seeds) with at least 2 of each, got shape"
            f" {table.shape}"
        )
    if not np.isfinite(table).all():
        raise ValueError("scores must be finite, and there for every architecture and seed")
    return table


def _joined(scores: ArrayLike, *predictors: ArrayLike) -> Floats:
    """Predictors as first columns of the table of scores."""
    table = _table(scores)
    columns = [np.asarray(predictor, np.float64) for predictor in predictors]
    for column in columns:
        if column.shape != table.shape[:1]:
            raise ValueError(
                f"a predictor must have one value for each of {len(table)} architectures, got"
                f" shape {column.shape}"
            )
        if not np.isfinite(column).all():
            raise ValueError(f"a predictor must be finite, got {column}")
    return np.column_stack([*columns, table])


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
    # Rounding leaves what equal members differ by; it must not rank them.
    residuals: Floats = np.round(y - x @ (np.linalg.pinv(x) @ y), 10)
    return residuals


def _taus(x: Floats, y: Floats) -> Floats:
    """Kendall's tau-b along the last axis."""
    sx, sy = (np.sign(v[..., :, None] - v[..., None, :]) for v in (x, y))
    norm: Floats = np.sqrt((sx**2).sum((-2, -1)) * (sy**2).sum((-2, -1)))
    product: Floats = (sx * sy).sum((-2, -1))
    taus: Floats = np.where(norm > 0, product / np.where(norm > 0, norm, 1), np.nan)
    return taus


def _rhos(x: Floats, y: Floats) -> Floats:
    """Spearman's rank correlation along the last axis, ties at their mean rank."""
    # How many are below less how many are above is twice the rank, centred.
    rx, ry = (np.sign(v[..., :, None] - v[..., None, :]).sum(-1) for v in (x, y))
    norm: Floats = np.sqrt((rx**2).sum(-1) * (ry**2).sum(-1))
    product: Floats = (rx * ry).sum(-1)
    rhos: Floats = np.where(norm > 0, product / np.where(norm > 0, norm, 1), np.nan)
    return rhos


def _first_taus(table: Floats) -> Floats:
    """Mean tau-b of the first column of (..., n, 1 + s) with each other one."""
    columns = np.swapaxes(table, -1, -2)
    taus: Floats = _taus(columns[..., :1, :], columns[..., 1:, :]).mean(-1)
    return taus


def _pair_taus(table: Floats) -> Floats:
    """Mean tau-b over the pairs of columns of (..., n, s)."""
    num = table.shape[-1]
    pairs = [(a, b) for a in range(num) for b in range(a + 1, num)]
    taus: Floats = np.mean([_taus(table[..., a], table[..., b]) for a, b in pairs], axis=0)
    return taus


def _bootstrap(
    point: float,
    rows: Floats,
    statistic: Callable[[Floats], Floats],
    confidence: float,
    seed: int,
    method: Literal["BCa", "percentile"] = "BCa",
) -> Estimate:
    """Bias-corrected and accelerated bootstrap over the rows (DiCiccio and Efron, 1996).

    Or, for a statistic whose bias it cannot tell, plain percentiles.

    Where rows are too few or too alike for it, percentiles of the resamples that define the
    statistic. Where none does, or all agree, as those of a few rows in perfect order do, the
    interval is unknown.
    """

    def of_rows(index: NDArray[np.intp], axis: int = -1) -> Floats:
        resampled: Floats = rows[np.moveaxis(index, axis, -1)]
        return statistic(resampled)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of a degenerate distribution, which is dealt with here
        found = stats.bootstrap(
            (np.arange(len(rows)),),
            of_rows,
            n_resamples=RESAMPLES,
            batch=200,
            vectorized=True,
            confidence_level=confidence,
            method=method,
            rng=np.random.default_rng(seed),
        )
    low, high = map(float, found.confidence_interval)
    if not (math.isfinite(low) and math.isfinite(high)):
        defined = found.bootstrap_distribution[np.isfinite(found.bootstrap_distribution)]
        low, high = math.nan, math.nan
        if defined.size:
            ends = [(1 - confidence) / 2, (1 + confidence) / 2]
            low, high = map(float, np.quantile(defined, ends))
    if low == high:
        low, high = math.nan, math.nan
    return Estimate(value=point, low=low, high=high, confidence=confidence)
