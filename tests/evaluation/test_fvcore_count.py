"""Multiply-adds counted on the network are those of the closed form."""

from random import Random

import pytest

from hrvit_nas import build_segmentor, estimate_cost
from hrvit_nas.evaluation.fvcore_count import count_macs


@pytest.mark.parametrize("size", [(32, 48), (40, 56)])
def test_fvcore_counts_what_the_closed_form_says(make_config, size):
    space = make_config().load_space()
    for seed in range(3):
        spec = space.sample(Random(seed))
        cost = estimate_cost(spec, size, num_classes=7)
        assert count_macs(build_segmentor(spec, 7), size) == cost.by("operator")
