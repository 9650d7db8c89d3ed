"""Expected hypervolume improvement against an integral over scores, by the hypervolume itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrvit_nas.results import hypervolume
from hrvit_nas.samplers.ehvi import expected_hypervolume_improvement

GRID = np.linspace(-8, 8, 401)
DENSITY = np.exp(-0.5 * GRID**2) / np.sqrt(2 * np.pi)


@st.composite
def problems(draw):
    """Known points, candidates and a corner, some of either beyond it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num_costs, num_known = draw(st.integers(1, 2)), draw(st.integers(0, 6))
    corner = np.array([0.2, *[0.9] * num_costs])
    # Few values, so that costs are shared.
    costs = rng.integers(1, 11, (num_known + 3, num_costs)) / 10
    known = np.column_stack([rng.random(num_known), costs[3:]])
    return rng.random(3), 0.01 + 0.2 * rng.random(3), costs[:3], known, corner


@given(problems())
def test_it_is_what_scores_add_weighed_by_their_density(problem):
    mean, deviation, costs, known, corner = problem
    found = expected_hypervolume_improvement(mean, deviation, costs, known, corner)
    before = hypervolume(known, corner)
    for i in range(3):
        scores = mean[i] + deviation[i] * GRID
        added = [hypervolume([*known, (s, *costs[i])], corner) - before for s in scores]
        expected = np.trapezoid(added * DENSITY, GRID)
        assert found[i] == pytest.approx(expected, abs=1e-3 * deviation[i])


def test_without_doubt_it_is_what_the_point_adds():
    known = np.array([[0.5, 2.0], [0.7, 4.0]])
    corner = np.array([0.3, 6.0])
    mean, costs = np.array([0.6, 0.4, 0.9]), np.array([[3.0], [2.5], [5.0]])
    found = expected_hypervolume_improvement(mean, np.full(3, 1e-9), costs, known, corner)
    before = hypervolume(known, corner)
    added = [
        hypervolume([*known, (m, *c)], corner) - before for m, c in zip(mean, costs, strict=True)
    ]
    assert found == pytest.approx(added, abs=1e-6)
