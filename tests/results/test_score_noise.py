"""The noise of scores, and what the true ones may be."""

import math

import numpy as np
import pytest

from hrvit_nas.results.score_noise import pooled_noise, score_draws, variance_components


def test_noise_is_pooled_from_an_incomplete_table():
    rng = np.random.default_rng(0)
    effects = {0: 0.0, 1: 0.5, 2: -0.5}
    scores = [
        (f"a{arch}", seed, arch + effects[seed] + 0.1 * rng.standard_normal())
        for arch in range(200)
        for seed in ((0,), (0, 1), (1, 2), (0, 1, 2))[arch % 4]
    ]
    found, noise, free = pooled_noise(scores)
    assert noise == pytest.approx(0.1, rel=0.1)
    assert free == len(scores) - 200 - 2
    assert found[1] - found[0] == pytest.approx(0.5, abs=0.03)
    assert found[2] - found[0] == pytest.approx(-0.5, abs=0.03)
    table = rng.standard_normal((6, 3))
    listed = [(str(a), s, table[a, s]) for a in range(6) for s in range(3)]
    assert pooled_noise(listed)[1] == pytest.approx(variance_components(table).seeds.value)
    alone = pooled_noise([("a", 0, 0.1), ("b", 0, 0.2)])
    assert math.isnan(alone[1])
    assert alone[2] == 0


@pytest.mark.parametrize("cost", [3e7, 0.1, 7.0])
@pytest.mark.parametrize("num", [4, 10, 33])
def test_architectures_of_one_cost_have_no_line(num, cost):
    rng = np.random.default_rng(0)
    means = rng.standard_normal(num)
    draws = score_draws(means, np.ones(num), np.full(num, cost), 0.1)
    assert np.isfinite(draws).all()
    np.testing.assert_allclose(draws.mean(0), means, atol=0.1)


def test_draws_are_near_the_means_where_seeds_are_many_and_drawn_in_where_they_are_few():
    costs = np.geomspace(1, 10, 20)
    means = np.where(np.arange(20) == 7, 0.5, 0.2) + 0.001 * np.arange(20)
    surely, hardly = (
        score_draws(means, np.full(20, n), costs, noise).mean(0)[7]
        for n, noise in ((100, 0.001), (1, 0.5))
    )
    assert surely == pytest.approx(means[7], abs=0.001)
    assert hardly < 0.4


def test_with_two_costs_a_mean_is_drawn_towards_a_plane():
    rng = np.random.default_rng(0)
    macs, params = np.exp(rng.random((2, 40)))
    plane = 0.3 + 0.1 * np.log(macs) - 0.2 * np.log(params)
    means = plane + np.where(np.arange(40) == 7, 0.2, 0.01 * rng.standard_normal(40))
    both = score_draws(means, np.ones(40), np.column_stack([macs, params]), 0.05).mean(0)
    one = score_draws(means, np.ones(40), macs, 0.05).mean(0)
    others = np.arange(40) != 7
    assert np.abs(both - plane)[others].mean() < 0.5 * np.abs(one - plane)[others].mean()
    assert plane[7] < both[7] < means[7]


def test_a_cost_that_another_tells_changes_nothing():
    rng = np.random.default_rng(0)
    macs = np.exp(rng.random(20))
    means = 0.1 * np.log(macs) + 0.05 * rng.standard_normal(20)
    alone = score_draws(means, np.ones(20), macs, 0.05)
    for other in (np.full(20, 7.0), 3 * macs**2):
        both = score_draws(means, np.ones(20), np.column_stack([macs, other]), 0.05)
        assert both.tolist() == alone.tolist()


def test_a_plane_needs_one_architecture_more():
    costs = np.arange(1.0, 9.0).reshape(4, 2)
    with pytest.raises(ValueError, match=r"of at least 5, got shapes \(4,\), \(4,\) and \(4, 2\)"):
        score_draws([0.1] * 4, [1] * 4, costs, 0.1)
