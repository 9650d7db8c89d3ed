"""Presets are the published table; scaling one reaches the cost asked for."""

import pytest

from hrvit_nas.arch import (
    PRESETS,
    ArchError,
    ArchSpec,
    BranchSpec,
    ModuleSpec,
    get_arch,
    scale_to_cost,
    scale_widths,
)
from hrvit_nas.cost import estimate_cost

# The table of published models, as printed. Blocks: modules by /, branches by comma.
TABLE = {
    "hrvit_b1": {
        "widths": "32, 64, 128, 256",
        "blocks": "1 / 1,1 / 1,1,6 / 1,1,6 / 1,1,6,2 / 1,1,2,2",
        "ratios": "4, 4, 4, 4",
        "head_dim": 32,
        "head_width": 256,
    },
    "hrvit_b2": {
        "widths": "48, 96, 240, 384",
        "blocks": "1 / 1,1 / 1,1,6 / 1,1,6 / 1,1,6,2 / 1,1,6,2",
        "ratios": "2, 3, 3, 3",
        "head_dim": 24,
        "head_width": 256,
    },
    "hrvit_b3": {
        "widths": "64, 128, 256, 512",
        "blocks": "1 / 1,1 / 1,1,6 / 1,1,6 / 1,1,6,3 / 1,1,6,3",
        "ratios": "2, 2, 2, 2",
        "head_dim": 32,
        "head_width": 768,
    },
}
STRIPS = (1, 2, 7, 7)


def numbers(text):
    return [int(number) for number in text.split(",")]


@pytest.mark.parametrize("name", TABLE)
def test_presets_are_the_published_table(name):
    row, spec = TABLE[name], get_arch(name)
    assert (spec.stem_width, spec.head_width) == (64, row["head_width"])
    blocks = [[branch.blocks for branch in module.branches] for module in spec.modules]
    assert blocks == [numbers(module) for module in row["blocks"].split("/")]
    for m, b, branch in spec.walk():
        assert spec.modules[m].fusion == "dense"
        assert branch.width == numbers(row["widths"])[b]
        assert branch.expansion_ratio == numbers(row["ratios"])[b]
        assert branch.strip_width == STRIPS[b]
        assert branch.head_dim == row["head_dim"]
        assert (branch.attention, branch.feed_forward) == ("cross_shaped", "mix_cfn")
        assert (branch.patch_embedding, branch.shortcut) == ("efficient", "des")
        assert branch.kv_sharing
        assert branch.parallel_conv
        assert branch.extra_nonlinearity


def test_every_preset_is_in_the_table():
    assert set(PRESETS) == set(TABLE)


def test_an_unknown_name_is_refused_with_those_known():
    with pytest.raises(
        ArchError, match="no architecture is called 'b1'; known: hrvit_b1, hrvit_b2, hrvit_b3"
    ):
        get_arch("b1")


@pytest.mark.parametrize("factor", [0, -1.0])
def test_a_width_factor_must_be_positive(factor):
    with pytest.raises(ArchError, match=f"a width factor must be positive, got {factor}"):
        scale_widths(get_arch("hrvit_b1"), factor)


def test_twice_the_widths_have_twice_the_head_dim():
    spec = scale_widths(get_arch("hrvit_b1"), 2)
    assert spec.stem_width == 128
    assert spec.head_width == 512
    assert spec.out_widths == (64, 128, 256, 512)
    # Branch 1 of b1 has half a head dim in each group: one head of 16, which doubles to 32.
    assert [b.head_dim for b in spec.modules[-1].branches] == [32, 64, 64, 64]


@pytest.mark.parametrize("head_dim", [2, 6])
def test_an_odd_number_of_heads_scales_to_even_widths(head_dim):
    # Three heads over all channels: half the width would be odd.
    branch = BranchSpec(
        width=3 * head_dim,
        blocks=1,
        expansion_ratio=2,
        attention="window",
        strip_width=2,
        head_dim=head_dim,
        shortcut="identity",
    )
    spec = ArchSpec(stem_width=8, head_width=8, modules=(ModuleSpec(branches=(branch,)),))
    for factor in (0.2, 0.5, 1.5, 2.5):
        (scaled,) = scale_widths(spec, factor).modules[0].branches
        assert (scaled.num_heads, scaled.width % 6) == (3, 0)


def macs(spec):
    return estimate_cost(spec, (256, 256)).macs


@pytest.mark.parametrize("name", ["hrvit_b1", "hrvit_b3"])
@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.5, 2.0])
def test_scaling_reaches_a_cost_and_keeps_the_allocation(name, share):
    # Heads and DES factors make widths coarse; hrvit_b2, with five heads in a group, is coarser.
    spec = get_arch(name)
    scaled = scale_to_cost(spec, macs, share * macs(spec))
    assert macs(scaled) == pytest.approx(share * macs(spec), rel=0.03)
    widths = [set() for _ in range(spec.num_branches)]
    for ours, theirs in zip(scaled.modules, spec.modules, strict=True):
        for b, (new, old) in enumerate(zip(ours.branches, theirs.branches, strict=True)):
            for key in ("blocks", "expansion_ratio", "strip_width", "num_heads"):
                assert getattr(new, key) == getattr(old, key)
            widths[b].add(new.width)
    assert [len(of_branch) for of_branch in widths] == [1] * spec.num_branches


@pytest.mark.parametrize("name", PRESETS)
def test_scaling_to_the_cost_it_has_changes_nothing(name):
    assert scale_to_cost(get_arch(name), macs, macs(get_arch(name))) == get_arch(name)


@pytest.mark.parametrize("target", [0, -5])
def test_a_target_cost_must_be_positive(target):
    with pytest.raises(ArchError, match=f"a target cost must be positive, got {target}"):
        scale_to_cost(get_arch("hrvit_b1"), macs, target)
