"""A state of many tensors, packed into few and unpacked again."""

import io

import torch
from hypothesis import given
from hypothesis import strategies as st

from hrvit_nas.training.packing import pack, unpack

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool)


@st.composite
def tensors(draw):
    shape = draw(st.lists(st.integers(0, 3), max_size=4))
    tensor = (
        torch.arange(torch.Size(shape).numel()).reshape(shape).to(draw(st.sampled_from(DTYPES)))
    )
    how = draw(st.sampled_from(("plain", "channels last", "transposed", "strided", "expanded")))
    if how == "channels last" and len(shape) == 4:
        return tensor.to(memory_format=torch.channels_last)
    if how == "transposed" and len(shape) > 1:
        return tensor.transpose(0, -1)
    if how == "strided" and shape:
        return tensor[..., ::2]
    return tensor.expand(2, *shape) if how == "expanded" else tensor


PLAIN = st.none() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just((0.9, 0.99))
STATES = st.dictionaries(
    st.text() | st.integers(),
    st.recursive(
        tensors() | PLAIN,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner)
        ),
        max_leaves=12,
    ),
)


def same(one, other):
    if isinstance(one, torch.Tensor):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        orders = [torch.contiguous_format] + [torch.channels_last] * (one.ndim == 4)
        for order in orders:  # strides themselves say nothing where a dimension has one entry
            kept = other.is_contiguous(memory_format=order)
            assert kept or not one.is_contiguous(memory_format=order)
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and type(one) is type(other)


@given(STATES)
def test_a_state_comes_back_from_a_file_as_it_was(state):
    file = io.BytesIO()
    torch.save(pack(state), file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    assert len(loaded["packed"]) <= len(DTYPES)
    assert same(state, unpack(loaded))


def test_a_tensor_in_a_tuple_stays_where_it_is():
    state = {"a": (torch.ones(2), 1), "b": torch.ones(3)}
    packed = pack(state)
    assert [len(tensor) for tensor in packed["packed"]] == [3]
    assert unpack(packed)["a"] is state["a"]


def test_what_is_unpacked_has_memory_of_its_own_and_what_was_packed_is_left_alone():
    state = {"a": torch.zeros(2), "b": [torch.ones(3)]}
    packed = pack(state)
    found = unpack(packed)
    found["a"].add_(1)
    assert found["b"][0].tolist() == [1, 1, 1]
    assert state["a"].tolist() == packed["packed"][0][:2].tolist() == [0, 0]
    assert found["b"][0].untyped_storage().nbytes() == 12
