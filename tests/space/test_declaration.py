"""Declarations: what loads, and the line that each mistake is reported at."""

import random
import textwrap

import pytest

from hrvit_nas.arch import get_arch, scale_widths
from hrvit_nas.space import Gene, SpaceError, list_spaces, load_space

GOOD = """\
schema_version: 1
description: two genes
base: hrvit_b1
genes:
  ratio: {field: "modules.*.branches.1.expansion_ratio", choices: [2, 4]}
  feed:
    field: "modules.*.branches.1.feed_forward"
    choices: [mix_cfn, ffn]
    when: {ratio: [4]}
constraints:
  - forbid: {ratio: [2], width: [48]}
limits:
  - {metric: params, max: 1.0e+7, image_size: [64, 64], num_classes: 8}
"""
WIDTH = '  width: {field: "modules.*.branches.4.width", choices: [256, 384]}\n'
GOOD = GOOD.replace("  feed:", WIDTH + "  feed:").replace("width: [48]", "width: [384]")


@pytest.fixture
def declare(tmp_path):
    """Writes a declaration; returns its path as a string."""

    def write(text, name="mine"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(textwrap.dedent(text))
        return str(path)

    return write


def test_a_declaration_becomes_a_space(declare):
    space = load_space(declare(GOOD))
    assert space.name == "mine"
    assert space.base == get_arch("hrvit_b1")
    assert [gene.name for gene in space.genes] == ["ratio", "width", "feed"]
    assert space.genes[2] == Gene(
        name="feed",
        field="modules.*.branches.1.feed_forward",
        choices=("mix_cfn", "ffn"),
        when=(("ratio", (4,)),),
    )
    assert space.size == 2 * 2 + 1
    assert space.limits[0].max == 1e7
    assert space.limits[0].image_size == (64, 64)


def test_a_base_can_be_scaled(declare):
    text = GOOD.replace("base: hrvit_b1", "base: {arch: hrvit_b1, width_factor: 0.5}")
    space = load_space(declare(text))
    assert space.base == scale_widths(get_arch("hrvit_b1"), 0.5)


MISTAKES = {
    "misspelt key": ("base: hrvit_b1", "bass: hrvit_b1", 3, "unknown key 'bass'.*mean 'base'"),
    "misspelt gene key": ("    when:", "    wenn:", 10, "gene 'feed': unknown key 'wenn'"),
    "misspelt limit key": ("metric: params, max", "metric: params, mx", 14, "unknown key 'mx'"),
    "unknown metric": ("metric: params", "metric: flops", 14, "limits.0.metric.*got 'flops'"),
    "no bound": ("max: 1.0e+7, ", "", 14, "needs max, min or both"),
    "version": ("schema_version: 1", "schema_version: 2", 1, "must be 1, got 2"),
    "no version": ("schema_version: 1", "# no", 2, "schema_version is missing"),
    "no base": ("base: hrvit_b1", "# no", 1, "base is missing"),
    "unknown base": ("base: hrvit_b1", "base: hrvit_b9", 3, "'hrvit_b9'; known: hrvit_b1"),
    "a pyramid as base": ("base: hrvit_b1", "base: mit_b0", 3, "must be an HRViT, got 'mit_b0'"),
    "field without meaning": ("1.feed_forward", "1.feed", 8, "gene 'feed': .* is no field"),
    "field of no branch": ("branches.4.width", "branches.5.width", 6, "matches nothing"),
    "field numbered from 0": ("branches.4.width", "branches.0.width", 6, "is no field.*from 1"),
    "field set twice": (
        "modules.*.branches.4.width",
        "modules.2.branches.*.expansion_ratio",
        6,
        "'width': gene 'ratio' already sets expansion_ratio of module 2, branch 1",
    ),
    "no choice": ("choices: [2, 4]", "choices: []", 5, "gene 'ratio': choices: .*at least 1"),
    "choice twice": ("[2, 4]", "[2, 4, 2]", 5, "'ratio': choice 2 stands twice"),
    "choice of wrong type": ("[2, 4]", "[2.5, 4]", 5, "gene 'ratio': choices.0: .*got 2.5"),
    "choice of wrong kind": ("[2, 4]", "[2, 4, four]", 5, "expansion_ratio must be an int"),
    "truth for a number": ("[2, 4]", "[2, 4, true]", 5, "'ratio': expansion_ratio .*got True"),
    "choices no list": ("choices: [2, 4]", "choices: 2", 5, "gene 'ratio': choices: .*list"),
    "choices of no list, below": (
        "choices: [mix_cfn, ffn]",
        "choices:\n      - mix_cfn\n      - fnn",
        11,
        "'feed': feed_forward must be one of mix_cfn, ffn; got 'fnn'",
    ),
    "choice never taken": (
        *("[256, 384]", "[256, 384, 300]", 6),
        "no architecture can have 300: width",
    ),
    "condition on no gene": ("{ratio: [4]}", "{rate: [4]}", 10, "'rate' is no gene"),
    "condition on no choice": ("{ratio: [4]}", "{ratio: [3]}", 10, "3 is no choice of"),
    "condition on itself": ("{ratio: [4]}", "{feed: [ffn]}", 10, "conditions form a circle"),
    "constraint on no gene": ("{ratio: [2],", "{rate: [2],", 12, "'rate' is no gene"),
    "constraint on no choice": ("width: [384]", "width: [48]", 12, "48 is no choice of"),
    "constraint without meaning": ("forbid:", "prevent:", 12, "'prevent'"),
    "order of words": (
        "forbid: {ratio: [2], width: [384]}",
        "nondecreasing: [ratio, feed]",
        12,
        r"needs numbers, but gene 'feed' has \['mix_cfn', 'ffn'\]",
    ),
    "order of one": (
        "forbid: {ratio: [2], width: [384]}",
        "nondecreasing: [ratio]",
        12,
        "must name two or more genes",
    ),
    "narrowing no gene": ("limits:", "narrow: {rate: [2]}\nlimits:", 13, "no gene 'rate'"),
    "narrowing to more": ("limits:", "narrow: {ratio: [3]}\nlimits:", 13, "narrowed to 3"),
    "key twice": ("limits:", "base: hrvit_b2\nlimits:", 13, "key 'base' stands twice"),
    "not YAML": ("limits:", "limits: [", 14, "not YAML"),
    "no plain data": ("hrvit_b1", "!!python/name:os.system x", 3, "cannot be read"),
    "space extended unknown": ("base:", "extends: jiont\nbase:", 3, "did you mean 'joint'"),
    "an anchor within itself": ("base: hrvit_b1", "base: &a {arch: *a}", 3, "anchor within itself"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_reported_in_one_line_with_its_place(case, declare):
    old, new, line, reason = MISTAKES[case]
    assert old in GOOD
    with pytest.raises(SpaceError, match=reason) as caught:
        load_space(declare(GOOD.replace(old, new, 1)))
    assert str(caught.value).startswith(f"mine.yaml:{line}: ")
    assert "\n" not in str(caught.value)


def test_a_base_in_a_file_is_no_pyramid(declare, tmp_path):
    (tmp_path / "baseline.json").write_text(get_arch("cswin_ti").to_json())
    with pytest.raises(SpaceError, match=r"^mine\.yaml:3: base: an HRViT has .* family 'cswin'$"):
        load_space(declare(GOOD.replace("base: hrvit_b1", "base: baseline.json")))


@pytest.mark.parametrize("text", ["", "- 1", "hello", "{1: 2}"])
def test_a_file_without_keys_is_refused(text, declare):
    with pytest.raises(SpaceError, match=r"mine\.yaml:1: "):
        load_space(declare(text))


def test_a_space_extends_others(declare):
    declare(GOOD, "first")
    declare(
        """\
        schema_version: 1
        base: hrvit_b2
        genes:
          ratio: {field: "modules.*.branches.1.expansion_ratio", choices: [2, 4]}
          stem: {field: stem_width, choices: [16, 32]}
        """,
        "second",
    )
    path = declare(
        """\
        schema_version: 1
        extends: [first, second]
        genes:
          head: {field: head_width, choices: [64, 256]}
        narrow: {stem: [16], width: [256]}
        constraints:
          - forbid: {stem: [16], head: [256]}
        """
    )
    space = load_space(path)
    assert [gene.name for gene in space.genes] == ["ratio", "width", "feed", "stem", "head"]
    assert space.base == get_arch("hrvit_b1")
    assert len(space.constraints) == 2
    assert len(space.limits) == 1
    assert space.size == 3
    assert [(n.gene, n.before, n.after, n.by) for n in space.narrowing] == [
        ("stem", (16, 32), (16,), "mine"),
        ("width", (256, 384), (256,), "mine"),
    ]
    assert load_space(declare(GOOD, "first")).narrowing == ()


def test_mistakes_across_files_name_the_right_file(declare):
    declare(GOOD, "first")
    declare(GOOD.replace("[2, 4]", "[2, 3]").replace("{ratio: [4]}", "{ratio: [3]}"), "second")
    with pytest.raises(
        SpaceError, match=r"mine\.yaml:2: gene 'ratio' of second differs from .*first"
    ):
        load_space(declare("schema_version: 1\nextends: [first, second]\n"))
    text = (
        "schema_version: 1\nextends: first\ngenes:\n  width: {field: stem_width, choices: [16]}\n"
    )
    with pytest.raises(
        SpaceError, match=r"mine\.yaml:4: gene 'width' already stands in first\.yaml"
    ):
        load_space(declare(text))
    text = "schema_version: 1\nextends: first\nbase: {arch: hrvit_b1, width_factor: 0.03}\n"
    text += 'genes:\n  all: {field: "modules.1.branches.1.expansion_ratio", choices: [16]}\n'
    with pytest.raises(SpaceError, match=r"mine\.yaml:5: gene 'all': gene 'ratio' already sets"):
        load_space(declare(text))


def test_extending_in_a_circle_is_refused(declare):
    declare("schema_version: 1\nextends: mine\n", "other")
    with pytest.raises(SpaceError, match=r"other\.yaml:2: .*circle: mine -> other -> mine"):
        load_space(declare("schema_version: 1\nextends: [other]\n"))


def test_a_name_that_no_space_has_suggests_one():
    with pytest.raises(
        SpaceError, match=r"known: .*joint.*; did you mean 'heterogeneous_branches'"
    ):
        load_space("heterogenous_branches")
    with pytest.raises(SpaceError, match=r"no search space file at nowhere/mine\.yaml"):
        load_space("nowhere/mine.yaml")


def test_the_shipped_spaces_are_listed_and_load():
    assert list_spaces() == ("attention_variants", "heterogeneous_branches", "joint")
    for name in list_spaces():
        space = load_space(name)
        assert space.name == name
        assert space.description
        assert space.contains(space.sample(random.Random(0)))
