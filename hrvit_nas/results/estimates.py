"""An estimate with its interval, by resampling architectures, and the table of scores behind it.

Scores are (num_architectures, num_seeds) arrays.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy  # whose parts load when they are first used
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
RESAMPLES = 2000


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


def checked_scores(scores: ArrayLike) -> Floats:
    """Scores as an array (num_architectures, num_seeds).

    Raises:
        ValueError: There are fewer than 2 of either, or one is not finite.
    """
    table = np.asarray(scores, np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise ValueError(
            "scores must be (num_architectures, num_seeds) with at least 2 of each, got shape"
            f" {table.shape}"
        )
    if not np.isfinite(table).all():
        raise ValueError("scores must be finite, and there for every architecture and seed")
    return table


def bootstrap(
    rows: Floats,
    statistic: Callable[[Floats], Floats],
    confidence: float,
    seed: int,
    method: Literal["BCa", "percentile"] = "BCa",
) -> Estimate:
    """A statistic of rows, with a bias-corrected and accelerated bootstrap over them.

    The interval is that of DiCiccio and Efron (1996), or, for a statistic whose bias it cannot
    tell, plain percentiles.

    Where rows are too few or too alike for it, percentiles of the resamples that define the
    statistic. Where none does, or all agree, as those of a few rows in perfect order do, the
    interval is unknown.
    """

    def of_rows(index: NDArray[np.intp], axis: int = -1) -> Floats:
        resampled: Floats = rows[np.moveaxis(index, axis, -1)]
        return statistic(resampled)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of a degenerate distribution, which is dealt with here
        found = scipy.stats.bootstrap(
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
    return Estimate(value=float(statistic(rows)), low=low, high=high, confidence=confidence)
