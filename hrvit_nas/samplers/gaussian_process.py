"""Gaussian process regression of scores on architectures: a plane in some columns, and what else
their features tell (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapters
2 and 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize
from scipy.spatial.distance import cdist

Floats: TypeAlias = NDArray[np.float64]

WIDE = 5.0
"""Standard deviation of the plane's coefficients a priori, in standard deviations of the scores."""
MEDIANS = np.log([0.5, 2.0, 0.4])
"""Medians a priori: of scatter in standard deviations of the scores, of the length scale in median
distances, of noise as of scatter. All are log-normal."""
SPREADS = np.array([0.7, 0.7, 0.7])
BOUNDS = [(-5.0, 2.0), (-2.0, 4.0), (-5.0, 1.5)]
JITTER = 1e-8


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What is believed of scores before any is seen, in standardised scores.

    A score is a plane, with wide coefficients, and about it a Matérn process (5/2) of the features;
    what is observed has noise.

    Attributes:
        scatter: Standard deviation of the process.
        length: Its length scale, in the features' unit.
        noise: Standard deviation of the noise.
    """

    scatter: float
    length: float
    noise: float

    def covariance(self, products: Floats, distances: Floats) -> Floats:
        """Of scores without noise.

        Args:
            products: (n, m), inner products of the plane's columns.
            distances: (n, m), of the features.
        """
        scaled = np.sqrt(5.0) / self.length * distances
        process = self.scatter**2 * (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
        covariance: Floats = WIDE**2 * (1.0 + products) + process
        return covariance

    def solved(self, products: Floats, distances: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Factor of the covariance of what is observed, and its inverse times what is."""
        covariance = self.covariance(products, distances)
        covariance[np.diag_indices(len(y))] += self.noise**2 + JITTER
        factor: Floats = linalg.cholesky(covariance, lower=True, check_finite=False)
        weights: Floats = linalg.cho_solve((factor, True), y, check_finite=False)
        return factor, weights


class GaussianProcess:
    """What scores say of those of other architectures.

    Args:
        plane: (n, p), such as standardised logarithms of costs.
        features: (n, d).
        scores: (n,), at least 2.
        like: A process whose prior and unit are taken over; None = the prior is the one of the
            largest posterior density.
    """

    def __init__(
        self, plane: Floats, features: Floats, scores: Floats, like: GaussianProcess | None = None
    ) -> None:
        self._plane, self._features = plane, features
        products, distances = plane @ plane.T, cdist(features, features)
        if like is None:
            self._centre, self._scale = float(scores.mean()), float(scores.std()) or 1.0
            y = (scores - self._centre) / self._scale
            self.prior = _most_likely(products, distances, y)
        else:
            self._centre, self._scale, self.prior = like._centre, like._scale, like.prior
            y = (scores - self._centre) / self._scale
        self._factor, self._weights = self.prior.solved(products, distances, y)

    def predict(self, plane: Floats, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of scores without noise, each (n,)."""
        cross = self.prior.covariance(plane @ self._plane.T, cdist(features, self._features))
        half = linalg.solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        own = WIDE**2 * (1.0 + (plane**2).sum(1)) + self.prior.scatter**2
        deviation = np.sqrt(np.maximum(own - (half**2).sum(0), JITTER))
        return self._centre + self._scale * (cross @ self._weights), self._scale * deviation


def _most_likely(products: Floats, distances: Floats, y: Floats) -> Prior:
    unit = float(np.median(distances[np.triu_indices(len(y), 1)])) or 1.0

    def prior(logs: Floats) -> Prior:
        scatter, length, noise = np.exp(logs)
        return Prior(scatter=float(scatter), length=float(length) * unit, noise=float(noise))

    def loss(logs: Floats) -> float:
        factor, weights = prior(logs).solved(products, distances, y)
        density = 0.5 * y @ weights + np.log(np.diag(factor)).sum()
        return float(density + 0.5 * (((logs - MEDIANS) / SPREADS) ** 2).sum())

    return prior(optimize.minimize(loss, MEDIANS, method="L-BFGS-B", bounds=BOUNDS).x)
