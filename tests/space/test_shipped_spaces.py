"""The spaces that ship with the package."""

import json
import random
from collections import Counter
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from hrvit_nas.arch import PRESETS, ArchError, BranchSpec, get_arch
from hrvit_nas.space import Limit, Space, SpaceError, limits, list_spaces, load_space
from hrvit_nas.space.genes import BRANCH_FIELDS

LOADED = {name: load_space(name) for name in list_spaces()}
seeds = st.integers(0, 2**32)


@pytest.mark.parametrize(
    ("space", "arch"),
    [
        *(("heterogeneous_branches", arch) for arch in PRESETS),
        *(("joint", arch) for arch in PRESETS),
        ("attention_variants", "hrvit_b1"),
    ],
)
def test_presets_are_in_their_spaces(space, arch):
    spec = get_arch(arch)
    assert LOADED[space].refusal(spec) is None
    assert LOADED[space].decode(LOADED[space].encode(spec)) == spec


@pytest.mark.parametrize("space", ["heterogeneous_branches", "joint"])
@pytest.mark.parametrize("head_width", [32, 64])
@pytest.mark.parametrize("head_dim", [8, 16])
def test_networks_for_a_laptop_are_in_the_spaces(space, head_width, head_dim):
    modules = tuple(
        replace(
            module,
            branches=tuple(
                replace(
                    branch,
                    width=(8, 16, 32, 64)[b],
                    blocks=1,
                    expansion_ratio=2,
                    head_dim=head_dim,
                )
                for b, branch in enumerate(module.branches)
            ),
        )
        for module in get_arch("hrvit_b1").modules
    )
    spec = replace(get_arch("hrvit_b1"), stem_width=16, head_width=head_width, modules=modules)
    assert LOADED[space].refusal(spec) is None


@pytest.mark.parametrize("name", LOADED)
@given(seed=seeds)
def test_codes_and_values_are_inverted_exactly(name, seed):
    space = LOADED[name]
    spec = space.sample(random.Random(seed))
    codes, values = space.encode(spec), space.genes_of(spec)
    assert space.decode(codes) == spec
    assert space.spec_of(values) == spec
    assert space.nearest(values, random.Random(seed)) == spec
    assert [value is None for value in values.values()] == [code == -1 for code in codes]


@pytest.mark.parametrize("name", LOADED)
def test_a_space_comes_back_from_its_plain_data(name):
    space = LOADED[name].narrow({}, limits=[Limit(metric="macs", max=1e10)])
    again = Space.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == replace(space, description="")
    assert again.sample(random.Random(3)) == space.sample(random.Random(3))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base", {}),
        ("genes", [{"name": "x"}]),
        ("genes", 5),
        ("constraints", [{"rising": ["width_1"]}]),
        ("limits", [{"metric": "beauty"}]),
        ("narrowing", [{}]),
    ],
)
def test_what_is_no_space_is_refused(key, value):
    data = LOADED["heterogeneous_branches"].to_dict() | {key: value}
    with pytest.raises(SpaceError):
        Space.from_dict(data)


@pytest.mark.parametrize("name", LOADED)
@given(seed=seeds)
def test_variation_stays_inside(name, seed):
    space, rng = LOADED[name], random.Random(seed)
    first, second = space.sample(rng), space.sample(rng)
    assert space.contains(space.crossover(first, second, rng))
    mutant = space.mutate(first, rng)
    assert space.contains(mutant)
    assert mutant != first
    anything = {gene.name: rng.choice(gene.choices) for gene in space.genes}
    assert space.contains(space.nearest(anything, rng))


@given(seed=seeds)
def test_the_joint_space_holds_the_others(seed):
    for name in ("heterogeneous_branches", "attention_variants"):
        spec = LOADED[name].sample(random.Random(seed))
        assert LOADED["joint"].refusal(spec) is None


@pytest.mark.parametrize("name", LOADED)
def test_size_is_that_of_its_parts(name):
    """A choice's share of the architectures, counted exactly, is its share of samples."""
    space = LOADED[name]
    rng = random.Random(9)
    samples = [space.genes_of(space.sample(rng)) for _ in range(800)]
    for gene in (space.genes[0], space.genes[2], space.genes[-1]):
        shares = [space.narrow({gene.name: [choice]}).size for choice in gene.choices]
        seen = Counter(sample[gene.name] for sample in samples)
        drawn = [seen[choice] for choice in gene.choices]
        assert None not in seen
        expected = [800 * share / sum(shares) for share in shares]
        assert chisquare(drawn, expected).pvalue > 1e-4


def test_the_rules_of_one_branch_are_all_known():
    """Rules are asked of `BranchSpec` a few fields at a time; together they must be all."""
    fields = {
        "width": (8, 10, 24, 48),
        "attention": ("cross_shaped", "window", "spatial_reduction", "convolution"),
        "strip_width": (1, 7),
        "head_dim": (8, 12),
        "kv_sharing": (True, False),
        "parallel_conv": (True, False),
        "extra_nonlinearity": (True, False),
        "feed_forward": ("mix_cfn", "ffn"),
        "patch_embedding": ("efficient", "convolution"),
        "shortcut": ("identity", "des"),
        "expansion_ratio": (1, 3),
        "blocks": (1, 2),
    }
    assert set(fields) == set(BRANCH_FIELDS)
    found = set()
    optional = {"strip_width": (1, 7, None), "head_dim": (8, 12, None)}
    for values in product(*(fields | optional).values()):
        try:
            found.add(BranchSpec(**dict(zip(fields, values, strict=True))))
        except ArchError:
            continue
    base = replace(get_arch("hrvit_b1"), modules=get_arch("hrvit_b1").modules[:1])
    genes = [
        replace(LOADED["joint"].genes[0], name=n, field=f"modules.1.branches.1.{n}", choices=c)
        for n, c in fields.items()
    ]
    # A head dim that alone makes one head is spelt as the smaller: so are the branches found.
    spelt = {
        replace(b, head_dim=8) if b.head_dim == 12 and b.group_width <= 8 else b for b in found
    }
    assert Space(name="branch", base=base, genes=tuple(genes)).size == len(spelt)


@pytest.mark.parametrize("name", ["heterogeneous_branches", "joint"])
def test_a_tight_ceiling_costs_some_hundred_evaluations(name, monkeypatch):
    looked = []
    estimate = limits.estimate_cost

    def counted(*args, **kwargs):
        looked.append(1)
        return estimate(*args, **kwargs)

    monkeypatch.setattr(limits, "estimate_cost", counted)
    rng = random.Random(6)
    limit = Limit(metric="macs", max=1, image_size=(128, 128), num_classes=8)
    cheapest = min((LOADED[name].sample(rng) for _ in range(300)), key=limit.value)
    ceiling = limit.model_copy(update={"max": 0.6 * limit.value(cheapest)})
    space = replace(LOADED[name], limits=(ceiling,))
    looked.clear()
    samples = [space.sample(rng) for _ in range(5)]
    assert all(space.contains(spec) for spec in samples)
    assert len({spec.id for spec in samples}) == 5
    assert len(looked) < 5 * 900


def test_a_space_is_plain_data():
    data = LOADED["joint"].to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["genes"][0] == {
        "name": "stem_width",
        "field": "stem_width",
        "choices": [8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128],
        "when": {},
    }
