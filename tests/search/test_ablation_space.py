"""The space of an ablation's supernets holds what its plan asks for."""

import pytest

from hrvit_nas.arch import get_arch, scale_widths
from hrvit_nas.cost import estimate_cost
from hrvit_nas.search.ablation import AblationPlan, load_ablation
from hrvit_nas.search.ablation_space import plan_space
from hrvit_nas.search.arms import make_arms
from hrvit_nas.space import Space

B1 = get_arch("hrvit_b1")


def macs(spec):
    return float(estimate_cost(spec, (96, 128)).macs)


def plan_of(**fields):
    return AblationPlan.model_validate({"description": "", "base": "hrvit_b1", **fields})


def test_the_space_of_parts_put_back_holds_the_whole_and_the_stripped_base():
    changes = {
        "des": {"set": {"modules.*.branches.*.shortcut": "identity"}},
        "mix": {"set": {"modules.*.branches.*.feed_forward": "ffn"}},
    }
    plan = plan_of(design="add_one_in", changes=changes)
    made = make_arms(plan, B1, macs=macs, controls=False)
    assert made.whole == B1
    space = plan_space(plan, made.whole)
    assert all(space.contains(arm.spec) for arm in made.arms)


@pytest.mark.parametrize("name", ["published_components", "strip_width", "components_on_searched"])
def test_the_space_of_a_plan_holds_its_base_and_all_its_arms(name):
    plan, base = load_ablation(name), scale_widths(B1, 0.25)
    space = Space.from_dict(plan_space(plan, base).to_dict())  # as it is stored
    for arm in make_arms(plan, base, macs=macs, controls=False).arms:
        assert space.contains(arm.spec), arm.name


def test_the_space_of_a_plan_has_a_gene_for_each_branch_or_where_modules_differ_each_module():
    changes = {
        "strips": {"set": {"modules.*.branches.3.strip_width": 2}},
        "deep": {"set": {"modules.*.branches.3.blocks": 2}},
        "stem": {"set": {"stem_width": 32}},
    }
    genes = {gene.name: gene for gene in plan_space(plan_of(changes=changes), B1).genes}
    assert genes["strip_width_3"].field == "modules.*.branches.3.strip_width"
    assert genes["strip_width_3"].choices == (2, 7)
    assert {gene.field for gene in genes.values()} == {
        "modules.*.branches.3.strip_width",
        "stem_width",
        *(f"modules.{m}.branches.3.blocks" for m in (3, 4, 5)),  # two in module 6 as it is
    }
