import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hrvit_nas.arch import get_arch, scale_widths
from hrvit_nas.models import build_segmentor
from hrvit_nas.training import (
    Recipe,
    build_optimizer,
    learning_rate_factor,
    parameter_groups,
    set_learning_rate,
)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 4))
        self.image_norm = nn.LayerNorm((4, 5))  # a norm whose weight has two dimensions
        self.scale = nn.Parameter(torch.ones(4))
        self.head = nn.Sequential(nn.Conv2d(4, 2, 1), nn.GroupNorm(1, 2))


def named_settings(model, recipe):
    """Parameter name -> (peak rate, weight decay), each parameter once."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    settings = [
        (names[id(parameter)], (group["peak_lr"], group["weight_decay"]))
        for group in parameter_groups(model, recipe)
        for parameter in group["params"]
    ]
    assert len(settings) == len(dict(settings))
    return dict(settings)


def test_norms_biases_and_scales_do_not_decay_and_the_head_learns_faster():
    recipe = Recipe(learning_rate=0.1, weight_decay=0.5, head_lr_factor=10)
    settings = named_settings(Net(), recipe)
    body, head = 0.1, 1.0
    assert settings == {
        "backbone.0.weight": (body, 0.5),
        "backbone.0.bias": (body, 0),
        "backbone.1.weight": (body, 0),
        "backbone.1.bias": (body, 0),
        "backbone.2.weight": (body, 0.5),
        "backbone.2.bias": (body, 0),
        "image_norm.weight": (body, 0),
        "image_norm.bias": (body, 0),
        "scale": (body, 0),
        "head.0.weight": (head, 0.5),
        "head.0.bias": (head, 0),
        "head.1.weight": (head, 0),
        "head.1.bias": (head, 0),
    }


def test_every_parameter_of_a_segmentor_is_trained_and_only_matrices_decay():
    model = build_segmentor(scale_widths(get_arch("hrvit_b1"), 0.125), 5)
    settings = named_settings(model, Recipe(head_lr_factor=10))
    assert set(settings) == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        rate, decay = settings[name]
        assert (decay > 0) == (parameter.ndim > 1), name
        assert rate == (2e-2 if name.startswith("head.") else 2e-3), name


def test_shared_and_frozen_parameters():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    model[2].requires_grad_(False)
    assert set(named_settings(model, Recipe())) == {"0.weight", "0.bias", "1.bias"}


def test_a_factor_for_a_missing_head_is_refused():
    with pytest.raises(
        ValueError, match=r"head_lr_factor=10.0 needs a model with a `head`; Linear"
    ):
        parameter_groups(nn.Linear(2, 2), Recipe(head_lr_factor=10))


def test_decay_shrinks_weights_and_leaves_norms_alone():
    model = Net()
    recipe = Recipe(steps=2, warmup_steps=0, learning_rate=0.1, weight_decay=0.5)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = build_optimizer(model, recipe)
    set_learning_rate(optimizer, 0, recipe)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        shrink = 1 - 0.1 * 0.5 if name in {n for n, p in before.items() if p.ndim > 1} else 1
        shrink = 1 if name.startswith("image_norm") else shrink
        torch.testing.assert_close(parameter.detach(), before[name] * shrink)


def test_published_schedule_by_hand():
    recipe = Recipe(steps=160_000, warmup_steps=1500, warmup_start_factor=1e-6)
    assert learning_rate_factor(0, recipe) == pytest.approx(1e-6)
    assert learning_rate_factor(750, recipe) == pytest.approx(0.5000005 * (1 - 750 / 160_000))
    assert learning_rate_factor(1500, recipe) == pytest.approx(1 - 1500 / 160_000)
    assert learning_rate_factor(80_000, recipe) == pytest.approx(0.5)
    assert learning_rate_factor(159_999, recipe) == pytest.approx(1 / 160_000)


@given(
    steps=st.integers(2, 500),
    warmup=st.integers(0, 499),
    power=st.floats(0, 3),
    start=st.floats(0, 1),
)
def test_schedule_rises_then_falls_and_follows_the_decay_curve(steps, warmup, power, start):
    warmup = min(warmup, steps - 1)
    recipe = Recipe(steps=steps, warmup_steps=warmup, decay_power=power, warmup_start_factor=start)
    factors = [learning_rate_factor(step, recipe) for step in range(steps)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert factors[0] == pytest.approx(start if warmup else 1)
    expected = [(1 - step / steps) ** power for step in range(warmup, steps)]
    assert factors[warmup:] == pytest.approx(expected)


def test_cosine_by_formula():
    recipe = Recipe(steps=100, warmup_steps=10, decay="cosine", warmup_start_factor=0.2)
    for step in range(100):
        warm = min(1, 0.2 + 0.8 * step / 10)
        expected = warm * np.cos(np.pi * step / 200) ** 2  # half of 1 + cos of twice the angle
        assert learning_rate_factor(step, recipe) == pytest.approx(expected)


def test_learning_rates_of_the_groups_follow_the_schedule():
    recipe = Recipe(steps=10, warmup_steps=0, learning_rate=0.1, head_lr_factor=5)
    optimizer = build_optimizer(Net(), recipe)
    set_learning_rate(optimizer, 5, recipe)
    assert sorted({group["lr"] for group in optimizer.param_groups}) == pytest.approx([0.05, 0.25])
