"""Muon over batches of matrices, against torch's own, which takes one after the other."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hrvit_nas.arch import get_arch, scale_widths
from hrvit_nas.models import build_segmentor
from hrvit_nas.training import Recipe, build_optimizer, parameter_groups, set_learning_rate
from hrvit_nas.training.muon import BatchedMuon
from hrvit_nas.training.optimizer import MUON_SIDE, Optimizers, clip_gradients

SHAPES = ((8, 8), (8, 24), (24, 8), (8, 8), (16, 40), (40, 16), (24, 8))


def matrices(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def test_updates_are_those_of_torch():
    mine, theirs = matrices(), matrices()
    group = {"weight_decay": 0.1}
    batched = BatchedMuon([{"params": mine, **group}], lr=0.05)
    plain = torch.optim.Muon(
        [{"params": theirs, **group}], lr=0.05, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    for step in range(4):
        for first, second, like in zip(mine, theirs, matrices(step + 1), strict=True):
            first.grad, second.grad = like.detach().clone(), like.detach().clone()
        batched.step()
        plain.step()
    for before, first, second in zip(matrices(), mine, theirs, strict=True):
        moved = (second - before).norm()
        # torch iterates in bfloat16, which has three digits.
        assert (first - second).norm() < 0.03 * moved


@given(rows=st.integers(8, 40), columns=st.integers(8, 40), seed=st.integers(0, 2**32 - 1))
def test_an_update_has_singular_values_near_one_and_the_size_of_adamw(rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    weight = nn.Parameter(torch.zeros(rows, columns))
    weight.grad = torch.randn(rows, columns, generator=generator)
    BatchedMuon([{"params": [weight], "weight_decay": 0.0}], lr=1.0).step()
    scale = 0.2 * max(rows, columns) ** 0.5
    values = torch.linalg.svdvals(weight.detach()) / scale
    # Five iterations leave them about 1 by design of the polynomial; square matrices may have
    # singular values too near zero to be raised.
    assert values.max() < 1.35
    assert values.median() > 0.5


def test_a_matrix_without_a_gradient_is_left_alone():
    first, second = nn.Parameter(torch.ones(8, 8)), nn.Parameter(torch.ones(8, 8))
    first.grad = torch.randn(8, 8)
    BatchedMuon([{"params": [first, second], "weight_decay": 0.1}], lr=0.1).step()
    assert not torch.equal(first.detach(), torch.ones(8, 8))
    assert torch.equal(second.detach(), torch.ones(8, 8))


def test_muon_takes_the_matrices_and_adamw_the_rest():
    model = build_segmentor(scale_widths(get_arch("hrvit_b1"), 0.25), 11)
    groups = parameter_groups(model, Recipe(optimizer="muon"))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    taken = {names[id(p)]: group["muon"] for group in groups for p in group["params"]}
    assert set(taken) == set(names.values())
    for name, parameter in model.named_parameters():
        fits = parameter.ndim == 2 and min(parameter.shape) >= MUON_SIDE
        assert taken[name] == (fits and name != "head.classifier.weight"), name
    assert not any(group["muon"] for group in parameter_groups(model, Recipe()))


def test_both_go_on_from_their_state():
    recipe = Recipe(optimizer="muon", learning_rate=0.01)

    def run(model, optimizer, steps):
        for step in steps:
            set_learning_rate(optimizer, step, recipe)
            optimizer.zero_grad()
            images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(step))
            model(images).square().mean().backward()
            optimizer.step()

    def fresh():
        torch.manual_seed(0)
        model = build_segmentor(scale_widths(get_arch("hrvit_b1"), 0.125), 5).eval()
        return model, build_optimizer(model, recipe)

    model, optimizer = fresh()
    assert isinstance(optimizer, Optimizers)
    run(model, optimizer, range(2))
    first, optimizer = fresh()
    run(first, optimizer, range(1))
    second, resumed = fresh()
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(optimizer.state_dict())
    run(second, resumed, range(1, 2))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
    adamw = build_optimizer(nn.Linear(4, 4), Recipe())
    with pytest.raises(ValueError, match="a state of 2 optimisers"):
        resumed.load_state_dict(adamw.state_dict())


@given(scale=st.floats(1e-3, 1e3), max_norm=st.none() | st.floats(0.1, 10), seed=st.integers(0, 99))
def test_clipping_is_that_of_torch(scale, max_norm, seed):
    def parameters():
        found = matrices(seed)
        for parameter in found:
            parameter.grad = scale * parameter.detach().clone()
        return [*found, nn.Parameter(torch.ones(3))]  # the last has no gradient

    mine, theirs = parameters(), parameters()
    norm = clip_gradients(mine, max_norm)
    expected = nn.utils.clip_grad_norm_(theirs, torch.inf if max_norm is None else max_norm)
    torch.testing.assert_close(norm, expected)
    for first, second in zip(mine[:-1], theirs[:-1], strict=True):
        torch.testing.assert_close(first.grad, second.grad)
