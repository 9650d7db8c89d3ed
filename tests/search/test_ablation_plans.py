"""What the plans of ablations ask for, and what they refuse."""

from itertools import combinations

import pytest
import yaml

from hrvit_nas.arch import PyramidSpec, get_arch, parse_arch, scale_widths
from hrvit_nas.cost import estimate_cost
from hrvit_nas.results import TrialStore
from hrvit_nas.results.ablation import EQUAL_COST
from hrvit_nas.search.ablation import (
    AblationPlan,
    find_base,
    list_ablations,
    load_ablation,
    make_arms,
    plan_space,
)
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.space import Space, SpaceError, apply_edits

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


@pytest.mark.parametrize("name", ["published_components", "strip_width", "rivals"])
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


def test_rivals_are_the_references():
    arms = arms_of(load_ablation("rivals"), controls=False).arms
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
    "an unknown rival": ({"changes": {"x": {"arch": "mit_b9"}}}, "mit_b9"),
    "a rival among combined changes": (
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


def test_a_base_is_a_preset_a_file_or_a_member_of_a_run(tmp_path, record):
    assert find_base("hrvit_b2") == (get_arch("hrvit_b2"), True)
    file = tmp_path / "arch.json"
    file.write_text(apply_edits(B1, NO_DES).to_json())
    assert find_base(str(file)) == (apply_edits(B1, NO_DES), False)
    specs = [apply_edits(B1, edits) for edits in (NO_DES, NO_CONV, PLAIN)]
    run = tmp_path / "run"
    with TrialStore(run, write=True) as store:
        for number, (spec, miou, cost) in enumerate(
            zip(specs, (0.3, 0.5, 0.4), (1, 2, 3), strict=True)
        ):
            store.append(
                record(number=number, arch_id=spec.id, arch=spec.to_json(), miou=miou, macs=cost)
            )
    assert find_base(str(run)) == (specs[1], False), "the best of the frontier"
    assert find_base(f"{run}:{specs[2].id}") == (specs[2], False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hrvit_b9", "hrvit_b9.*or a .json file, a run directory, or RUN:ID"),
        ("mit_b0", "must be an HRViT, got 'mit_b0'"),
        ("none.json", "none.json"),
        ("no/run", "no/run"),
        ("no/run:0123456789ab", "no/run"),
    ],
)
def test_a_base_that_is_none_is_named(name, message):
    with pytest.raises((ConfigError, ValueError), match=message):
        find_base(name)


def test_an_unread_field_has_no_effect_on_a_searched_member():
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


def test_the_space_of_parts_put_back_holds_the_whole_and_the_stripped_base():
    plan = plan_of(design="add_one_in", changes=CHANGES)
    made = arms_of(plan, controls=False)
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
