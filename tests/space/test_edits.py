"""Edits of an architecture by patterns of fields."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrvit_nas.arch import get_arch
from hrvit_nas.space import SpaceError, apply_edits, edited_fields

BASE = get_arch("hrvit_b1")


def test_a_pattern_changes_all_that_it_matches_and_nothing_else():
    edited = apply_edits(BASE, {"modules.*.branches.3.strip_width": 14})
    for (_, b, branch), (_, _, before) in zip(edited.walk(), BASE.walk(), strict=True):
        assert branch == (replace(before, strip_width=14) if b == 2 else before)


def test_fields_of_architecture_module_and_branch_go_together():
    edits = {"stem_width": 32, "modules.4.fusion": "sparse", "modules.1.branches.1.blocks": 2}
    edited = apply_edits(BASE, edits)
    assert edited.stem_width == 32
    assert [module.fusion for module in edited.modules] == ["dense"] * 3 + ["sparse"] + [
        "dense"
    ] * 2
    assert edited.modules[0].branches[0].blocks == 2
    back = {"stem_width": 64, "modules.4.fusion": "dense", "modules.1.branches.1.blocks": 1}
    assert apply_edits(edited, back) == BASE


def test_what_an_attention_kind_does_not_read_is_left_unset():
    without = apply_edits(BASE, {"modules.*.branches.1.attention": "convolution"})
    assert all(branch.strip_width is None for _, b, branch in without.walk() if b == 0)
    assert apply_edits(without, {"modules.*.branches.1.kv_sharing": False}) == without


@given(st.sampled_from(["strip_width", "expansion_ratio", "blocks"]), st.integers(1, 9))
def test_edits_set_what_they_say_and_once_is_enough(name, value):
    edits = {f"modules.*.branches.*.{name}": value}
    edited = apply_edits(BASE, edits)
    assert {getattr(branch, name) for _, _, branch in edited.walk()} == {value}
    assert apply_edits(edited, edits) == edited
    assert set(edited_fields(BASE, edits).values()) == {value}


FAULTS = {
    "a misspelt field": ({"modules.*.branches.*.strip_widht": 2}, "did you mean 'strip_width'"),
    "no path": ({"strip_width": 2}, "'strip_width' is no field; allowed: stem_width"),
    "a branch that is not there": ({"modules.1.branches.2.blocks": 2}, "matches nothing; the base"),
    "a value that no branch can have": ({"modules.*.branches.*.blocks": 0}, "at least 1, got 0"),
    "a module that opens a branch": ({"modules.2.fusion": "sparse"}, "must be dense, got 'sparse'"),
    "two values for one field": (
        {"modules.*.branches.1.blocks": 2, "modules.1.branches.*.blocks": 3},
        "contradict each other: they set blocks of module 1, branch 1 to 2 and to 3",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_that_says_what_is_allowed(name):
    edits, message = FAULTS[name]
    with pytest.raises(SpaceError, match=message):
        apply_edits(BASE, edits)
