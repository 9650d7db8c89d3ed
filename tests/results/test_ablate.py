"""Effects against numpy's least squares, and what their intervals promise, on simulated scores."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from hrvit_nas.results import ArmCost, HistoryPoint, ablate

NAMES = ("a", "b", "c", "d")


def arm(number, macs=1000):
    return ArmCost(arch_id=f"{number:012x}", macs=macs, params=10, peak_activation_bytes=100)


BASE = arm(0)
CHANGES = [(name, arm(i + 1), None) for i, name in enumerate(NAMES)]


@pytest.fixture
def records(record):
    """Records of a table of scores (architectures by seeds); NaN stands for a failed trial."""

    def make(table):
        return [
            record(
                arch_id=f"{row:012x}",
                seed=seed,
                purpose="ablation",
                **({"state": "failed"} if math.isnan(score) else {"miou": float(score)}),
            )
            for row, scores in enumerate(table)
            for seed, score in enumerate(scores)
        ]

    return make


def simulated(rng, effects, noise=0.01, seeds=3):
    """Scores of the base and each change: architecture + seed + noise."""
    arches = np.array([0.5, *(0.5 + effect for effect in effects)])
    return arches[:, None] + rng.normal(0, 0.05, seeds) + rng.normal(0, noise, (len(arches), seeds))


def test_an_effect_is_the_mean_of_paired_differences_with_the_error_of_two_way_layout(records):
    table = simulated(np.random.default_rng(0), [0.1, 0, -0.1, 0.02])
    found = ablate(BASE, CHANGES, records(table))
    num_arches, num_seeds = table.shape
    residual = table - table.mean(1, keepdims=True) - table.mean(0, keepdims=True) + table.mean()
    free = (num_arches - 1) * (num_seeds - 1)
    noise = math.sqrt((residual**2).sum() / free)
    assert found.noise == pytest.approx(noise)
    assert found.free == free
    for row, scores in zip(found.rows, table[1:], strict=True):
        mean = (scores - table[0]).mean()
        error = noise * math.sqrt(2 / num_seeds)
        low, high = stats.t.interval(0.95, free, mean, error)
        assert row.effect.interval.mean == pytest.approx(mean)
        assert (row.effect.interval.low, row.effect.interval.high) == pytest.approx((low, high))
        low, high = stats.t.interval(1 - 0.05 / len(NAMES), free, mean, error)
        assert (row.effect.adjusted.low, row.effect.adjusted.high) == pytest.approx((low, high))


def test_adjusted_intervals_hold_together_and_the_others_one_at_a_time(records):
    rng = np.random.default_rng(1)
    effects = [0.0, 0.01, -0.02, 0.0]
    together, alone = 0, 0
    runs = 400
    for _ in range(runs):
        found = ablate(BASE, CHANGES, records(simulated(rng, effects)))
        holds = [
            (
                r.effect.interval.low <= e <= r.effect.interval.high,
                r.effect.adjusted.low <= e <= r.effect.adjusted.high,
            )
            for r, e in zip(found.rows, effects, strict=True)
        ]
        alone += sum(one for one, _ in holds)
        together += all(all_ for _, all_ in holds)
    assert alone / runs / len(effects) == pytest.approx(0.95, abs=0.02)
    assert 0.935 <= together / runs <= 1.0


def test_nothing_is_found_where_nothing_is(records):
    rng = np.random.default_rng(2)
    runs = 200
    decided = sum(
        any(row.effect.verdict != "undecided" for row in ablate(BASE, CHANGES, records(t)).rows)
        for t in (simulated(rng, [0.0] * 4) for _ in range(runs))
    )
    assert decided / runs <= 0.08


def test_a_large_effect_is_found_and_named_by_its_direction(records):
    table = simulated(np.random.default_rng(3), [0.2, -0.2, 0.0, 0.0])
    verdicts = [row.effect.verdict for row in ablate(BASE, CHANGES, records(table)).rows]
    assert verdicts[:2] == ["higher", "lower"]


def test_differences_below_what_is_detectable_are_undecided(records):
    found = ablate(BASE, CHANGES, records(simulated(np.random.default_rng(4), [0.1, 0.02, 0, 0])))
    for row in found.rows:
        decided = abs(row.effect.interval.mean) > found.detectable
        assert decided == (row.effect.verdict != "undecided")


def test_a_control_takes_off_what_size_gives(records):
    # The change loses 0.2, and so does the base at the same cost: the part itself does nothing.
    noise = np.random.default_rng(5).normal(0, 0.001, (3, 3))
    table = np.array([[0.5] * 3, [0.3] * 3, [0.3] * 3]) + noise
    found = ablate(BASE, [("part", arm(1, 500), arm(2, 500))], records(table))
    (row,) = found.rows
    assert row.effect.verdict == "lower"
    assert row.beside_control.verdict == "undecided"
    assert row.control.macs == 500
    assert found.num_comparisons == 2


def test_without_a_control_the_base_is_one(records):
    (row,) = ablate(BASE, CHANGES[:1], records(simulated(np.random.default_rng(6), [0.1]))).rows
    assert row.control is None
    assert row.beside_control == row.effect


def test_more_comparisons_widen_the_adjusted_interval_alone(records):
    table = simulated(np.random.default_rng(7), [0.1] * 4)
    few = ablate(BASE, CHANGES, records(table)).rows[0].effect
    controls = [(name, changed, arm(9)) for name, changed, _ in CHANGES]
    many = ablate(BASE, controls, records(table)).rows[0].effect
    assert many.interval == few.interval
    assert many.adjusted.high > few.adjusted.high


def test_pairs_are_of_common_seeds(records):
    table = simulated(np.random.default_rng(8), [0.1] * 4, seeds=4)
    table[0, 0] = table[1, 3] = math.nan
    found = ablate(BASE, CHANGES, records(table))
    effect = found.rows[0].effect
    assert effect.interval.num_values == 2
    assert effect.interval.mean == pytest.approx((table[1, 1:3] - table[0, 1:3]).mean())
    assert found.num_failed == 2


def test_an_unfinished_run_has_effects_where_there_are_pairs(records):
    table = np.full((5, 3), math.nan)
    table[:2, 0] = 0.3, 0.4
    found = ablate(BASE, CHANGES, [r for r in records(table) if r.state == "complete"])
    assert found.rows[0].effect.interval.mean == pytest.approx(0.1)
    assert found.rows[0].effect.verdict == "undecided"
    assert not found.rows[0].effect.interval.known
    assert found.rows[1].effect is None
    assert math.isnan(found.detectable)


def test_the_order_of_records_does_not_matter(records):
    rows = records(simulated(np.random.default_rng(9), [0.1] * 4))
    assert ablate(BASE, CHANGES, rows) == ablate(BASE, CHANGES, rows[::-1])


def test_cross_entropy_is_shown_as_it_is(records):
    rows = [
        r.model_copy(
            update={
                "history": (HistoryPoint(step=1, miou=0.5, cross_entropy=1.0 + int(r.arch_id, 16)),)
            }
        )
        for r in records(simulated(np.random.default_rng(10), [0.1] * 4))
    ]
    found = ablate(BASE, CHANGES, rows, "cross_entropy")
    means = [row.effect.interval.mean for row in found.rows]
    assert means == pytest.approx([1, 2, 3, 4])
    assert all(second > first for first, second in pairwise(means))


@pytest.mark.parametrize("confidence", [0, 1, -0.1, 2])
def test_a_confidence_that_is_none_is_refused(confidence):
    with pytest.raises(ValueError, match="between 0 and 1, both excluded, got"):
        ablate(BASE, CHANGES, [], confidence=confidence)
