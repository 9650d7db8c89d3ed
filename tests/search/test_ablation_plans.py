"""What the plans of ablations ask for, and what they refuse."""

from itertools import combinations

import pytest
import yaml

from hrvit_nas.arch import PyramidSpec, get_arch, parse_arch, scale_widths
from hrvit_nas.cost import estimate_cost
from hrvit_nas.results.ablation import EQUAL_COST
from hrvit_nas.search.ablation import AblationPlan, list_ablations, load_ablation
from hrvit_nas.search.arms import make_arms
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.space import SpaceError, apply_edits

B1 = get_arch("hrvit_b1")
NO_DES = {"modules.*.branches.*.shortcut": "identity"}
NO_CONV = {"modules.*.branches.*.parallel_conv": False}
PLAIN = {"modules.*.branches.*.feed_forward": "ffn"}
CHANGES = {"des": {"set": NO_DES}, "conv": {"set": NO_CONV}, "mix": {"set": PLAIN}}


def macs(spec):
    return float(estimate_cost(spec, (96, 128)).macs)


def plan_of(**fields):
    return AblationPlan.model_validate({"description": "", "base": "hrvit_b1", **fields})


def arms_of(plan, base=B1, **options):
    return make_arms(plan, base, macs=macs, **options)


@pytest.fixture
def plan_file(tmp_path):
    def write(**fields):
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump({"description": "", "base": "hrvit_b1", **fields}))
        return str(path)

    return write


@pytest.mark.parametrize("name", list_ablations())
@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_every_shipped_plan_gives_arms_at_full_and_at_laptop_scale(name, factor):
    plan = load_ablation(name)
    made = arms_of(plan, factor=factor)
    assert made.arms[0].role == "base"
    assert made.arms[0].spec == (B1 if factor == 1 else scale_widths(B1, factor))
    assert len({arm.arch for arm in made.arms}) == len(made.arms)
    assert all("widths come in steps" in warning for warning in made.warnings)
    assert plan.equal_macs or not made.warnings
    assert len(made.arms) == 1 + len(plan.changes or plan.sweep.values)


def test_published_components_are_the_parts_of_the_published_table():
    plan = load_ablation("published_components")
    assert list(plan.changes) == [
        "kv_sharing",
        "efficient_patch_embedding",
        "mix_cfn",
        "parallel_conv",
        "extra_nonlinearity",
        "dense_fusion",
        "des",
    ]
    assert load_ablation("components_on_searched").changes.keys() == plan.changes.keys()


def test_leave_one_out_changes_one_thing_at_a_time():
    base, *arms = arms_of(plan_of(changes=CHANGES)).arms
    assert base.spec == B1
    assert [arm.name for arm in arms] == ["des", "conv", "mix"]
    assert [arm.spec for arm in arms] == [apply_edits(B1, e) for e in (NO_DES, NO_CONV, PLAIN)]


def test_add_one_in_puts_one_part_back_at_a_time():
    base, *arms = arms_of(plan_of(design="add_one_in", changes=CHANGES)).arms
    assert base.spec == apply_edits(B1, NO_DES | NO_CONV | PLAIN)
    assert arms[0].spec == apply_edits(B1, NO_CONV | PLAIN)
    assert [arm.name for arm in arms] == ["+des", "+conv", "+mix"]
    published = {"published": {"cityscapes_miou": "-0.5"}}
    changes = {name: change | published for name, change in CHANGES.items()}
    made = arms_of(plan_of(design="add_one_in", changes=changes, **published))
    assert not any(arm.published for arm in made.arms), "published figures are of parts removed"


def test_factorial_has_every_combination():
    base, *arms = arms_of(plan_of(design="factorial", changes=CHANGES)).arms
    assert base.spec == B1
    names = [c for n in (1, 2, 3) for c in combinations(CHANGES, n)]
    assert [arm.name for arm in arms] == ["+".join(name) for name in names]
    assert arms[-1].spec == apply_edits(B1, NO_DES | NO_CONV | PLAIN)


def test_a_sweep_takes_each_value():
    sweep = {"field": "modules.*.branches.3.strip_width", "values": [2, 7, 14]}
    made = arms_of(plan_of(design="sweep", sweep=sweep))
    assert [arm.name for arm in made.arms] == ["base", "strip_width=2", "strip_width=14"]
    assert made.warnings == ("change 'strip_width=7' has no effect on the base and is left out",)


@pytest.mark.parametrize("name", ["published_components", "strip_width", "baselines"])
@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_an_arm_of_another_cost_has_the_base_at_its_cost_as_control(name, factor):
    base, *arms = arms_of(load_ablation(name), factor=factor).arms
    for arm in arms:
        gap = abs(macs(arm.spec) / macs(base.spec) - 1)
        if arm.control is None:
            assert gap <= 0.011
            continue
        control = parse_arch(arm.control)
        assert macs(control) == pytest.approx(macs(arm.spec), rel=0.011)
        blocks = [[b.blocks for b in m.branches] for m in control.modules]
        assert blocks == [[b.blocks for b in m.branches] for m in base.spec.modules]


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_equal_macs_brings_each_arm_to_the_cost_of_the_base_or_says_by_how_much_it_misses(factor):
    base, *arms = (made := arms_of(load_ablation("branch_allocation"), factor=factor)).arms
    for arm in arms:
        gap = macs(arm.spec) / macs(base.spec) - 1
        assert abs(gap) < 0.08
        warned = [warning for warning in made.warnings if f"{arm.name!r}" in warning]
        assert bool(warned) == (abs(gap) > EQUAL_COST) == (arm.control is not None)
        if arm.control is not None:
            assert f"{gap:+.1%}" in warned[0]
            assert macs(parse_arch(arm.control)) == pytest.approx(macs(arm.spec), rel=0.011)


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_even_allocations_stay_even(factor):
    arms = {
        arm.name: arm.spec
        for arm in arms_of(load_ablation("branch_allocation"), factor=factor).arms
    }
    for name in ("even_widths", "all_even"):
        assert len(set(arms[name].out_widths)) == 1, name
    assert len(set(arms["base"].out_widths)) == 4


def test_a_base_that_cannot_be_brought_to_a_cost_is_warned_of():
    changes = {"deep": {"set": {"modules.*.branches.*.blocks": 300}}}
    (warning,) = arms_of(plan_of(changes=changes)).warnings
    assert "the base cannot be brought to its multiply-adds; the control is" in warning


def test_published_figures_are_of_the_plans_own_base():
    plan = load_ablation("published_components").of_another_base()
    assert not plan.published
    assert not any(change.published for change in plan.changes.values())
    assert list(plan.changes) == list(load_ablation("published_components").changes)


def test_baselines_are_the_references():
    arms = arms_of(load_ablation("baselines"), controls=False).arms
    assert [arm.spec for arm in arms[1:]] == [get_arch(arm.name) for arm in arms[1:]]
    assert sum(isinstance(arm.spec, PyramidSpec) for arm in arms) == 8


REFUSED = {
    "one seed": ({"seeds": 1, "changes": CHANGES}, "at least 3 seeds, got 1"),
    "an unknown key": ({"changes": {"des": {"sett": NO_DES}}}, "sett"),
    "an unknown design": ({"design": "all", "changes": CHANGES}, "design"),
    "no changes": ({}, "must have 'changes'"),
    "a sweep in another design": (
        {"changes": CHANGES, "sweep": {"field": "stem_width", "values": [2]}},
        "design sweep, and no other",
    ),
    "neither edits nor an architecture": ({"changes": {"des": {}}}, "'set' with at least one"),
    "an unknown baseline": ({"changes": {"x": {"arch": "mit_b9"}}}, "mit_b9"),
    "a baseline among combined changes": (
        {"design": "factorial", "changes": {"x": {"arch": "mit_b0"}}},
        "cannot be another architecture",
    ),
    "too many factors": (
        {"design": "factorial", "changes": {f"c{i}": {"set": NO_DES} for i in range(7)}},
        "at most 6 changes, got 7",
    ),
    "a change called base": ({"changes": {"base": {"set": NO_DES}}}, "not 'base'; got 'base'"),
    "a change called by a comma": ({"changes": {"a,b": {"set": NO_DES}}}, "got 'a,b'"),
    "an unknown published fact": (
        {"changes": {"des": {"set": NO_DES, "published": {"miou": "1"}}}},
        "published",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_faulty_plan_is_refused_with_one_line(name, plan_file):
    fields, message = REFUSED[name]
    with pytest.raises(ConfigError, match=message) as refusal:
        load_ablation(plan_file(**fields))
    assert "\n" not in str(refusal.value)


def test_a_misspelt_field_is_named_with_what_it_may_have_meant():
    plan = plan_of(changes={"des": {"set": {"modules.*.branches.*.shortcutt": "identity"}}})
    with pytest.raises(ConfigError, match=r"change 'des': .*did you mean 'shortcut'"):
        arms_of(plan)


@pytest.mark.parametrize("design", ["factorial", "add_one_in"])
def test_changes_that_contradict_each_other_are_refused_where_they_are_combined(design):
    changes = {
        "wide": {"set": {"modules.*.branches.3.strip_width": 14}},
        "narrow": {"set": {"modules.5.branches.*.strip_width": 1}},
    }
    with pytest.raises(ConfigError, match="'wide' and 'narrow' contradict each other: they set"):
        arms_of(plan_of(design=design, changes=changes))
    assert len(arms_of(plan_of(changes=changes)).arms) == 3


def test_a_change_without_effect_is_left_out_with_a_warning():
    changes = {**CHANGES, "none": {"set": {"modules.*.branches.*.shortcut": "des"}}}
    made = arms_of(plan_of(changes=changes))
    assert [arm.name for arm in made.arms] == ["base", *CHANGES]
    assert made.warnings == ("change 'none' has no effect on the base and is left out",)


def test_a_plan_of_which_nothing_is_left_is_refused():
    changes = {"none": {"set": {"modules.*.branches.*.shortcut": "des"}}}
    with pytest.raises(ConfigError, match="no change has an effect on the base"):
        arms_of(plan_of(changes=changes))


def test_two_changes_that_are_one_are_refused():
    with pytest.raises(ConfigError, match="'des' and 'again' give the same architecture"):
        arms_of(plan_of(changes={"des": {"set": NO_DES}, "again": {"set": NO_DES}}))


def test_some_changes_can_be_chosen_and_a_misspelt_one_is_named():
    plan = plan_of(changes=CHANGES)
    assert list(plan.only(("mix", "des")).changes) == ["des", "mix"]
    with pytest.raises(ConfigError, match=r"no change 'dess'; it has des, conv, mix; did you mean"):
        plan.only(("dess",))
    with pytest.raises(ConfigError, match="name changes of the plan to look at: des, conv, mix"):
        plan.only(())


def test_an_unread_field_has_no_effect_on_a_searched_architecture():
    base = apply_edits(B1, {"modules.*.branches.*.attention": "convolution"})
    made = make_arms(load_ablation("components_on_searched"), base, macs=macs)
    names = {arm.name for arm in made.arms}
    assert names.isdisjoint({"kv_sharing", "parallel_conv"})
    assert len(made.warnings) == 2


def test_space_errors_are_told_with_the_name_of_the_change():
    plan = plan_of(changes={"deep": {"set": {"modules.9.branches.1.blocks": 2}}})
    with pytest.raises(ConfigError, match=r"change 'deep': .*matches nothing") as refusal:
        arms_of(plan)
    assert isinstance(refusal.value.__cause__, SpaceError)
