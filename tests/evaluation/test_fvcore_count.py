"""Multiply-adds counted on the network are those of the closed form."""

from random import Random

import pytest
import torch

from hrvit_nas import build_segmentor, estimate_cost
from hrvit_nas.evaluation.fvcore_count import count_macs


@pytest.mark.parametrize("size", [(32, 48), (40, 56)])
def test_fvcore_counts_what_the_closed_form_says(make_config, size):
    space = make_config().load_space()
    for seed in range(3):
        spec = space.sample(Random(seed))
        cost = estimate_cost(spec, size, num_classes=7)
        assert count_macs(build_segmentor(spec, 7), size) == cost.by("operator")


class Products(torch.nn.Module):
    """The same product of 3 by 4 and 4 by 5, in each way that it can be written."""

    def forward(self, image):
        x, y = image.new_zeros(2, 3, 4), image.new_zeros(2, 4, 5)
        return x @ y + x.matmul(y) + torch.matmul(x, y) + torch.bmm(x, y) + x.bmm(y)


def test_a_product_counts_however_it_is_written():
    one = 2 * 3 * 4 * 5
    assert count_macs(Products(), (1, 1)) == {"matmul": 3 * one, "bmm": 2 * one}
