"""Allocation of a frontier against SciPy."""

import random

import pytest
from scipy.stats import ttest_ind

from hrvit_nas.arch import get_hrvit
from hrvit_nas.results import branch_traits, compare_allocation
from hrvit_nas.space import load_space


def test_traits_of_b1_are_those_of_its_table():
    traits = branch_traits(get_hrvit("hrvit_b1"))
    assert [traits["width", branch] for branch in (1, 2, 3, 4)] == [32, 64, 128, 256]
    assert [traits["blocks", branch] for branch in (1, 2, 3, 4)] == [6, 5, 20, 4]
    assert [traits["strip_width", branch] for branch in (1, 2, 3, 4)] == [1, 2, 7, 7]


def test_differences_are_welchs_adjusted_for_their_number():
    space, rng = load_space("heterogeneous_branches"), random.Random(0)
    frontier = [space.sample(rng) for _ in range(6)]
    others = [space.sample(rng) for _ in range(25)]
    found = compare_allocation(frontier, others)
    assert (found.num_frontier, found.num_others) == (6, 25)
    assert len(found.differences) == 16
    level = 1 - 0.05 / len(found.differences)
    for item in found.differences:
        groups = [
            [branch_traits(spec)[item.trait, item.branch] for spec in specs]
            for specs in (frontier, others)
        ]
        expected = ttest_ind(*groups, equal_var=False)
        interval = expected.confidence_interval(level)
        assert item.difference.low == pytest.approx(interval.low)
        assert item.difference.high == pytest.approx(interval.high)
        assert item.frontier_mean - item.other_mean == pytest.approx(item.difference.mean)
        sure = interval.low > 0 or interval.high < 0
        assert (item.verdict != "undecided") == sure


def test_one_member_or_none_decides_nothing():
    b1, b2 = get_hrvit("hrvit_b1"), get_hrvit("hrvit_b2")
    found = compare_allocation([b1], [b2])
    assert found.differences
    assert {item.verdict for item in found.differences} == {"undecided"}
    assert compare_allocation([], [b1]).differences == ()
    assert compare_allocation([b1], [b1]).differences == ()
