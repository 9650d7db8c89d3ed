"""Allocation of a frontier against SciPy, and against groups that do not differ."""

import random
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import permutation_test

from hrvit_nas.arch import get_hrvit
from hrvit_nas.results import branch_traits, compare_allocation
from hrvit_nas.space import load_space


@pytest.fixture(scope="module")
def archs():
    space, rng = load_space("heterogeneous_branches"), random.Random(0)
    return [space.sample(rng) for _ in range(30)]


def test_traits_of_b1_are_those_of_its_table():
    traits = branch_traits(get_hrvit("hrvit_b1"))
    assert [traits["width", branch] for branch in (1, 2, 3, 4)] == [32, 64, 128, 256]
    assert [traits["blocks", branch] for branch in (1, 2, 3, 4)] == [6, 5, 20, 4]
    assert [traits["strip_width", branch] for branch in (1, 2, 3, 4)] == [1, 2, 7, 7]


@pytest.mark.parametrize("size", [2, 3, 6])
def test_groups_that_do_not_differ_are_decided_as_seldom_as_it_says(archs, size, monkeypatch):
    monkeypatch.setattr("hrvit_nas.results.allocation.SHUFFLINGS", 300)
    rng = random.Random(size)
    false = 0
    for number in range(60):
        mixed = rng.sample(archs, len(archs))
        found = compare_allocation(mixed[:size], mixed[size:], seed=number)
        false += any(item.verdict != "undecided" for item in found.differences)
    # 5% of 60 are 3; 9 or more have a probability below 0.5%.
    assert false <= 8


def test_a_difference_is_found_and_named(archs):
    def widened(spec):
        first, *rest = (replace(module, branches=module.branches) for module in spec.modules)
        branch = replace(first.branches[0], blocks=first.branches[0].blocks + 9)
        return replace(spec, modules=(replace(first, branches=(branch,)), *rest))

    found = compare_allocation([widened(spec) for spec in archs[:6]], archs[6:])
    decided = [
        (i.trait, i.branch, i.verdict) for i in found.differences if i.verdict != "undecided"
    ]
    assert decided == [("blocks", 1, "higher")]
    assert (found.num_frontier, found.num_others) == (6, 24)


def test_one_trait_is_judged_as_scipys_permutation_test_does():
    b1 = get_hrvit("hrvit_b1")

    def with_blocks(count):
        branch = replace(b1.modules[0].branches[0], blocks=count)
        return replace(b1, modules=(replace(b1.modules[0], branches=(branch,)), *b1.modules[1:]))

    rng = np.random.default_rng(0)
    for shift in (0, 1, 2, 3, 4):
        mine, rest = rng.integers(1, 6, 8) + shift, rng.integers(1, 6, 12)
        frontier, others = ([with_blocks(int(n)) for n in counts] for counts in (mine, rest))
        (found,) = compare_allocation(frontier, others).differences
        p = permutation_test((mine, rest), lambda x, y: x.mean() - y.mean(), rng=1).pvalue
        assert found.difference.mean == pytest.approx(mine.mean() - rest.mean())
        if not 0.03 < p < 0.07:
            assert (found.verdict != "undecided") == (p < 0.05)


def test_one_architecture_or_none_decides_nothing(archs):
    found = compare_allocation(archs[:1], archs[1:2])
    assert found.differences
    assert {item.verdict for item in found.differences} == {"undecided"}
    assert compare_allocation([], archs).differences == ()
    assert compare_allocation(archs[:1], archs[:1]).differences == ()


def test_groups_without_spread_are_decided_only_where_shuffling_seldom_parts_them():
    b1, b2 = get_hrvit("hrvit_b1"), get_hrvit("hrvit_b2")
    # One of 84 ways to choose 3 of 9, and one of 6 to choose 2 of 4.
    found = compare_allocation([b1] * 3, [b2] * 6)
    assert "undecided" not in {item.verdict for item in found.differences}
    few = compare_allocation([b1] * 2, [b2] * 2)
    assert {item.verdict for item in few.differences} == {"undecided"}
