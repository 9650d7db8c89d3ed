"""Costs against the published counts, the published ablation, and their own breakdown."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from hrvit_nas.arch import PRESETS, get_arch
from hrvit_nas.cost import estimate_auxiliary, estimate_cost
from hrvit_nas.space import load_space

TASKS = {
    "classification": ("classification", 1000),
    "backbone": ("backbone", None),
    "segformer_ade20k": ("segmentation", 150),
    "segformer_cityscapes": ("segmentation", 19),
}
NUM_PUBLISHED = 18


@pytest.mark.parametrize("row", range(NUM_PUBLISHED))
def test_counts_of_the_published_networks(reference_dir, row):
    rows = json.loads((reference_dir / "published_complexity.json").read_text())
    assert len(rows) == NUM_PUBLISHED
    row = rows[row]
    task, classes = TASKS[row["task"]]
    cost = estimate_cost(get_arch(f"hrvit_{row['model']}"), tuple(row["input"]), task, classes)
    counted = row["fvcore_by_operator"]
    assert cost.published_macs == counted["conv"] + counted["linear"] + counted["matmul"]
    assert cost.params == row["params"]
    assert cost.macs <= cost.published_macs


def b1_without(fusion="dense", **changes):
    """b1 with a change to every branch, and to the fusions of the modules that open none."""
    spec = get_arch("hrvit_b1")
    modules = tuple(
        replace(
            module,
            branches=tuple(replace(branch, **changes) for branch in module.branches),
            fusion=fusion if m in (3, 5) else "dense",
        )
        for m, module in enumerate(spec.modules)
    )
    return replace(spec, modules=modules)


# Parameters in millions; change of multiply-adds in thousands of millions, at 512x512. The last
# printed digit of the change may be cut off rather than rounded.
@pytest.mark.parametrize(
    ("changes", "params", "macs"),
    [
        ({}, 8.15, 0.0),
        ({"kv_sharing": False}, 8.77, 0.59),
        ({"patch_embedding": "convolution"}, 9.93, 2.37),
        ({"feed_forward": "ffn"}, 7.85, -0.50),
        ({"parallel_conv": False}, 8.11, -0.06),
        ({"extra_nonlinearity": False}, 8.14, 0.0),
        ({"shortcut": "identity"}, 8.14, -0.13),
    ],
    ids=str,
)
def test_the_published_ablation(changes, params, macs):
    before, after = estimate_cost(b1_without()), estimate_cost(b1_without(**changes))
    assert after.params / 1e6 == pytest.approx(params, abs=0.0051)
    assert (after.published_macs - before.published_macs) / 1e9 == pytest.approx(macs, abs=0.01)


def test_sparse_fusion_saves_what_is_published():
    before, after = estimate_cost(b1_without()), estimate_cost(b1_without(fusion="sparse"))
    assert 1 - after.params / before.params == pytest.approx(0.009, abs=0.0005)
    assert 0 < 1 - after.published_macs / before.published_macs < 0.01


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("task", ["segmentation", "classification", "backbone"])
def test_the_breakdown_adds_up(name, task):
    spec = get_arch(name)
    cost = estimate_cost(spec, (96, 75), task)
    for metric in ("macs", "published_macs", "params"):
        assert sum(getattr(entry, metric) for entry in cost.entries) == getattr(cost, metric)
    for key in ("module", "branch", "part", "operator"):
        sums = Counter()
        for entry in cost.entries:
            sums[getattr(entry, key)] += entry.macs
        assert cost.by(key) == +sums
    assert set(cost.by("module")) == set(range(7))
    assert set(cost.by("branch")) == set(range(5))
    assert {e.module for e in cost.entries if e.part in ("stem", "head")} == {0}
    assert ("head" in cost.by("part")) == (task != "backbone")
    block = estimate_cost(spec, (96, 75), "backbone").by("part")
    assert set(block) == {
        "stem",
        "fusion",
        "patch_embedding",
        "attention",
        "shortcut",
        "feed_forward",
    }


# Millions of parameters, and thousands of millions of multiply-adds at 512x512 with 150 classes, as
# published: the former of a network in training, with an auxiliary head on the third branch, the
# latter of one in use, without it, and with half of the attention products.
@pytest.mark.parametrize(
    ("name", "params", "off", "macs"),
    [("b1", 35.9, 0.002, 219), ("b2", 49.7, 0.0005, 233), ("b3", 55.4, 0.008, 236)],
)
def test_upernet_costs_what_is_published(name, params, off, macs):
    spec = replace(get_arch(f"hrvit_{name}"), head_kind="upernet", head_width=512)
    cost = estimate_cost(spec, num_classes=150)
    auxiliary = estimate_auxiliary(spec, num_classes=150)
    attention = sum(e.published_macs for e in cost.entries if e.operator == "attention")
    assert (cost.params + auxiliary.params) / 1e6 == pytest.approx(params, rel=off)
    assert round((cost.published_macs - attention / 2) / 1e9) == macs


def test_an_auxiliary_head_costs_what_it_is_made_of():
    spec = get_arch("hrvit_b2")
    convolution, classifier = 9 * 240 * 256, 256 * 7
    cost = estimate_auxiliary(spec, (100, 64), 7)
    assert cost.params == convolution + 2 * 256 + classifier + 7
    assert cost.macs == cost.published_macs == (convolution + classifier) * 7 * 4
    assert estimate_auxiliary(spec).params == cost.params + 12 * 257  # 19 classes


def test_an_auxiliary_head_needs_a_third_map():
    spec = get_arch("hrvit_b1")
    with pytest.raises(ValueError, match=r"reads map 3 of a backbone; .* so many branches, got 2"):
        estimate_auxiliary(replace(spec, modules=spec.modules[:2]))


def test_a_block_more_costs_what_a_block_costs():
    def cost(blocks):
        spec = get_arch("hrvit_b1")
        coarse = replace(spec.modules[-1].branches[3], blocks=blocks)
        last = replace(spec.modules[-1], branches=(*spec.modules[-1].branches[:3], coarse))
        return estimate_cost(replace(spec, modules=(*spec.modules[:-1], last)))

    one, two, five = cost(1), cost(2), cost(5)
    for metric in ("macs", "published_macs", "params"):
        step = getattr(two, metric) - getattr(one, metric)
        assert step > 0
        assert getattr(five, metric) == getattr(one, metric) + 4 * step


@pytest.mark.parametrize("name", ["mit_b0", "cswin_ti"])
def test_a_pyramid_classifies_nothing(name):
    with pytest.raises(ValueError, match=r"classification is of an HRViT alone, got a .* pyramid"):
        estimate_cost(get_arch(name), task="classification")


@pytest.mark.parametrize("name", ["mit_b1", "cswin_ti"])
def test_stages_of_a_pyramid_stand_as_modules_and_branches(name):
    cost = estimate_cost(get_arch(name), (101, 75))
    assert cost.by("module") == cost.by("branch")
    assert set(cost.by("module")) == set(range(5))
    assert set(cost.by("part")) == {"patch_embedding", "attention", "feed_forward", "head"}


def test_defaults_are_those_of_cityscapes_and_imagenet():
    spec = get_arch("hrvit_b1")
    assert estimate_cost(spec) == estimate_cost(spec, (512, 512), "segmentation", 19)
    assert estimate_cost(spec, task="classification").num_classes == 1000


def test_architectures_of_a_space_cost_whole_numbers(rng):
    space = load_space("joint")
    for _ in range(20):
        cost = estimate_cost(space.sample(rng), (64, 96))
        for metric in ("macs", "published_macs", "params", "peak_activation_bytes"):
            assert type(getattr(cost, metric)) is int


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "detection"}, "task must be one of segmentation, .* got 'detection'"),
        ({"image_size": (31, 64)}, "image sides must be at least 32, got 31x64"),
        ({"image_size": (64, 0)}, "image sides must be at least 32, got 64x0"),
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        estimate_cost(get_arch("hrvit_b1"), **settings)
