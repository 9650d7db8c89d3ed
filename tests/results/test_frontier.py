"""Frontier and hypervolume against brute force and against Optuna."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from optuna._hypervolume import compute_hypervolume

from hrvit_nas.results import (
    frontier_probability,
    hypervolume,
    hypervolume_curve,
    pareto_front,
)

# Few distinct values, so that ties are common; now and then no number at all.
coordinates = st.one_of(st.integers(0, 5).map(float), st.sampled_from([math.nan, math.inf]))


def brute_force_front(points, maximize):
    signs = np.where(maximize, 1.0, -1.0)
    gains = [[sign * value for sign, value in zip(signs, point, strict=True)] for point in points]

    def dominates(a, b):
        return all(x >= y for x, y in zip(a, b, strict=True)) and a != b

    return [not any(map(math.isnan, b)) and not any(dominates(a, b) for a in gains) for b in gains]


@given(data=st.data(), objectives=st.integers(1, 4))
def test_front_is_what_brute_force_finds(data, objectives):
    points = data.draw(
        hnp.arrays(np.float64, (data.draw(st.integers(0, 30)), objectives), elements=coordinates)
    )
    maximize = data.draw(st.tuples(*[st.booleans()] * objectives))
    assert pareto_front(points, maximize).tolist() == brute_force_front(points, maximize)


def test_front_of_miou_and_cost():
    points = [(0.5, 10), (0.6, 20), (0.55, 30), (0.6, 20), (math.nan, 1), (0.4, 10)]
    assert pareto_front(points).tolist() == [True, True, False, True, False, False]


def test_no_points_have_no_front():
    assert pareto_front([]).tolist() == []
    assert pareto_front([(math.nan, 1.0)]).tolist() == [False]


@pytest.mark.parametrize(
    ("points", "maximize", "shape"),
    [
        ([1.0, 2.0], None, r"\(n, d\)"),
        ([[[1.0, 2.0]]], None, r"\(n, d\)"),
        ([[1.0, 2.0, 3.0]], (True, False), r"\(n, 2\)"),
    ],
)
def test_front_refuses_another_shape(points, maximize, shape):
    with pytest.raises(ValueError, match=f"points must have shape {shape}.*got shape"):
        pareto_front(points, maximize)


def test_a_score_is_maximised_and_its_costs_are_minimised():
    points = [(0.5, 10, 3), (0.5, 10, 2), (0.4, 9, 9), (0.4, 9, 8), (0.3, 11, 1), (0.3, 11, 4)]
    assert pareto_front(points).tolist() == [False, True, False, True, True, False]


@given(data=st.data(), count=st.integers(1, 12), num_costs=st.integers(1, 2))
def test_the_probability_is_the_share_of_fronts(data, count, num_costs):
    ties = st.integers(0, 3).map(float)
    draws = data.draw(hnp.arrays(np.float64, (5, count), elements=ties))
    costs = data.draw(hnp.arrays(np.float64, (count, num_costs), elements=ties))
    fronts = [pareto_front(np.column_stack([draw, costs])) for draw in draws]
    expected = np.mean(fronts, axis=0).tolist()
    assert frontier_probability(draws, costs).tolist() == expected
    if num_costs == 1:
        assert frontier_probability(draws, costs[:, 0]).tolist() == expected


def test_a_probability_is_of_one_or_two_costs():
    with pytest.raises(ValueError, match=r"got shapes \(3, 4\) and \(4, 3\)"):
        frontier_probability(np.zeros((3, 4)), np.zeros((4, 3)))


@pytest.mark.parametrize("slope", [1.0, -1.0])
def test_a_hundred_thousand_points(slope):
    # All on the frontier for slope 1, one for slope -1.
    x = np.linspace(0, 1, 100_000)
    front = pareto_front(np.stack([x, slope * x], axis=1))
    area = hypervolume(np.stack([x, slope * x], axis=1), (0.0, 1.0))
    assert front.sum() == (len(x) if slope > 0 else 1)
    assert area == pytest.approx(0.5 if slope > 0 else 2.0, abs=1e-4)


@given(
    points=hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 20), st.just(2)),
        elements=st.floats(-3, 3, width=16),
    ),
    reference=st.tuples(st.floats(-2, 2, width=16), st.floats(-2, 2, width=16)),
)
def test_hypervolume_is_optunas(points, reference):
    inside = points[(points < reference).all(axis=1)]
    expected = compute_hypervolume(inside, np.array(reference)) if len(inside) else 0.0
    assert hypervolume(points, reference, (False, False)) == pytest.approx(expected, abs=1e-9)
    flipped = points * [-1, 1]
    assert hypervolume(flipped, (-reference[0], reference[1])) == pytest.approx(expected, abs=1e-9)


def test_hypervolume_by_hand():
    # Two overlapping rectangles: 0.5 x 10 and 0.7 x 5, overlap 0.5 x 5.
    assert hypervolume([(0.5, 10), (0.7, 15)], (0.0, 20.0)) == pytest.approx(5 + 3.5 - 2.5)
    assert hypervolume([(math.nan, 1), (0.5, 30)], (0.0, 20.0)) == 0
    assert hypervolume([], (0.0, 20.0)) == 0


def by_inclusion_and_exclusion(points, corner):
    """Volume of a union of boxes: of one each, less of two in common, and so on."""
    volume = 0.0
    for count in range(1, len(points) + 1):
        for some in combinations(points, count):
            sides = np.maximum(0, corner - np.max(some, axis=0))
            volume -= (-1) ** count * np.prod(sides)
    return volume


@given(data=st.data(), objectives=st.integers(2, 4), count=st.integers(0, 6))
def test_hypervolume_is_that_of_a_union_of_boxes(data, objectives, count):
    points = data.draw(
        hnp.arrays(np.float64, (count, objectives), elements=st.integers(0, 5).map(float))
    )
    corner = np.array(data.draw(st.tuples(*[st.integers(1, 5)] * objectives)), np.float64)
    expected = by_inclusion_and_exclusion(points, corner)
    found = hypervolume(points, corner, [False] * objectives)
    assert found == pytest.approx(expected, abs=1e-9)
    turned = [-1] + [1] * (objectives - 1)  # a score and its costs
    assert hypervolume(points * turned, corner * turned) == pytest.approx(expected, abs=1e-9)


def test_a_volume_of_many_points_is_optunas_and_what_darts_hit():
    rng = np.random.default_rng(0)
    points = rng.random((200, 3))
    found = hypervolume(points, (0.0, 0.9, 0.8))
    inside = points[(points[:, 1] < 0.9) & (points[:, 2] < 0.8)] * (-1, 1, 1)
    assert found == pytest.approx(compute_hypervolume(inside, np.array([0.0, 0.9, 0.8])))
    darts = rng.random((20_000, 3)) * (-1, 0.9, 0.8)
    hit = (inside[None] <= darts[:, None]).all(axis=2).any(axis=1).mean()
    assert found == pytest.approx(hit * 0.9 * 0.8, abs=0.01)


def test_hypervolume_refuses_other_than_finite_objectives_as_many_as_the_reference_has():
    with pytest.raises(ValueError, match="2 at least, got 3 and 2"):
        hypervolume([[1, 2, 3]], (0, 0))
    with pytest.raises(ValueError, match="2 at least, got 1 and 1"):
        hypervolume([[1]], (0,))
    with pytest.raises(ValueError, match="must be finite, got"):
        hypervolume([[1, 2]], (0, math.inf))


@settings(deadline=None)
@given(
    points=hnp.arrays(
        np.float64, st.tuples(st.integers(0, 25), st.integers(2, 3)), elements=coordinates
    ),
    worst=st.integers(1, 6),
)
def test_the_curve_is_the_hypervolume_of_each_beginning(points, worst):
    points[np.isinf(points)] = -1.0
    num = points.shape[1]
    reference, maximize = [float(worst)] * num, [False] * num
    found = hypervolume_curve(points, reference, maximize)
    expected = [
        hypervolume(points[: count + 1], reference, maximize) for count in range(len(points))
    ]
    assert found.tolist() == pytest.approx(expected)


def test_the_curve_of_many_points_ends_at_their_hypervolume():
    rng = np.random.default_rng(0)
    points = np.stack([rng.random(20_000), rng.random(20_000)], axis=1)
    curve = hypervolume_curve(points, (0.0, 1.0))
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == pytest.approx(hypervolume(points, (0.0, 1.0)))
    assert curve[-1] == pytest.approx(compute_hypervolume(points * (-1, 1), np.array([0.0, 1.0])))
