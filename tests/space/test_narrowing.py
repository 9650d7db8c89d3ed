"""Narrowing a space: what is left, what is on record, what is refused."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from small_spaces import BASE, SPACES, all_archs

from hrvit_nas.arch import ATTENTIONS
from hrvit_nas.space import Limit, Space, SpaceError


@given(st.sampled_from(sorted(SPACES)), st.data())
def test_any_narrowed_space_comes_back_from_json(name, data):
    space = SPACES[name]
    choices = {
        gene.name: data.draw(st.lists(st.sampled_from(gene.choices), min_size=1, unique=True))
        for gene in space.genes
        if data.draw(st.booleans())
    }
    most = data.draw(st.floats(1, 1e12))
    limits = [Limit(metric="params", max=most)] if data.draw(st.booleans()) else []
    try:
        narrow = space.narrow(choices, limits=limits, by="profile")
    except SpaceError:
        reject()
    again = Space.from_dict(json.loads(json.dumps(narrow.to_dict())))
    assert again == replace(narrow, description="")
    assert again.size == narrow.size


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
    assert all(space.contains(spec) for spec in all_archs(narrow))
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
