"""The process against least squares, against normal equations, and on scores that it could draw."""

import numpy as np
import pytest

from hrvit_nas.samplers.gaussian_process import WIDE, GaussianProcess, Prior


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def drawn(rng, count, noise):
    """Scores of a slope of 2 and three features, of which one matters."""
    plane, features = rng.standard_normal((count, 1)), rng.random((count, 3))
    truth = 2 * plane[:, 0] + np.sin(3 * features[:, 0])
    return plane, features, truth, truth + noise * rng.standard_normal(count)


def test_with_no_scatter_it_is_ridge_regression(rng):
    plane, features, _, scores = drawn(rng, 12, 0.1)
    process = GaussianProcess(plane, features, scores)
    process.prior = Prior(scatter=1e-6, length=1.0, noise=0.3)
    again = GaussianProcess(plane, features, scores, like=process)
    design = np.column_stack([np.ones(12), plane])
    standard = (scores - scores.mean()) / scores.std()
    penalty = (0.3 / WIDE) ** 2 * np.eye(2)
    precision = design.T @ design + penalty
    new = np.column_stack([np.ones(5), others := rng.standard_normal((5, 1))])
    mean, deviation = again.predict(others, rng.random((5, 3)))
    expected = new @ np.linalg.solve(precision, design.T @ standard)
    assert mean == pytest.approx(scores.mean() + scores.std() * expected, abs=1e-5)
    variance = 0.3**2 * np.einsum("ij,ij->i", new, np.linalg.solve(precision, new.T).T)
    assert deviation == pytest.approx(scores.std() * np.sqrt(variance), rel=1e-2)


def test_it_learns_what_features_tell_and_how_noisy_scores_are(rng):
    plane, features, _, scores = drawn(rng, 150, 0.2)
    process = GaussianProcess(plane, features, scores)
    assert process.prior.noise * scores.std() == pytest.approx(0.2, rel=0.3)
    new_plane, new_features, truth, _ = drawn(rng, 400, 0.0)
    mean, deviation = process.predict(new_plane, new_features)
    errors = mean - truth
    assert np.sqrt((errors**2).mean()) < 0.15  # without the features it is 0.3
    assert 0.6 < np.sqrt(((errors / deviation) ** 2).mean()) < 1.6


def test_where_nothing_is_known_it_knows_that(rng):
    plane, features, _, scores = drawn(rng, 30, 0.05)
    process = GaussianProcess(plane, features, scores)
    _, near = process.predict(plane, features)
    _, far = process.predict(plane, features + 10)
    assert far.min() > near.max()


@pytest.mark.parametrize("scores", [[0.5, 0.5, 0.5], [0.1, 0.9]])
def test_few_and_equal_scores_do(scores):
    count = len(scores)
    process = GaussianProcess(np.zeros((count, 1)), np.zeros((count, 2)), np.array(scores))
    mean, deviation = process.predict(np.zeros((1, 1)), np.zeros((1, 2)))
    assert mean == pytest.approx(np.mean(scores), abs=0.05)
    assert np.isfinite(deviation).all()
