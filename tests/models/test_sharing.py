"""Slices of shared tensors, against numpy indexing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hrvit_nas.models.sharing import groups_of, picked_groups, shared_path, take

# The groups of an input map are, in order, both halves of: query, (unshared) key, value.
PICKED = {
    (2, 2): (0, 1),
    (2, 4): (2, 3),
    (2, 6): (4, 5),
    (4, 4): (0, 1, 2, 3),
    (4, 6): (0, 1, 4, 5),
    (6, 6): (0, 1, 2, 3, 4, 5),
    (1, 1): (0,),
    (3, 3): (0, 1, 2),
}


@st.composite
def axes(draw):
    """Shared size, groups there, groups wanted, size wanted, and the indices by hand."""
    wanted, there = draw(st.sampled_from(sorted(PICKED)))
    full = draw(st.integers(1, 4))
    size = draw(st.integers(1, full))
    indices = [g * full + i for g in PICKED[wanted, there] for i in range(size)]
    return full * there, there, wanted, size * wanted, indices


@settings(max_examples=200, deadline=None)
@given(first=axes(), second=axes(), kernel=st.sampled_from([(), (3, 3)]), ndim=st.integers(1, 2))
def test_a_slice_is_what_numpy_picks_and_so_is_its_gradient(first, second, kernel, ndim):
    sizes, there, wanted, shape, indices = zip(first, second, strict=True)
    tail = kernel if ndim == 2 else ()
    full = (*sizes[:ndim], *tail)
    shared = torch.arange(np.prod(full), dtype=torch.float64).reshape(full).requires_grad_()
    mine = take(shared, (*shape[:ndim], *tail), there, wanted)
    picked = np.ix_(*indices[:ndim])
    np.testing.assert_array_equal(mine.detach().numpy(), shared.detach().numpy()[picked])

    weight = torch.rand(mine.shape, dtype=torch.float64)
    (mine * weight).sum().backward()
    expected = np.zeros(full)
    expected[picked] = weight.numpy()
    np.testing.assert_array_equal(shared.grad.numpy(), expected)


@pytest.mark.parametrize(("wanted", "there"), PICKED)
def test_groups_picked(wanted, there):
    assert picked_groups(wanted, there) == PICKED[wanted, there]


@pytest.mark.parametrize(
    ("shape", "groups"), [((6, 8), (1, 2)), ((2, 8), (1, 2)), ((6, 3), (2, 1))], ids=str
)
def test_one_slice_is_a_view(shape, groups):
    shared = torch.zeros(6, 8)
    mine = take(shared, shape, groups, groups)
    assert mine.untyped_storage().data_ptr() == shared.untyped_storage().data_ptr()
    assert take(shared, (6, 8), groups, groups) is shared


@pytest.mark.parametrize(
    ("path", "leaf", "groups"),
    [
        ("backbone.stem.conv1.conv", nn.Conv2d(3, 8, 3), (1, 1)),
        ("head.fusion.linear", nn.Linear(12, 4), (1, 3)),
        ("head.projections.0", nn.Linear(8, 4), (1, 1)),
        ("blocks.0.attention.to_input", nn.Linear(8, 8), (2, 1)),
        ("blocks.0.attention.to_input", nn.Linear(8, 16), (4, 1)),
        ("blocks.0.attention.to_input", nn.Linear(8, 24), (6, 1)),
        ("blocks.0.attention.parallel_conv", nn.Conv2d(8, 8, 3, groups=8), (2, 1)),
        ("blocks.0.attention.to_output", nn.Linear(8, 8), (1, 2)),
        ("blocks.0.feed_forward.expand", nn.Linear(8, 16), (2, 1)),
        ("blocks.0.feed_forward.reduce", nn.Linear(16, 8), (1, 2)),
    ],
)
def test_groups_of_a_layer(path, leaf, groups):
    assert groups_of(path, leaf, {"head.fusion.linear": 3}) == groups


def test_both_forms_of_the_output_projection_share_a_path():
    path = "blocks.0.attention.to_output"
    assert shared_path(f"{path}.linear") == shared_path(path) == path
    assert shared_path("paths.0_to_1.pointwise.linear") == "paths.0_to_1.pointwise.linear"
