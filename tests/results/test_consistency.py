"""Statistics of ranking consistency against SciPy, NumPy, brute force and simulations."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from hrvit_nas.results import ranking_consistency
from hrvit_nas.results.predictors import (
    predictor_regret,
    predictor_residual_tau,
    predictor_rho,
    predictor_tau,
    predictor_tau_gain,
)
from hrvit_nas.results.ranking import seed_tau

STUDIES = 80
# Of 80 intervals of 95%, fewer than 69 hold the truth once in some 1000 times.
FEWEST = 69


def study(rng, *, arches=12, seeds=2, slope=0.0, shared=0.0, noise=0.01):
    """Inherited and stand-alone scores that share size (by slope) and quality, and costs."""
    costs = np.exp(rng.uniform(math.log(1e8), math.log(1e9), arches))
    common = slope * np.log(costs) + shared * rng.standard_normal(arches)
    inherited = 0.5 * common + noise * rng.standard_normal(arches)
    return inherited, common[:, None] + noise * rng.standard_normal((arches, seeds)), costs


def holds(estimate, truth):
    return estimate.low <= truth <= estimate.high


def brute_regret(inherited, means, k):
    """The least that any choice of k loses that no ranking by inherited score forbids, at worst."""
    choices = [
        chosen
        for chosen in combinations(range(len(means)), k)
        if min(inherited[list(chosen)]) >= max(np.delete(inherited, chosen))
    ]
    return max(means) - min(max(means[i] for i in chosen) for chosen in choices)


@pytest.fixture(scope="module")
def sized():
    """A study in which size makes the scores, and its ranking consistency."""
    arrays = study(np.random.default_rng(0), arches=16, seeds=3, slope=0.05)
    return arrays, ranking_consistency(*arrays, seeds=(3, 5, 8))


def test_correlations_are_scipys(sized):
    (inherited, scores, costs), found = sized
    columns = scores.T
    taus = [stats.kendalltau(inherited, column).statistic for column in columns]
    rhos = [stats.spearmanr(inherited, column).statistic for column in columns]
    sizes = [stats.kendalltau(costs, column).statistic for column in columns]
    ceilings = [stats.kendalltau(a, b).statistic for a, b in combinations(columns, 2)]
    assert found.tau.value == pytest.approx(np.mean(taus))
    assert found.rho.value == pytest.approx(np.mean(rhos))
    assert found.size_tau.value == pytest.approx(np.mean(sizes))
    assert found.ceiling.value == pytest.approx(np.mean(ceilings))
    mean = stats.kendalltau(inherited, scores.mean(1)).statistic
    assert found.mean_tau.value == pytest.approx(mean)
    assert found.size_gain.value == pytest.approx(np.mean(taus) - np.mean(sizes))
    assert found.ceiling_gain.value == pytest.approx(np.mean(taus) - np.mean(ceilings))


def test_what_it_was_computed_from_stands_beside_it(sized):
    (_, _, costs), found = sized
    assert (found.criterion, found.num_architectures, found.seeds) == ("miou", 16, (3, 5, 8))
    assert found.macs == (int(costs.min()), int(costs.max()))


@pytest.mark.parametrize(("arches", "degree"), [(15, 1), (16, 2)])
def test_residuals_are_those_of_a_polynomial(arches, degree):
    inherited, scores, costs = study(np.random.default_rng(1), arches=arches, slope=0.05)

    def rest(values):
        logs = np.log(costs / 1e8)
        return values - np.polyval(np.polyfit(logs, values, degree), logs)

    expected = [stats.kendalltau(rest(inherited), rest(column)).statistic for column in scores.T]
    for scale in (1.0, 1e-12, 1e9):
        found = predictor_residual_tau(scale * inherited, scores, costs)
        assert found.value == pytest.approx(np.mean(expected))


whole = st.integers(-3, 3).map(float)
tables = st.integers(6, 9).flatmap(lambda n: hnp.arrays(np.float64, (n, 3), elements=whole))


@settings(max_examples=30, deadline=None)
@given(tables, st.sampled_from([1, 3, 5]))
def test_ties_are_dealt_with(table, k):
    inherited, scores = table[:, 0], table[:, 1:]
    with np.errstate(all="ignore"):
        taus = [stats.kendalltau(inherited, column).statistic for column in scores.T]
    assert predictor_tau(inherited, scores).value == pytest.approx(np.mean(taus), nan_ok=True)
    if np.ptp(table, axis=0).all():
        rhos = [stats.spearmanr(inherited, column).statistic for column in scores.T]
        assert predictor_rho(inherited, scores).value == pytest.approx(np.mean(rhos))
    if np.ptp(inherited):
        expected = brute_regret(inherited, scores.mean(1), k)
        assert predictor_regret(inherited, scores, k).value == pytest.approx(expected)


def test_regret_by_hand():
    scores = np.array([0.1, 0.5, 0.3, 0.4, 0.2, 0.0])[:, None] + [0.0, 0.02]
    found = ranking_consistency(
        [6.0, 1.0, 4.0, 3.0, 5.0, 2.0], scores, np.arange(1.0, 7.0), seeds=(0, 1)
    )
    # Chosen first is 0.1, then 0.2 and 0.3, then all but the best.
    assert [found.regret[k].value for k in (1, 3, 5)] == pytest.approx([0.4, 0.2, 0.1])
    assert found.regret[1].low <= 0.4 <= found.regret[1].high


def test_a_copy_of_an_architecture_is_not_trained_twice():
    # Whatever is resampled, the two best distinct ones by inherited score hold the best.
    inherited, means = np.arange(6.0), np.array([0.0, 0.1, 0.2, 0.3, 0.5, 0.4])
    found = predictor_regret(inherited, means[:, None] + [0.0, 0.0], 2)
    assert found.value == 0
    assert math.isnan(found.high)


@pytest.mark.parametrize("measure", [predictor_tau, predictor_rho, predictor_residual_tau])
def test_intervals_of_unrelated_scores_hold_0_as_often_as_they_say(measure):
    rng = np.random.default_rng(2)
    studies = (study(rng) for _ in range(STUDIES))
    costs_too = measure is predictor_residual_tau
    hit = sum(holds(measure(x, y, c) if costs_too else measure(x, y), 0) for x, y, c in studies)
    assert hit >= FEWEST


def test_bigger_is_better_earns_nothing_beyond_size(sized):
    _, found = sized
    assert found.ranks
    assert found.tau.value > 0.6
    assert not found.ranks_beyond_size
    assert holds(found.residual_tau, 0)
    assert holds(found.residual_ceiling, 0)
    assert found.size_tau.value >= found.tau.value
    assert not found.size_gain.low > 0
    rng = np.random.default_rng(3)
    studies = [study(rng, slope=0.05) for _ in range(STUDIES)]
    assert sum(holds(predictor_residual_tau(*arrays), 0) for arrays in studies) >= FEWEST


def test_quality_that_both_share_ranks_beyond_size():
    found = ranking_consistency(
        *study(np.random.default_rng(4), arches=16, slope=0.02, shared=0.05), seeds=(0, 1)
    )
    assert found.ranks
    assert found.ranks_beyond_size
    assert found.size_gain.low > 0


def test_gain_over_itself_is_nothing_and_over_another_seed_is_that_over_the_ceiling():
    inherited, scores, _ = study(np.random.default_rng(5), shared=0.02)
    itself = predictor_tau_gain(inherited, scores, inherited)
    assert itself.value == 0
    assert math.isnan(itself.low)
    ceiling = predictor_tau_gain(inherited, scores)
    expected = predictor_tau(inherited, scores).value - seed_tau(scores).value
    assert ceiling.value == pytest.approx(expected)


@pytest.mark.parametrize("constant", [0.0, 0.1])
def test_a_constant_inherited_score_ranks_nothing(constant):
    _, scores, costs = study(np.random.default_rng(6), arches=8, slope=0.05)
    found = ranking_consistency(np.full(8, constant), scores, costs, seeds=(0, 1))
    undefined = (found.tau, found.mean_tau, found.rho, found.residual_tau, found.size_gain)
    for estimate in (*undefined, found.ceiling_gain, *found.regret.values()):
        assert math.isnan(estimate.value)
        assert math.isnan(estimate.low)
    assert not found.ranks
    assert not found.ranks_beyond_size
    assert found.ceiling.value > 0
    assert found.size_tau.value > 0


def test_same_seed_same_intervals():
    inherited, scores, costs = study(np.random.default_rng(7), arches=6)
    first, again, other = (
        ranking_consistency(inherited, scores, costs, seeds=(0, 1), confidence=0.8, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first.tau != other.tau
    assert first.tau.confidence == 0.8


ROWS = np.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scores": ROWS[:5]}, r"at least 6 architectures and 2 seeds, got shape \(5, 2\)"),
        ({"scores": ROWS[:, :1]}, r"at least 6 architectures and 2 seeds, got shape \(6, 1\)"),
        ({"scores": ROWS[:, 0]}, r"at least 6 architectures and 2 seeds, got shape \(6,\)"),
        ({"scores": np.where(ROWS == 3, math.nan, ROWS)}, "scores must be finite"),
        ({"inherited": ROWS[:5, 0]}, r"one value for each of 6 architectures, got shape \(5,\)"),
        ({"inherited": [1, 2, 3, 4, 5, math.inf]}, "predictor must be finite, got .*inf"),
        ({"costs": np.arange(6.0)}, "costs must be 6 positive numbers"),
        ({"costs": [1, 2, 3, 4, 5, math.inf]}, "costs must be 6 positive numbers"),
        ({"costs": [1.0] * 5}, "costs must be 6 positive numbers"),
        ({"seeds": (0, 1, 2)}, r"seeds must be 2 different numbers.*got \[0, 1, 2\]"),
        ({"seeds": (1, 1)}, r"seeds must be 2 different numbers.*got \[1, 1\]"),
    ],
)
def test_what_cannot_be_compared_is_said(changed, message):
    sound = {"inherited": ROWS[:, 0], "scores": ROWS, "costs": ROWS[:, 1], "seeds": (0, 1)}
    with pytest.raises(ValueError, match=message):
        ranking_consistency(**{**sound, **changed})


@pytest.mark.parametrize("k", [0, 6])
def test_a_choice_leaves_something_out(k):
    with pytest.raises(ValueError, match=f"k must be from 1 to 5, one less than all, got {k}"):
        predictor_regret(ROWS[:, 0], ROWS, k)
