"""Small spaces, against enumeration; then what sampling and variation promise."""

import pickle
import random
from collections import Counter
from dataclasses import replace
from itertools import product

import pytest
from scipy.stats import chisquare
from small_spaces import BASE, SPACES, all_archs, branch, gene, per_branch, small

from hrvit_nas.arch import (
    HEADED_ATTENTIONS,
    STRIP_ATTENTIONS,
    ArchError,
    ArchSpec,
    ModuleSpec,
    attention_group_width,
)
from hrvit_nas.space import Forbid, Nondecreasing, Space, SpaceError


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
    for values in product(*(g.choices for g in space.genes)):
        known = dict(zip((g.name for g in space.genes), values, strict=True))
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
def test_architectures_are_those_of_enumeration(name):
    space = SPACES[name]
    expected = enumerated(space)
    assert space.size == len(expected) > 8
    codes = {space.encode(spec) for spec in expected}
    assert len(codes) == len(expected)
    assert {space.decode(code) for code in codes} == expected
    assert len(all_archs(space)) == len(expected)


@pytest.mark.parametrize("name", SPACES)
def test_sampling_is_uniform(name):
    space = SPACES[name]
    rng = random.Random(11)
    draws = 40 * space.size if space.size < 200 else 20 * space.size
    counts = Counter(space.encode(space.sample(rng)) for _ in range(min(draws, 12_000)))
    observed = list(counts.values()) + [0] * (space.size - len(counts))
    assert chisquare(observed).pvalue > 1e-3


@pytest.mark.parametrize("name", SPACES)
def test_variation_stays_inside_and_repair_leaves_architectures_alone(name):
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


def test_mutation_reaches_every_architecture():
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


def test_same_seed_same_architectures():
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
def test_codes_of_no_architecture_are_refused(codes):
    with pytest.raises(SpaceError, match="not in space 'small'"):
        SPACES["free"].decode(codes)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"genes": ()}, "has no genes"),
        ({"genes": (gene("w", "modules.*.branches.1.width", 24),)}, "no architecture can have 24"),
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
def test_a_space_without_architectures_is_refused(fields, reason):
    with pytest.raises(SpaceError, match=reason):
        Space(**{"name": "small", "base": BASE, **fields})
