"""Specs check themselves, and their canonical JSON and id are stable."""

import json
from dataclasses import FrozenInstanceError, dataclass, fields, replace

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from hrvit_nas.arch import (
    ATTENTIONS,
    FEED_FORWARDS,
    FUSIONS,
    HEAD_KINDS,
    HEADED_ATTENTIONS,
    PATCH_EMBEDDINGS,
    SCHEMA_VERSION,
    SHORTCUTS,
    STRIP_ATTENTIONS,
    ArchError,
    ArchSpec,
    BranchSpec,
    ModuleSpec,
    des_factor,
    get_arch,
    parse_arch,
    scale_widths,
)
from hrvit_nas.arch.spec import FIRST_FIELDS, canonical

B1 = get_arch("hrvit_b1")
BRANCH = {
    "width": 64,
    "blocks": 1,
    "expansion_ratio": 4,
    "strip_width": 2,
    "head_dim": 32,
}
CONVOLUTION = {**BRANCH, "attention": "convolution", "strip_width": None, "head_dim": None}
REDUCTION = {**BRANCH, "attention": "spatial_reduction", "strip_width": None}


@st.composite
def branch_specs(draw):
    attention = draw(st.sampled_from(ATTENTIONS))
    headed = attention in HEADED_ATTENTIONS
    try:
        return BranchSpec(
            width=2 * draw(st.integers(1, 64)) * draw(st.sampled_from([1, 8])),
            blocks=draw(st.integers(1, 6)),
            expansion_ratio=draw(st.integers(1, 4)),
            attention=attention,
            strip_width=draw(st.integers(1, 14)) if attention in STRIP_ATTENTIONS else None,
            head_dim=draw(st.sampled_from([1, 2, 4, 8, 24, 32])) if headed else None,
            kv_sharing=draw(st.booleans()) if headed else True,
            parallel_conv=draw(st.booleans()) if headed else True,
            extra_nonlinearity=draw(st.booleans()),
            feed_forward=draw(st.sampled_from(FEED_FORWARDS)),
            patch_embedding=draw(st.sampled_from(PATCH_EMBEDDINGS)),
            shortcut=draw(st.sampled_from(SHORTCUTS)),
        )
    except ArchError:
        reject()


@st.composite
def arch_specs(draw):
    kinds = draw(st.lists(branch_specs(), min_size=1, max_size=3))
    modules = []
    before, now = 0, 1
    for _ in range(draw(st.integers(1, 5))):
        can_be_sparse = now == before and now > 2
        modules.append(
            ModuleSpec(
                branches=tuple(draw(st.sampled_from(kinds)) for _ in range(now)),
                fusion=draw(st.sampled_from(FUSIONS)) if can_be_sparse else "dense",
            )
        )
        before, now = now, min(4, now + draw(st.integers(0, 1)))
    return ArchSpec(
        stem_width=2 * draw(st.integers(1, 64)),
        head_width=draw(st.integers(1, 768)),
        head_kind=draw(st.sampled_from(list(HEAD_KINDS))),
        modules=tuple(modules),
    )


# JSON and id


@given(arch_specs())
def test_json_round_trip_is_exact_and_keeps_the_id(spec):
    again = ArchSpec.from_json(spec.to_json())
    assert again == spec
    assert hash(again) == hash(spec)
    assert again.id == spec.id
    assert again.to_json() == spec.to_json()


@given(arch_specs())
def test_json_order_and_spacing_do_not_matter(spec):
    def reverse(value):
        if isinstance(value, dict):
            return {key: reverse(value[key]) for key in sorted(value, reverse=True)}
        return [reverse(item) for item in value] if isinstance(value, list) else value

    assert ArchSpec.from_json(json.dumps(reverse(json.loads(spec.to_json())), indent=3)) == spec


@given(arch_specs(), branch_specs(), st.randoms())
def test_another_branch_is_another_id(spec, branch, rng):
    m, b, before = rng.choice(list(spec.walk()))
    branches = list(spec.modules[m].branches)
    branches[b] = branch
    modules = list(spec.modules)
    modules[m] = replace(modules[m], branches=tuple(branches))
    assert (replace(spec, modules=tuple(modules)).id == spec.id) == (branch == before)


def test_ids_are_frozen():
    # Stores of trials know networks by these; a change of the canonical form must bump the schema.
    assert SCHEMA_VERSION == 1
    assert B1.id == "f650d54c5523"
    assert get_arch("hrvit_b2").id == "39f906374b09"
    assert get_arch("hrvit_b3").id == "e4b6bc78f4de"
    assert scale_widths(B1, 0.25).id == "72e8368f78b3"
    baselines = {
        "hrnet_cswin": "3927fbc54427",
        "mit_b0": "45f86e1c95d7",
        "mit_b4": "3520f93d009b",
        "cswin_ti": "39c94d1b39ee",
        "cswin_s": "0c61029a0491",
    }
    assert {name: get_arch(name).id for name in baselines} == baselines


def test_a_field_added_later_stands_in_the_json_only_where_it_is_set():
    @dataclass(frozen=True, kw_only=True)
    class Later:
        width: int
        blocks: int = 1
        gate: str | None = None

    Later.__name__ = "PyramidStage"  # which had width and blocks from the first
    assert canonical(Later(width=8)) == {"width": 8, "blocks": 1}
    assert canonical(Later(width=8, gate="silu")) == {"width": 8, "blocks": 1, "gate": "silu"}


def test_every_field_of_the_first_day_stands_in_the_json():
    pyramid = get_arch("mit_b0")
    for part in (B1, B1.modules[0], B1.modules[0].branches[0], pyramid, pyramid.stages[0]):
        held = {field.name for field in fields(part)} - {"modules", "branches", "stages"}
        first = FIRST_FIELDS[type(part).__name__]
        assert set(canonical(part)) == first == held - {"head_kind"}


def test_another_head_stands_in_the_json():
    for name in ("hrvit_b1", "mit_b0"):
        spec = get_arch(name)
        other = replace(spec, head_kind="upernet")
        assert other.to_dict() == {**spec.to_dict(), "head_kind": "upernet"}
        assert parse_arch(other.to_json()) == other != spec


def change(**changes):
    data = B1.to_dict()
    data.update(changes)
    return data


def change_branch(**changes):
    data = B1.to_dict()
    data["modules"][2]["branches"][1].update(changes)
    return data


def without(key, data):
    del data[key]
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "an architecture must be a mapping, got list"),
        (change(schema_version=2), "schema_version must be 1, got 2"),
        (without("schema_version", B1.to_dict()), "schema_version must be 1, got None"),
        (change(depth=3), "unknown key 'depth'; known: head_kind, head_width, modules, stem"),
        (without("stem_width", B1.to_dict()), "architecture: .*stem_width"),
        (without("modules", B1.to_dict()), "modules must hold a list, got NoneType"),
        (change(modules=[3]), "module 1 must be a mapping, got int"),
        (change(modules=[{"fusion": "dense"}]), "module 1 must hold a list, got NoneType"),
        (change(modules=[{"branches": [BRANCH], "norm": 1}]), "module 1: unknown key 'norm'"),
        (change_branch(widht=3), "module 3, branch 2: unknown key 'widht'; known: attention, "),
        (change(modules=[{"branches": [{"width": 8}]}]), "module 1, branch 1: .*'blocks'"),
        (change_branch(width=65), "module 3, branch 2: width must be even, got 65"),
        (change_branch(width="64"), "module 3, branch 2: width must be an integer .* got '64'"),
        (change(head_width=None), "head_width must be an integer of at least 1, got None"),
    ],
)
def test_data_that_is_no_architecture_is_refused(data, message):
    with pytest.raises(ArchError, match=message):
        ArchSpec.from_dict(data)


def test_text_that_is_no_json_is_refused():
    with pytest.raises(ArchError, match="an architecture must be JSON: Expecting"):
        ArchSpec.from_json("{stem_width: 64}")


# Rules


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**BRANCH, "width": 0}, "width must be an integer of at least 2, got 0"),
        ({**BRANCH, "width": 64.0}, r"width must be an integer of at least 2, got 64\.0"),
        ({**BRANCH, "width": 33}, "width must be even, got 33"),
        ({**BRANCH, "blocks": 0}, "blocks must be an integer of at least 1, got 0"),
        ({**BRANCH, "blocks": True}, "blocks must be an integer of at least 1, got True"),
        (
            {**BRANCH, "expansion_ratio": 0},
            "expansion_ratio must be an integer of at least 1, got 0",
        ),
        (
            {**BRANCH, "attention": "linear"},
            "attention must be one of cross_shaped, window, spatial_reduction, convolution;"
            " got 'linear'",
        ),
        (
            {**BRANCH, "feed_forward": "moe"},
            "feed_forward must be one of mix_cfn, ffn; got 'moe'",
        ),
        (
            {**BRANCH, "patch_embedding": "linear"},
            "patch_embedding must be one of efficient, convolution; got 'linear'",
        ),
        ({**BRANCH, "shortcut": "none"}, "shortcut must be one of des, identity; got 'none'"),
        ({**BRANCH, "kv_sharing": 1}, "kv_sharing must be true or false, got 1"),
        ({**BRANCH, "parallel_conv": None}, "parallel_conv must be true or false, got None"),
        (
            {**BRANCH, "extra_nonlinearity": "no"},
            "extra_nonlinearity must be true or false, got 'no'",
        ),
        (
            {**BRANCH, "strip_width": None},
            "strip_width of cross_shaped attention must be an integer of at least 1, got None",
        ),
        (
            {**BRANCH, "attention": "window", "strip_width": 0},
            "strip_width of window attention must be an integer of at least 1, got 0",
        ),
        (
            {**BRANCH, "head_dim": None},
            "head_dim of cross_shaped attention must be an integer of at least 1, got None",
        ),
        (
            {**BRANCH, "width": 100, "head_dim": 24},
            r"width must be a multiple of 48 \(head_dim 24, cross_shaped attention\) or less than"
            " 48, got 100; nearest: 96, 144",
        ),
        (
            {**REDUCTION, "width": 100, "head_dim": 24},
            r"width must be a multiple of 24 .* got 100; nearest: 96, 120",
        ),
        (
            {**BRANCH, "width": 36},
            "width must be a multiple of its DES factor 8, got 36; nearest: 32, 40"
            r" \(or shortcut='identity'\)",
        ),
        (
            {**REDUCTION, "strip_width": 7},
            "spatial_reduction attention has no strips; leave strip_width unset, got 7",
        ),
        (
            {**CONVOLUTION, "strip_width": 7},
            "convolution attention has no strips; leave strip_width unset, got 7",
        ),
        (
            {**CONVOLUTION, "head_dim": 32},
            "convolution attention has no heads; leave head_dim unset, got 32",
        ),
        (
            {**CONVOLUTION, "kv_sharing": False},
            "convolution attention has no keys; leave kv_sharing at true",
        ),
        (
            {**CONVOLUTION, "parallel_conv": False},
            "parallel convolution alone; parallel_conv must be true",
        ),
    ],
)
def test_a_branch_that_breaks_a_rule_is_refused(fields, message):
    with pytest.raises(ArchError, match=message):
        BranchSpec(**fields)


def modules_of(*branch_counts, fusions=()):
    branch = BranchSpec(**BRANCH)
    fusions = dict(fusions)
    return tuple(
        ModuleSpec(branches=(branch,) * count, fusion=fusions.get(m, "dense"))
        for m, count in enumerate(branch_counts)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem_width": 33}, "stem_width must be even, got 33"),
        ({"stem_width": 0}, "stem_width must be an integer of at least 2, got 0"),
        ({"head_width": 0}, "head_width must be an integer of at least 1, got 0"),
        ({"head_kind": "fcn"}, "head_kind must be one of segformer, upernet; got 'fcn'"),
        ({"modules": ()}, "at least one module, got none"),
        ({"modules": modules_of(2)}, "module 1 must have 1 branches, got 2"),
        ({"modules": modules_of(1, 3)}, "module 2 must have 1 or 2 branches, got 3"),
        ({"modules": modules_of(1, 2, 1)}, "module 3 must have 2 or 3 branches, got 1"),
        (
            {"modules": modules_of(1, 2, 3, fusions={2: "sparse"})},
            "module 3 opens a branch, so its fusion must be dense, got 'sparse'",
        ),
        (
            {"modules": modules_of(1, 2, 2, fusions={2: "sparse"})},
            "module 3 has 2 branches, where sparse fusion is the dense one; write 'dense'",
        ),
    ],
)
def test_an_architecture_that_breaks_a_rule_is_refused(changes, message):
    with pytest.raises(ArchError, match=message):
        replace(B1, **changes)


@pytest.mark.parametrize("count", [0, 5])
def test_a_module_has_one_to_four_branches(count):
    with pytest.raises(ArchError, match=f"a module has 1 to 4 branches, got {count}"):
        modules_of(count)


def test_a_fusion_is_dense_or_sparse():
    with pytest.raises(ArchError, match="fusion must be one of dense, sparse; got 'none'"):
        modules_of(1, fusions={0: "none"})


def test_specs_are_frozen_and_hashable():
    with pytest.raises(FrozenInstanceError):
        B1.stem_width = 32
    assert len({B1, get_arch("hrvit_b1"), ArchSpec.from_json(B1.to_json())}) == 1


def test_lists_of_modules_and_branches_are_frozen_too():
    module = ModuleSpec(branches=[BranchSpec(**BRANCH)])
    spec = ArchSpec(stem_width=64, head_width=64, modules=[module])
    assert spec.modules == (module,)
    assert isinstance(module.branches, tuple)
    assert hash(spec)


# What is derived


@given(st.integers(1, 4096))
def test_des_factor_is_as_described(width):
    exponent = max(e for e in range(13) if 2**e <= width)
    assert des_factor(width) == 2 ** (exponent - exponent // 2)


@pytest.mark.parametrize(
    ("fields", "group_width", "num_heads"),
    [
        (BRANCH, 32, 1),
        ({**BRANCH, "width": 256}, 128, 4),
        ({**BRANCH, "width": 32}, 16, 1),  # fewer channels than head_dim: one head
        ({**BRANCH, "attention": "window"}, 64, 2),
        (REDUCTION, 64, 2),
        (CONVOLUTION, 64, 0),
    ],
)
def test_heads_split_a_group(fields, group_width, num_heads):
    branch = BranchSpec(**fields)
    assert (branch.group_width, branch.num_heads) == (group_width, num_heads)


def test_fusions_keep_incoming_widths_and_open_with_the_new_width():
    spec = replace(B1, modules=B1.modules[:1] + get_arch("hrvit_b2").modules[1:])
    assert [plan.incoming for plan in spec.fusions[:3]] == [(64,), (32,), (48, 96)]
    assert [plan.outgoing for plan in spec.fusions[:3]] == [(64,), (32, 96), (48, 96, 240)]
    assert spec.out_widths == (48, 96, 240, 384)
    assert spec.num_branches == 4


def test_sparse_fusion_joins_neighbours_only():
    modules = list(B1.modules)
    modules[5] = replace(modules[5], fusion="sparse")
    spec = replace(B1, modules=tuple(modules))
    everything = {(out, into) for out in range(4) for into in range(4)}
    assert set(spec.fusions[4].edges) == {(o, i) for o, i in everything if i < 3}
    assert set(spec.fusions[5].edges) == {(o, i) for o, i in everything if abs(o - i) < 2}


# Scaling; here because it draws on the same random specs


@given(arch_specs())
def test_a_factor_of_one_changes_nothing(spec):
    assert scale_widths(spec, 1.0) == spec


@given(arch_specs(), st.floats(1 / 16, 4))
def test_scaling_keeps_depth_and_heads(spec, factor):
    scaled = scale_widths(spec, factor)
    for (_, _, before), (_, _, after) in zip(spec.walk(), scaled.walk(), strict=True):
        assert after.num_heads == before.num_heads
        assert replace(after, width=before.width, head_dim=before.head_dim) == before
