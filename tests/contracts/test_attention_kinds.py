"""A kind of attention stands in every table, or in none."""

from hrvit_nas.arch import ATTENTION_KINDS
from hrvit_nas.cost.attention import ATTENTION_COSTS
from hrvit_nas.models.attention import ATTENTION_MODULES


def test_every_kind_has_traits_a_cost_and_a_module():
    assert list(ATTENTION_KINDS) == list(ATTENTION_COSTS) == list(ATTENTION_MODULES)
