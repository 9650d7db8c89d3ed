"""A kind of head stands in every table, or in none."""

from hrvit_nas.arch import HEAD_KINDS
from hrvit_nas.cost.heads import HEAD_COSTS
from hrvit_nas.models.heads import HEAD_MODULES


def test_every_kind_has_traits_a_cost_and_a_module():
    assert list(HEAD_KINDS) == list(HEAD_COSTS) == list(HEAD_MODULES)
