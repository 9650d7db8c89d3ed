"""Variance components, rank correlations and drawn scores, against simulations and SciPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from hrvit_nas.results.frontier import frontier_probability, pareto_front
from hrvit_nas.results.ranking import (
    cross_residual_tau,
    cross_tau,
    cross_tau_difference,
    kendall_tau,
    residual_tau,
    seed_tau,
    tau_interval,
)
from hrvit_nas.results.score_noise import (
    pooled_noise,
    scatter_p_value,
    score_draws,
    variance_components,
)

BETWEEN, WITHIN, SEED = 0.02, 0.016, 0.03
CORRELATION = BETWEEN**2 / (BETWEEN**2 + WITHIN**2)
TAU = 2 / math.pi * math.asin(CORRELATION)
STUDIES = 120
# Of 120 intervals of 95%, fewer than 106 hold the truth once in some 2000 times.
FEWEST = 106


def simulated(rng, *, arches=24, seeds=2, slope=0.0):
    """Scores of known spreads, and costs over a factor of ten."""
    costs = np.exp(rng.uniform(0, math.log(10), arches))
    signal = slope * np.log(costs) + BETWEEN * rng.standard_normal(arches)
    noise = WITHIN * rng.standard_normal((arches, seeds))
    return signal[:, None] + SEED * rng.standard_normal(seeds) + noise, costs, signal


def covered(measure):
    """Of simulated studies, how many intervals hold the truth."""
    rng = np.random.default_rng(0)
    return sum(measure(rng) for _ in range(STUDIES))


def holds(estimate, truth):
    return estimate.low <= truth <= estimate.high


@pytest.mark.parametrize(
    ("name", "truth"),
    [("architectures", BETWEEN), ("seeds", WITHIN), ("reliability", CORRELATION)],
)
@pytest.mark.parametrize("seeds", [2, 4])
def test_intervals_of_spreads_hold_the_truth_as_often_as_they_say(name, truth, seeds):
    def measure(rng):
        scores, *_ = simulated(rng, seeds=seeds)
        return holds(getattr(variance_components(scores), name), truth)

    assert FEWEST <= covered(measure) <= STUDIES


@pytest.mark.parametrize("arches", [6, 24])
def test_intervals_of_tau_hold_the_truth_as_often_as_they_say(arches):
    def measure(rng):
        return holds(seed_tau(simulated(rng, arches=arches)[0]), TAU)

    assert covered(measure) >= FEWEST


def test_what_cost_explains_earns_nothing_in_the_residual_tau():
    def measure(rng):
        scores, costs, _ = simulated(rng, slope=0.1)
        return holds(residual_tau(scores, costs), TAU)

    assert covered(measure) >= FEWEST
    rng = np.random.default_rng(1)
    studies = [simulated(rng, slope=0.1) for _ in range(20)]
    assert np.mean([seed_tau(scores).value for scores, *_ in studies]) > TAU + 0.3
    residual = np.mean([residual_tau(scores, costs).value for scores, costs, _ in studies])
    assert residual == pytest.approx(TAU, abs=0.1)
    costs = studies[0][1]
    assert math.isnan(residual_tau(np.log(costs)[:, None] ** [1.0, 2.0], costs).value)
    on_the_line = np.log(costs)[:, None] * [1.0, 2.0]
    assert math.isnan(residual_tau(on_the_line, costs).value)


def test_between_two_kinds_of_score_cost_earns_nothing_either():
    rng = np.random.default_rng(2)
    scores, costs, signal = simulated(rng, slope=0.1)
    assert cross_residual_tau(scores, scores, costs) == residual_tau(scores, costs)
    # Another kind of score that knows nothing but cost, and one that knows the rest as well.
    found = {name: [] for name in ("cost", "cost, raw", "all")}
    for _ in range(40):
        scores, costs, signal = simulated(rng, slope=0.1)
        noise = 0.01 * rng.standard_normal(scores.shape)
        blind = np.log(costs)[:, None] + noise
        found["cost"].append(cross_residual_tau(blind, scores, costs).value)
        found["cost, raw"].append(cross_tau(blind, scores).value)
        found["all"].append(cross_residual_tau(signal[:, None] + noise, scores, costs).value)
    means = {name: np.mean(values) for name, values in found.items()}
    assert abs(means["cost"]) < 0.1 < 0.5 < means["cost, raw"]
    assert means["all"] > 0.3
    with pytest.raises(ValueError, match="one shape"):
        cross_residual_tau(scores, scores[:, :1].repeat(3, 1), costs)


def test_a_worked_table():
    # Rows 1, 2 and 3 apart by 2; the second column is the first plus 10, with +-1 of noise.
    table = np.array([[0.0, 11.0], [2.0, 11.0], [4.0, 14.0]])
    found = variance_components(table)
    between = 2 * np.var([5.5, 6.5, 9.0], ddof=1)
    # Differences of the columns: 11, 9, 10, of variance 1; half of it is the noise of one score.
    assert found.seeds.value == pytest.approx(math.sqrt(0.5))
    assert found.architectures.value == pytest.approx(math.sqrt((between - 0.5) / 2))
    assert found.reliability_of_mean(10**9) == pytest.approx(1)
    assert found.reliability_of_mean(1) == pytest.approx(found.reliability.value)
    # Tied in the second seed: one pair concordant less, by Kendall's tau-b.
    assert seed_tau(table).value == pytest.approx(2 / math.sqrt(3 * 2))


def test_scores_without_noise_or_without_signal():
    signal = np.arange(5.0)
    sure = variance_components(np.column_stack([signal, signal + 3]))
    assert sure.seeds.value == pytest.approx(0, abs=1e-9)
    assert sure.reliability.value == pytest.approx(1)
    alike = variance_components(np.ones((5, 2)))
    assert (alike.architectures.value, alike.reliability.value) == (0, 0)
    assert math.isnan(seed_tau(np.ones((5, 2))).value)
    assert math.isnan(seed_tau(np.ones((5, 2))).low)


def test_scores_that_saturate_with_size_rank_nothing_else():
    rng = np.random.default_rng(0)
    taus = []
    for _ in range(40):
        _, costs, _ = simulated(rng)
        scores = 0.05 * (1 - np.exp(-np.log(costs)))[:, None] + 0.006 * rng.standard_normal((24, 2))
        taus.append(residual_tau(scores, costs).value)
    assert np.mean(taus) == pytest.approx(0, abs=0.1)


def test_a_perfect_order_of_a_few_has_no_interval():
    signal = np.arange(6.0)
    found = seed_tau(np.column_stack([signal, signal]))
    assert found.value == 1
    assert found.describe() == "1.00 (interval unknown)"


rows = st.integers(3, 12).flatmap(
    lambda n: hnp.arrays(np.float64, (n, 3), elements=st.integers(-3, 3).map(float))
)


@given(rows)
def test_taus_are_scipys_with_ties(table):
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = [stats.kendalltau(table[:, a], table[:, b]).statistic for a, b in pairs]
    np.testing.assert_allclose(seed_tau(table).value, np.mean(expected), atol=1e-12)
    np.testing.assert_allclose(kendall_tau(table[:, 0], table[:, 1]), expected[0], atol=1e-12)
    np.testing.assert_allclose(
        tau_interval(table[:, 0], table[:, 1]).value, expected[0], atol=1e-12
    )
    np.testing.assert_allclose(cross_tau(table, table).value, np.mean(expected), atol=1e-12)


def test_a_difference_of_two_taus_is_paired_by_architecture():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(30, 1)) + 0.3 * rng.normal(size=(30, 2))
    close, far = (truth + noise * rng.normal(size=(30, 2)) for noise in (0.1, 1.5))
    found = cross_tau_difference(close, far, truth)
    assert found.value == pytest.approx(
        cross_tau(close, truth).value - cross_tau(far, truth).value, abs=1e-12
    )
    assert 0 < found.low < found.value < found.high
    back = cross_tau_difference(far, close, truth)
    assert (back.value, back.low) == pytest.approx((-found.value, -found.high), abs=0.03)
    same = cross_tau_difference(far, far, truth)
    assert (same.value, math.isnan(same.low)) == (0, True)
    near = cross_tau_difference(far, far + 0.1 * rng.normal(size=(30, 2)), truth)
    one, other = (cross_tau(scores, truth) for scores in (far, close))
    assert near.high - near.low < min(one.high - one.low, 1) / 2, "which two intervals do not see"
    assert other.value > one.value


def test_cross_tau_leaves_out_what_two_scores_of_one_run_share():
    rng = np.random.default_rng(0)
    luck = rng.standard_normal((100, 2))  # nothing but noise, shared by both scores of a run
    assert kendall_tau(luck[:, 0], luck[:, 0]) == 1
    assert abs(cross_tau(luck, luck).value) < 0.2


@pytest.mark.parametrize("num_costs", [1, 2])
def test_noise_alone_is_taken_for_scatter_as_often_as_the_test_says(num_costs):
    rng = np.random.default_rng(0)
    found, scattered = [], []
    for _ in range(400):
        costs = np.exp(rng.random((9, num_costs)))
        seeds = rng.integers(1, 4, 9)
        line = 0.3 + np.log(costs) @ [0.1, -0.05][:num_costs]
        means = line + 0.02 / np.sqrt(seeds) * rng.standard_normal(9)
        found.append(scatter_p_value(means, seeds, costs, 0.02))
        scattered.append(scatter_p_value(means + 0.06 * rng.random(9), seeds, costs, 0.02))
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(scattered) < 0.05) > 0.3


@pytest.mark.parametrize("slope", [0.0, 0.02])
def test_probabilities_of_the_frontier_are_as_often_right_as_they_say(slope):
    rng = np.random.default_rng(0)
    said, was = [], []
    for _ in range(150):
        scores, costs, signal = simulated(rng, seeds=3, slope=slope)
        num_seeds = rng.integers(1, 4, len(costs))
        listed = [(a, s, scores[a, s]) for a, n in enumerate(num_seeds) for s in range(n)]
        effects, _, _ = pooled_noise(listed)
        scores -= [effects.get(seed, 0.0) for seed in range(3)]
        means = [row[:count].mean() for row, count in zip(scores, num_seeds, strict=True)]
        draws = score_draws(means, num_seeds, costs, WITHIN, draws=600)
        said.extend(frontier_probability(draws, costs))
        was.extend(pareto_front(np.column_stack([signal, costs])))
    said, was = np.array(said), np.array(was)
    for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 0.9), (0.9, 1.01)):
        bin_ = (said >= low) & (said < high)
        error = math.sqrt(said[bin_].mean() * (1 - said[bin_].mean()) / bin_.sum())
        assert abs(was[bin_].mean() - said[bin_].mean()) < 4 * error + 0.02


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: variance_components([[1.0, 2.0]]), "at least 2 of each, got shape"),
        (lambda: seed_tau([[1.0, math.nan], [1.0, 2.0]]), "scores must be finite"),
        (lambda: kendall_tau([1.0], [2.0]), "at least 2 values"),
        (lambda: residual_tau(np.eye(3), [1.0, 2.0, 0.0]), "costs must be 3 positive numbers"),
        (lambda: cross_tau(np.eye(3), np.eye(4)), "both scores must have one shape"),
        (
            lambda: cross_tau_difference(np.eye(3), np.eye(4), np.eye(3)),
            "both scores must have one shape",
        ),
        (lambda: score_draws([1.0] * 3, [1] * 3, [1.0] * 3, 1.0), "of at least 4"),
        (lambda: score_draws([1.0] * 4, [1] * 4, [1.0] * 4, 0.0), "noise positive; got noise 0"),
        (lambda: frontier_probability(np.ones((0, 2)), [1, 2]), "with a draw at least"),
    ],
)
def test_what_cannot_be_ranked_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()
