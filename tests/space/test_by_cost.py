"""Architectures chosen by cost, against enumeration of small spaces."""

import math
from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from small_spaces import all_archs, branch, gene, small

from hrvit_nas.arch import ArchSpec, ModuleSpec
from hrvit_nas.cost import estimate_cost
from hrvit_nas.space import Forbid, Limit, Nondecreasing
from hrvit_nas.space.by_cost import CostStrata, extreme_arch, spread_archs

SIZE = (64, 96)


BASE = ArchSpec(
    stem_width=16,
    head_width=32,
    modules=(
        ModuleSpec(branches=(branch(16),)),
        ModuleSpec(branches=(branch(16), branch(32))),
    ),
)


WIDTHS = (
    gene("width_1", "modules.*.branches.1.width", 8, 16, 32),
    gene("width_2", "modules.*.branches.2.width", 8, 16, 32, 64),
)
DEPTHS = (
    gene("blocks_11", "modules.1.branches.1.blocks", 1, 2),
    gene("blocks_22", "modules.2.branches.2.blocks", 1, 2, 4),
    gene("ratio", "modules.*.branches.*.expansion_ratio", 1, 2, 4),
)
KINDS = (
    gene("attention", "modules.*.branches.2.attention", "cross_shaped", "window", "convolution"),
    gene("strip", "modules.*.branches.2.strip_width", 1, 4),
)


def small_space(*genes, **fields):
    return small(*genes, base=BASE, **fields)


def macs(spec):
    return float(estimate_cost(spec, SIZE).macs)


def params(spec):
    return float(estimate_cost(spec, SIZE).params)


FREE = small_space(*WIDTHS, *DEPTHS)
RISING = (Nondecreasing(("width_1", "width_2")),)
MIDDLE = sorted(map(macs, all_archs(FREE)))[len(all_archs(FREE)) // 2]
SPACES = {
    "free": FREE,
    "rising widths": small_space(*WIDTHS, *DEPTHS, constraints=RISING),
    "kinds": small_space(
        *WIDTHS,
        *KINDS,
        constraints=(
            *RISING,
            Forbid((("attention", ("window",)), ("strip", (1,)))),
            Forbid((("width_2", (64,)), ("attention", ("cross_shaped",)))),
        ),
    ),
    "limits": small_space(
        *WIDTHS,
        *DEPTHS,
        limits=(Limit(metric="macs", max=MIDDLE, min=MIDDLE / 3, image_size=SIZE),),
    ),
    "one": small_space(gene("ratio", "modules.*.branches.*.expansion_ratio", 2)),
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("cost", [macs, params])
def test_the_ends_are_those_of_enumeration(name, cost):
    space = SPACES[name]
    costs = [cost(spec) for spec in all_archs(space)]
    for largest, expected in ((False, min(costs)), (True, max(costs))):
        found = extreme_arch(space, cost, Random(0), largest=largest)
        assert space.contains(found)
        # Limits, which bind several genes at once, may stop a climb just short.
        assert cost(found) == pytest.approx(expected, rel=0.01 if space.limits else 0)


def ends(space):
    return tuple(extreme_arch(space, macs, Random(0), largest=side) for side in (False, True))


@pytest.fixture(scope="module")
def tiny_space(make_config):
    """Billions of architectures, few of them cheap."""
    return make_config().load_space()


@pytest.fixture(scope="module")
def tiny_strata(tiny_space):
    return CostStrata(tiny_space, macs, ends(tiny_space), Random(1), archs=16)


def shares(space, sample, draws=3000, parts=16):
    """Share of the draws in each part of the range of log cost."""
    low, high = (math.log(macs(spec)) for spec in ends(space))
    rng = Random(5)
    seen = Counter()
    for _ in range(draws):
        place = (math.log(macs(sample(rng))) - low) / (high - low)
        assert 0 <= place <= 1
        seen[min(parts - 1, int(place * parts))] += 1
    return [seen[part] / draws for part in range(parts)]


def test_draws_are_even_over_log_cost(tiny_space, tiny_strata):
    found = shares(tiny_space, tiny_strata.sample)
    assert min(found) > 0.8 / 16
    assert max(found) < 1.2 / 16


def test_neither_end_is_starved(tiny_space, tiny_strata):
    even, uniform = shares(tiny_space, tiny_strata.sample), shares(tiny_space, tiny_space.sample)
    for end in (slice(4), slice(12, None)):
        assert sum(even[end]) > 0.2
    assert sum(uniform[:4]) < 0.5 * sum(even[:4])
    assert uniform[0] < 0.5 * even[0]


@pytest.mark.parametrize("name", SPACES)
def test_draws_are_architectures_within_the_limits(name):
    space = SPACES[name]
    strata = CostStrata(space, macs, ends(space), Random(1), strata=4, archs=16)
    rng = Random(2)
    drawn = {strata.sample(rng) for _ in range(60)}
    assert drawn <= set(all_archs(space))
    assert len(drawn) > 10 or name == "one"


def test_the_same_seeds_give_the_same_draws():
    space = SPACES["rising widths"]

    def drawn(seed):
        strata = CostStrata(space, macs, ends(space), Random(seed), archs=8)
        rng = Random(4)
        return [strata.sample(rng) for _ in range(20)]

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    for largest in (False, True):
        one, again = (extreme_arch(space, macs, Random(3), largest=largest) for _ in range(2))
        assert one == again


# Spreading


def test_architectures_spread_are_even_in_log_cost_and_none_comes_twice(tiny_space):
    chosen = spread_archs(tiny_space, 8, macs, Random(0), draws=800)
    assert len(set(chosen)) == 8
    costs = [macs(spec) for spec in chosen]
    assert costs == sorted(costs)
    rng = Random(0)
    drawn = [macs(tiny_space.sample(rng)) for _ in range(800)]
    assert (costs[0], costs[-1]) == (min(drawn), max(drawn))
    steps = [math.log(b / a) for a, b in pairwise(costs)]
    mean = sum(steps) / len(steps)
    assert all(step == pytest.approx(mean, rel=0.5) for step in steps)
    assert chosen == spread_archs(tiny_space, 8, macs, Random(0), draws=800)


def test_fewer_are_spread_where_there_are_fewer():
    space = small_space(gene("ratio", "modules.*.branches.*.expansion_ratio", 1, 2, 4))
    chosen = spread_archs(space, 10, macs, Random(0), draws=50)
    assert set(chosen) == set(all_archs(space))
    assert len(chosen) == 3
    assert len(spread_archs(space, 1, macs, Random(0), draws=50)) == 1
    assert spread_archs(space, 0, macs, Random(0), draws=50) == []
