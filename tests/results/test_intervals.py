"""Means, intervals and paired differences against tables and SciPy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hrvit_nas.results import format_interval, mean_interval, paired_difference

scores = st.lists(st.floats(0, 1), min_size=2, max_size=8)


def test_interval_from_the_table_of_student():
    # Mean 2, sample deviation 1, t(0.975, 2) = 4.302653 (printed tables).
    interval = mean_interval([1.0, 2.0, 3.0])
    half = 4.302653 / math.sqrt(3)
    assert interval.mean == pytest.approx(2)
    assert (interval.low, interval.high) == pytest.approx((2 - half, 2 + half), abs=1e-6)
    assert (interval.num_values, interval.known) == (3, True)


@given(values=scores, confidence=st.floats(0.5, 0.999))
def test_interval_is_scipys(values, confidence):
    interval = mean_interval(values, confidence)
    error = stats.sem(values)
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * error
    assert interval.low == pytest.approx(interval.mean - half, abs=1e-9)
    assert interval.high == pytest.approx(interval.mean + half, abs=1e-9)


def test_one_value_has_no_interval_and_says_so():
    interval = mean_interval([0.5])
    assert interval.mean == 0.5
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert not interval.known
    assert format_interval(interval) == "50.00 (n=1)"


@pytest.mark.parametrize(
    ("values", "confidence", "message"),
    [
        ([], 0.95, "needs at least one value, got none"),
        ([0.1, math.nan], 0.95, "must be finite, got"),
        ([0.1], 1.0, "between 0 and 1, both excluded, got 1.0"),
    ],
)
def test_interval_refuses(values, confidence, message):
    with pytest.raises(ValueError, match=message):
        mean_interval(values, confidence)


def test_format_interval():
    assert format_interval(mean_interval([0.4, 0.4])) == "40.00 [40.00, 40.00] (n=2)"
    text = format_interval(mean_interval([1.0, 2.0, 3.0]), scale=1, digits=1, signed=True)
    assert text == "+2.0 [-0.5, +4.5] (n=3)"


def test_paired_difference_uses_common_seeds_only():
    # The seeds differ by far more than the architectures: only pairing can tell.
    first = {1: 0.11, 2: 0.52, 3: 0.93, 9: 0.0}
    second = {1: 0.10, 2: 0.50, 3: 0.90, 8: 1.0}
    difference = paired_difference(first, second, confidence=0.9)
    expected = mean_interval([0.01, 0.02, 0.03], 0.9)
    assert difference.interval.mean == pytest.approx(expected.mean)
    assert difference.interval.low == pytest.approx(expected.low)
    assert difference.verdict == "higher"
    assert paired_difference(second, first, confidence=0.9).verdict == "lower"


def test_paired_difference_is_undecided_around_zero_and_for_one_seed():
    around = paired_difference({1: 0.2, 2: 0.1}, {1: 0.1, 2: 0.2})
    assert around.verdict == "undecided"
    assert paired_difference({1: 0.9}, {1: 0.1}).verdict == "undecided"
    assert paired_difference({1: 0.9}, {1: 0.1}).describe() == "+80.00 (n=1): undecided"


def test_paired_difference_needs_a_common_seed():
    with pytest.raises(ValueError, match=r"common seed, got seeds \[1\] and \[2\]"):
        paired_difference({1: 0.5}, {2: 0.5})
