"""The parts that latencies are predicted from, held to the cost model."""

from random import Random

import pytest

from hrvit_nas.arch import get_hrvit
from hrvit_nas.cost import estimate_cost
from hrvit_nas.cost.timed_parts import PART_KINDS, TimedPart, features_of, timed_parts, work_of
from hrvit_nas.space import load_space

SIZES = ((64, 96), (72, 200))


@pytest.mark.parametrize("space", ["heterogeneous_branches", "joint", "attention_variants"])
def test_parts_sum_to_what_the_architecture_costs(space):
    declared, rng = load_space(space), Random(0)
    for image_size in SIZES:
        for _ in range(20):
            spec = declared.sample(rng)
            parts = timed_parts(spec, image_size)
            cost = estimate_cost(spec, image_size, num_classes=7)
            work = {part: work_of(part, image_size, 7) for part in parts}
            assert sum(times * work[part].macs for part, times in parts.items()) == cost.macs
            assert sum(times * work[part].params for part, times in parts.items()) == cost.params
            assert {part.kind for part in parts} == set(PART_KINDS)
            assert all(TimedPart.parse(part.key) == part for part in parts)
            assert all(min(features_of(part, image_size, 7)) >= 0 for part in parts)


def test_a_strip_wider_than_its_map_is_as_wide_as_the_map():
    b1 = get_hrvit("hrvit_b1")
    strips = {
        (part.branches[0], part.settings[1])
        for part in timed_parts(b1, (64, 96))
        if part.kind == "attention"
    }
    assert strips == {(0, 1), (1, 2), (2, 6), (3, 3)}  # of 1, 2, 7, 7 on maps 24, 12, 6, 3 wide


@pytest.mark.parametrize("key", ["", "stem/0/8", "roof/0/8/", "stem/0/x/", "stem/0/8//"])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(ValueError, match="part"):
        TimedPart.parse(key)
