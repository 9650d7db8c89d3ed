"""Architectures within limits, against all of a small space by their cost."""

import random
import re
from collections import Counter

import pytest
from scipy.stats import chisquare
from small_spaces import all_archs, gene, per_branch, small

from hrvit_nas.space import Limit, Nondecreasing, SpaceError
from hrvit_nas.space import limits as limits_module
from hrvit_nas.space import space as space_module


def deep(*limits):
    """Some thousands of architectures whose costs spread widely."""
    return small(
        *per_branch("width", "width", 16, 32, 64, branches=(1, 2, 3)),
        *per_branch("ratio", "expansion_ratio", 1, 2, 4, branches=(2, 3)),
        gene("blocks_33", "modules.3.branches.3.blocks", 1, 3),
        gene("blocks_43", "modules.4.branches.3.blocks", 1, 2, 3),
        gene("attention", "modules.*.branches.3.attention", "cross_shaped", "convolution"),
        gene("strip", "modules.*.branches.3.strip_width", 1, 7),
        constraints=(Nondecreasing(("width_1", "width_2", "width_3")),),
        limits=limits,
    )


@pytest.fixture(scope="module")
def by_cost():
    """All architectures of `deep`, cheapest first."""
    limit = Limit(metric="macs", max=1, image_size=(64, 64), num_classes=8)
    return sorted(all_archs(deep()), key=lambda spec: (limit.value(spec), spec.id))


@pytest.fixture(scope="module")
def costs(by_cost):
    limit = Limit(metric="macs", max=1, image_size=(64, 64), num_classes=8)
    return [limit.value(spec) for spec in by_cost]


def ceiling(costs, rank):
    return Limit(metric="macs", max=costs[rank], image_size=(64, 64), num_classes=8)


def test_a_tight_ceiling_is_kept_with_few_costs(costs, monkeypatch):
    space = deep(ceiling(costs, 2))
    looked = []
    count = limits_module._cost

    def counted(*args):
        looked.append(args)
        return count(*args)

    monkeypatch.setattr(limits_module, "_cost", counted)
    rng = random.Random(2)
    for _ in range(20):
        spec = space.sample(rng)
        assert space.contains(spec)
        assert space.contains(space.nearest({"blocks_33": 3, "width_1": 64}, rng))
        assert space.contains(space.crossover(spec, space.sample(rng), rng))
        assert space.contains(space.mutate(spec, rng))
    assert len(looked) < 20 * 2000


def test_the_walk_is_uniform(by_cost, costs, monkeypatch):
    monkeypatch.setattr(space_module, "REJECTION_TRIES", 1)
    space = deep(ceiling(costs, 19))
    allowed = [spec for spec in by_cost if space.contains(spec)]
    rng = random.Random(4)
    counts = Counter(space.sample(rng).id for _ in range(30 * len(allowed)))
    observed = [counts[spec.id] for spec in allowed]
    assert sum(observed) == 30 * len(allowed)
    assert chisquare(observed).pvalue > 1e-3


def test_limits_that_nothing_meets_say_what_was_found(costs):
    space = deep(Limit(metric="macs", max=costs[0] - 1, image_size=(64, 64), num_classes=8))
    with pytest.raises(
        SpaceError,
        match=rf"found no architecture with macs .*has {re.escape(format(costs[0], '.6g'))}",
    ):
        space.sample(random.Random(0))


def test_a_band_of_cost_is_met(costs):
    middle = costs[len(costs) // 2]
    space = deep(
        Limit(
            metric="macs", min=0.98 * middle, max=1.02 * middle, image_size=(64, 64), num_classes=8
        )
    )
    assert space.contains(space.sample(random.Random(0)))


def test_refusal_by_a_limit_names_value_and_bound(by_cost, costs):
    space = deep(ceiling(costs, 0))
    reason = space.refusal(by_cost[-1])
    assert reason is not None
    assert "macs must be at most" in reason
    assert "at 64x64, 8 classes, got" in reason
