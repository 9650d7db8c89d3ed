"""Small spaces, against enumeration; then what sampling and variation promise."""

import pickle
import random
import re
from collections import Counter
from dataclasses import replace
from itertools import product

import pytest
from scipy.stats import chisquare

from hrvit_nas.arch import (
    ATTENTIONS,
    HEADED_ATTENTIONS,
    STRIP_ATTENTIONS,
    ArchError,
    ArchSpec,
    BranchSpec,
    ModuleSpec,
    attention_group_width,
)
from hrvit_nas.space import Forbid, Gene, Limit, Nondecreasing, Space, SpaceError
from hrvit_nas.space import limits as limits_module
from hrvit_nas.space import space as space_module


def branch(width, **fields):
    return BranchSpec(
        **{"width": width, "blocks": 1, "expansion_ratio": 2, "strip_width": 2, "head_dim": 8}
        | fields
    )


BASE = ArchSpec(
    stem_width=16,
    head_width=32,
    modules=(
        ModuleSpec(branches=(branch(16),)),
        ModuleSpec(branches=(branch(16), branch(32))),
        ModuleSpec(branches=(branch(16), branch(32), branch(64))),
        ModuleSpec(branches=(branch(16), branch(32), branch(64))),
    ),
)


def gene(name, field, *choices, when=None):
    return Gene(name=name, field=field, choices=choices, when=tuple((when or {}).items()))


def per_branch(name, field, *choices, branches=(1, 2)):
    return [gene(f"{name}_{b}", f"modules.*.branches.{b}.{field}", *choices) for b in branches]


def small(*genes, **fields):
    return Space(name="small", base=BASE, genes=genes, **fields)


SPACES = {
    "free": small(
        gene("stem", "stem_width", 8, 16),
        gene("fusion", "modules.4.fusion", "dense", "sparse"),
        gene("depth", "modules.3.branches.3.blocks", 1, 2, 4),
    ),
    "heads": small(
        gene("head_dim", "modules.*.branches.*.head_dim", 16, 4, 8, 12, 24),
        *per_branch("width", "width", 8, 16, 24, 40, 48, branches=(1, 2, 3)),
        constraints=(Nondecreasing(("width_1", "width_2", "width_3")),),
    ),
    "kinds": small(
        *per_branch("attention", "attention", *ATTENTIONS),
        *per_branch("strip", "strip_width", 1, 2),
        gene("sharing", "modules.*.branches.*.kv_sharing", True, False),
        *per_branch("parallel", "parallel_conv", True, False, branches=(2,)),
        gene("head_dim", "modules.*.branches.2.head_dim", 4, 16, 32),
        constraints=(Forbid((("attention_1", ("window",)), ("strip_1", (1,)))),),
    ),
    "kinds of each module": small(
        gene("attention_11", "modules.1.branches.1.attention", "window", "convolution"),
        gene("attention_21", "modules.2.branches.1.attention", "cross_shaped", "convolution"),
        gene("attention_22", "modules.2.branches.2.attention", "convolution"),
        gene("strip", "modules.*.branches.1.strip_width", 1, 7),
        gene("width_1", "modules.*.branches.1.width", 8, 10, 16, 48),
        gene("shortcut", "modules.*.branches.1.shortcut", "des", "identity"),
    ),
    "conditions": small(
        gene("ratio", "modules.*.branches.1.expansion_ratio", 1, 2, 3),
        gene("feed", "modules.*.branches.1.feed_forward", "mix_cfn", "ffn", when={"ratio": (1, 2)}),
        gene("deep", "modules.4.branches.1.blocks", 1, 2, when={"feed": ("ffn",), "ratio": (1,)}),
        gene("mix", "modules.2.branches.2.attention", "window", "convolution", when={"deep": (2,)}),
        gene("strip", "modules.2.branches.2.strip_width", 3, 4, when={"ratio": (1, 3)}),
        constraints=(Forbid((("feed", ("ffn",)), ("strip", (3,)))),),
    ),
}  # fmt: skip


def network(spec):
    """A spec with head dims that make a group one head made equal, so that equal means the same."""
    modules = tuple(
        replace(
            module,
            branches=tuple(
                b if b.head_dim is None else replace(b, head_dim=b.group_width // b.num_heads)
                for b in module.branches
            ),
        )
        for module in spec.modules
    )
    return replace(spec, modules=modules)


def enumerated(space):
    """All specs of a space by setting fields for every combination, with none of its machinery."""
    found = {}
    for values in product(*(gene.choices for gene in space.genes)):
        known = dict(zip((gene.name for gene in space.genes), values, strict=True))
        if (spec := assembled(space, known)) is not None:
            kept = found.setdefault(network(spec), spec)
            dims = [[b.head_dim or 0 for *_, b in s.walk()] for s in (kept, spec)]
            found[network(spec)] = kept if dims[0] <= dims[1] else spec
    return set(found.values())


def assembled(space, known):
    """The spec of one combination, or `None`; genes that turn out inactive are passed over."""
    plain = space.base.to_dict()
    active = dict(known)
    for g in space.genes * 3:  # conditions are at most three deep
        if any(active.get(name) not in choices for name, choices in g.when):
            active.pop(g.name, None)
    for g in space.genes:
        if g.name in active:
            set_field(plain, g.field.split("."), active[g.name])
    read = set()
    for m, module in enumerate(plain["modules"], 1):
        for b, fields in enumerate(module["branches"], 1):
            headed = fields["attention"] in HEADED_ATTENTIONS
            stripped = fields["attention"] in STRIP_ATTENTIONS
            fields["strip_width"] = fields["strip_width"] if stripped else None
            fields["head_dim"] = fields["head_dim"] if headed else None
            fields["kv_sharing"] = fields["kv_sharing"] or not headed
            fields["parallel_conv"] = fields["parallel_conv"] or not headed
            read |= {(m, b, "strip_width")} if stripped else set()
            read |= (
                {(m, b, n) for n in ("head_dim", "kv_sharing", "parallel_conv")}
                if headed
                else set()
            )
    for g in space.genes:
        parts = g.field.split(".")
        if parts[-1] in ("strip_width", "head_dim", "kv_sharing", "parallel_conv") and not any(
            parts[1] in ("*", str(m)) and parts[3] in ("*", str(b)) and parts[4] == n
            for m, b, n in read
        ):
            active.pop(g.name, None)
    for constraint in space.constraints:
        if isinstance(constraint, Nondecreasing):
            line = [active[name] for name in constraint.genes]
            if line != sorted(line):
                return None
        elif all(active.get(name) in bad for name, bad in constraint.choices):
            return None
    try:
        return ArchSpec.from_dict(plain)
    except ArchError:
        return None


def set_field(plain, parts, value):
    if len(parts) == 1:
        plain[parts[0]] = value
        return
    for m, module in enumerate(plain["modules"], 1):
        if parts[1] not in ("*", str(m)):
            continue
        if len(parts) == 3:
            module[parts[2]] = value
        else:
            for b, fields in enumerate(module["branches"], 1):
                if parts[3] in ("*", str(b)):
                    fields[parts[4]] = value


@pytest.mark.parametrize("name", SPACES)
def test_members_are_those_of_enumeration(name):
    space = SPACES[name]
    members = enumerated(space)
    assert space.size == len(members) > 8
    codes = {space.encode(spec) for spec in members}
    assert len(codes) == len(members)
    assert {space.decode(code) for code in codes} == members
    every = product(*(range(-1, len(gene.choices)) for gene in space.genes))
    assert sum(space._fault(code) is None for code in every) == len(members)


@pytest.mark.parametrize("name", SPACES)
def test_sampling_is_uniform(name):
    space = SPACES[name]
    rng = random.Random(11)
    draws = 40 * space.size if space.size < 200 else 20 * space.size
    counts = Counter(space.encode(space.sample(rng)) for _ in range(min(draws, 12_000)))
    observed = list(counts.values()) + [0] * (space.size - len(counts))
    assert chisquare(observed).pvalue > 1e-3


@pytest.mark.parametrize("name", SPACES)
def test_variation_stays_inside_and_repair_leaves_members_alone(name):
    space = SPACES[name]
    rng = random.Random(3)
    for _ in range(60):
        first, second = space.sample(rng), space.sample(rng)
        mutant, child = space.mutate(first, rng), space.crossover(first, second, rng)
        assert space.contains(mutant)
        assert mutant != first
        assert space.contains(child)
        assert space.crossover(first, first, rng) == first
        assert space.nearest(space.genes_of(first), rng) == first
        assert space.spec_of(space.genes_of(first)) == first
        anything = {gene.name: rng.choice(gene.choices) for gene in space.genes}
        assert space.contains(space.nearest(anything, rng))


def test_mutation_reaches_every_member():
    space = SPACES["kinds"]
    rng = random.Random(1)
    spec, seen = space.sample(rng), set()
    for _ in range(12 * space.size):
        spec = space.mutate(spec, rng)
        seen.add(spec)
    assert len(seen) == space.size


def test_mutation_rate_sets_how_many_genes_change():
    space = small(*per_branch("ratio", "expansion_ratio", 1, 2, 3, 4, branches=(1, 2, 3)))
    rng = random.Random(1)
    spec = space.sample(rng)

    def changes(mutant):
        return sum(a != b for a, b in zip(space.encode(spec), space.encode(mutant), strict=True))

    assert changes(space.mutate(spec, rng, rate=0.0)) == 1
    assert changes(space.mutate(spec, rng, rate=1.0)) == 3


def test_nearest_moves_a_number_to_the_next_one_allowed():
    space = small(
        *per_branch("width", "width", 8, 16, 32, 64, branches=(1, 2)),
        constraints=(Nondecreasing(("width_1", "width_2")),),
    )
    got = space.genes_of(space.nearest({"width_1": 32, "width_2": 16}, random.Random(0)))
    assert got in ({"width_1": 32, "width_2": 32}, {"width_1": 16, "width_2": 16})


def test_same_seed_same_members():
    space = SPACES["kinds"]
    draws = [[space.sample(rng).id for _ in range(5)] for rng in map(random.Random, (7, 7, 8))]
    assert draws[0] == draws[1] != draws[2]


def test_a_space_survives_pickling():
    space = pickle.loads(pickle.dumps(SPACES["heads"]))
    assert space == SPACES["heads"]
    assert space.sample(random.Random(1)) == SPACES["heads"].sample(random.Random(1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stem_width": 8}, "no gene sets stem_width to 8; here it is 16"),
        ({"modules": BASE.modules[:3]}, r"must have \[1, 2, 3, 3\] branches, got \[1, 2, 3\]"),
        (
            {"modules": (ModuleSpec(branches=(branch(48),)), *BASE.modules[1:])},
            "gene 'width_1' is shared, but width of module 1, branch 1 is 48 and width of module 2,"
            " branch 1 is 16",
        ),
        (
            {
                "modules": (
                    BASE.modules[0],
                    *(replace(m, branches=(m.branches[0], branch(80), *m.branches[2:]))
                      for m in BASE.modules[1:]),
                )
            },
            "gene 'width_2' must be one of 8, 16, 32, 48; got 80",
        ),
        (
            {
                "modules": (
                    BASE.modules[0],
                    *(replace(m, branches=(m.branches[0], branch(8), *m.branches[2:]))
                      for m in BASE.modules[1:]),
                )
            },
            r"constraint nondecreasing \[width_1, width_2\]: got width_1 16, width_2 8",
        ),
    ],
)  # fmt: skip
def test_refusal_says_why(change, reason):
    space = small(
        *per_branch("width", "width", 8, 16, 32, 48),
        constraints=(Nondecreasing(("width_1", "width_2")),),
    )
    assert space.refusal(BASE) is None
    with pytest.raises(SpaceError, match=reason):
        space.encode(replace(BASE, **change))
    assert not space.contains(replace(BASE, **change))


def test_a_head_dim_that_changes_nothing_is_refused():
    space = SPACES["heads"]
    values = {"head_dim": 24, "width_1": 8, "width_2": 16, "width_3": 16}
    assert attention_group_width("cross_shaped", 16) < 24
    with pytest.raises(
        SpaceError, match="'head_dim': 24 makes every head group one head, as does 16"
    ):
        space.spec_of(values)
    assert space.spec_of({**values, "head_dim": 8}).modules[0].branches[0].num_heads == 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"ratio": 3}, "gene 'strip' needs a value"),
        ({"ratio": 3, "strip": 4, "feed": "ffn"}, "gene 'feed' is inactive here, got 'ffn'"),
        ({"ratio": 5}, "gene 'ratio' must be one of 1, 2, 3; got 5"),
        ({"ratio": True}, "gene 'ratio' must be one of 1, 2, 3; got True"),
        ({"ration": 1}, "has no gene 'ration'; known: ratio, feed, deep, mix, strip"),
        ({"ratio": 1, "feed": "ffn", "strip": 3, "deep": 1}, r"forbid \{feed: \['ffn'\], strip"),
    ],
)
def test_spec_of_says_why_not(values, reason):
    with pytest.raises(SpaceError, match=reason):
        SPACES["conditions"].spec_of(values)


@pytest.mark.parametrize("codes", [(0, 0), (0, 0, 3), (0, -1, 0), (0, 0, -2)])
def test_codes_of_no_member_are_refused(codes):
    with pytest.raises(SpaceError, match="not a member of space 'small'"):
        SPACES["free"].decode(codes)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"genes": ()}, "has no genes"),
        ({"genes": (gene("w", "modules.*.branches.1.width", 24),)}, "no member can have 24"),
        (
            {
                "genes": tuple(per_branch("width", "width", 48, 16)),
                "constraints": (
                    Forbid((("width_1", (16,)), ("width_2", (16, 48)))),
                    Forbid((("width_1", (48,)), ("width_2", (16, 48)))),
                ),
            },
            "leave no architecture",
        ),
    ],
)
def test_a_space_without_members_is_refused(fields, reason):
    with pytest.raises(SpaceError, match=reason):
        Space(**{"name": "small", "base": BASE, **fields})


def test_narrowing_is_recorded():
    space = SPACES["kinds"]
    narrow = space.narrow({"strip_1": [2], "attention_2": ["window", "cross_shaped"]}, by="profile")
    records = narrow.to_dict()["narrowing"]
    assert records == [
        {"gene": "strip_1", "before": [1, 2], "after": [2], "by": "profile"},
        {
            "gene": "attention_2",
            "before": list(ATTENTIONS),
            "after": ["window", "cross_shaped"],
            "by": "profile",
        },
    ]
    assert narrow.size < space.size
    assert all(space.contains(spec) for spec in enumerated(narrow))
    kept = space.narrow({"stem": [8]}, ignore_unknown=True, by="profile")
    assert kept.size == space.size
    assert kept.narrowing[0].before is None
    some = space.narrow({"strip_1": [2, 9]}, ignore_unknown=True, by="profile")
    assert some.narrowing[0].after == (2,)
    assert space.narrow({"strip_1": [9]}, ignore_unknown=True, by="profile").size == space.size


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"stem": [8]}, "has no gene 'stem' to narrow"),
        ({"strip_1": [3]}, r"cannot be narrowed to 3 \(not a choice\); its choices are 1, 2"),
        ({"strip_1": [True]}, r"cannot be narrowed to True \(not a choice\)"),
        ({"strip_1": [1, 1]}, r"cannot be narrowed to 1 \(twice\)"),
        ({"strip_1": []}, "cannot be narrowed to no choice at all"),
    ],
)
def test_narrowing_that_cannot_be_is_refused(choices, reason):
    with pytest.raises(SpaceError, match=reason):
        SPACES["kinds"].narrow(choices)


def test_narrowing_takes_another_base_and_limits():
    limit = Limit(metric="params", max=1e6)
    narrow = SPACES["free"].narrow({"stem": [8]}, base=replace(BASE, head_width=64), limits=[limit])
    spec = narrow.sample(random.Random(0))
    assert (spec.stem_width, spec.head_width) == (8, 64)
    assert narrow.limits == (limit,)
    assert narrow.to_dict()["limits"][0]["max"] == 1e6


# Limits


def deep(*limits):
    """Some thousands of members whose costs spread widely."""
    return small(
        *per_branch("width", "width", 16, 32, 64, branches=(1, 2, 3)),
        *per_branch("ratio", "expansion_ratio", 1, 2, 4, branches=(2, 3)),
        gene("blocks_33", "modules.3.branches.3.blocks", 1, 3),
        gene("blocks_43", "modules.4.branches.3.blocks", 1, 2, 3),
        gene("attention", "modules.*.branches.3.attention", "cross_shaped", "convolution"),
        gene("strip", "modules.*.branches.3.strip_width", 1, 7),
        constraints=(Nondecreasing(("width_1", "width_2", "width_3")),),
        limits=limits,
    )


def members(space):
    every = product(*(range(-1, len(gene.choices)) for gene in space.genes))
    return [space._build(codes) for codes in every if space._fault(codes) is None]


@pytest.fixture(scope="module")
def by_cost():
    """All members of `deep`, cheapest first."""
    limit = Limit(metric="macs", max=1, image_size=(64, 64), num_classes=8)
    return sorted(members(deep()), key=lambda spec: (limit.value(spec), spec.id))


@pytest.fixture(scope="module")
def costs(by_cost):
    limit = Limit(metric="macs", max=1, image_size=(64, 64), num_classes=8)
    return [limit.value(spec) for spec in by_cost]


def ceiling(costs, rank):
    return Limit(metric="macs", max=costs[rank], image_size=(64, 64), num_classes=8)


def test_a_tight_ceiling_is_kept_with_few_costs(costs, monkeypatch):
    space = deep(ceiling(costs, 2))
    looked = []
    count = limits_module._cost

    def counted(*args):
        looked.append(args)
        return count(*args)

    monkeypatch.setattr(limits_module, "_cost", counted)
    rng = random.Random(2)
    for _ in range(20):
        spec = space.sample(rng)
        assert space.contains(spec)
        assert space.contains(space.nearest({"blocks_33": 3, "width_1": 64}, rng))
        assert space.contains(space.crossover(spec, space.sample(rng), rng))
        assert space.contains(space.mutate(spec, rng))
    assert len(looked) < 20 * 2000


def test_the_walk_is_uniform(by_cost, costs, monkeypatch):
    monkeypatch.setattr(space_module, "REJECTION_TRIES", 1)
    space = deep(ceiling(costs, 19))
    allowed = [spec for spec in by_cost if space.contains(spec)]
    rng = random.Random(4)
    counts = Counter(space.sample(rng).id for _ in range(30 * len(allowed)))
    observed = [counts[spec.id] for spec in allowed]
    assert sum(observed) == 30 * len(allowed)
    assert chisquare(observed).pvalue > 1e-3


def test_limits_that_nothing_meets_say_what_was_found(costs):
    space = deep(Limit(metric="macs", max=costs[0] - 1, image_size=(64, 64), num_classes=8))
    with pytest.raises(
        SpaceError, match=rf"found no member with macs .*has {re.escape(format(costs[0], '.6g'))}"
    ):
        space.sample(random.Random(0))


def test_a_band_of_cost_is_met(costs):
    middle = costs[len(costs) // 2]
    space = deep(
        Limit(
            metric="macs", min=0.98 * middle, max=1.02 * middle, image_size=(64, 64), num_classes=8
        )
    )
    assert space.contains(space.sample(random.Random(0)))


def test_refusal_by_a_limit_names_value_and_bound(by_cost, costs):
    space = deep(ceiling(costs, 0))
    reason = space.refusal(by_cost[-1])
    assert reason is not None
    assert "macs must be at most" in reason
    assert "at 64x64, 8 classes, got" in reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"metric": "macs"}, "needs max, min or both"),
        ({"metric": "macs", "min": 2, "max": 1}, "min must be at most max"),
        ({"metric": "flops", "max": 1}, "macs"),
        ({"metric": "macs", "max": 0}, "greater than 0"),
        ({"metric": "macs", "max": 1, "image_size": (16, 64)}, "at least 32, 32"),
        ({"metric": "macs", "max": 1, "size": 3}, "size"),
    ],
)
def test_limits_check_themselves(fields, reason):
    with pytest.raises(ValueError, match=reason):
        Limit(**fields)
