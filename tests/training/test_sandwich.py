"""One step of a supernet, by hand."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from small_trainings import (
    PLAIN,
    SEED,
    build_super,
    cost,
    plan,
    run_super,
    super_recipe,
)
from torch import nn

from hrvit_nas.data import train_batches
from hrvit_nas.training import find_ends, segmentation_loss
from hrvit_nas.training.sandwich import projected_sum
from hrvit_nas.training.seeds import mixed_seed, seed_generators

CPU = torch.device("cpu")

# One step, by hand


def by_hand(net, data, *, distillation, rank=0, world=1):
    """Losses and gradients of the first step on the largest and the smallest subnet."""
    net = deepcopy(net).train()
    ends = find_ends(net, cost)
    images, labels = next(
        train_batches(
            data.train,
            batch_size=super_recipe().batch_size,
            num_steps=1,
            seed=mixed_seed(SEED, 1, 0),
            augment=PLAIN,
            part=(rank, world),
        )
    )
    with torch.random.fork_rng():
        seed_generators(SEED, 0, CPU, 0, rank)
        teacher, student = net(images, ends.largest), net(images, ends.smallest)
    largest = segmentation_loss(teacher, labels, data.ignore_index)
    p = teacher.detach().softmax(1)
    divergence = (p * (p.log() - student.log_softmax(1))).sum(1).mean()
    smallest = (1 - distillation) * segmentation_loss(student, labels, data.ignore_index)
    smallest = smallest + distillation * divergence
    parameters = list(net.parameters())
    gradients = [
        torch.autograd.grad(loss, parameters, allow_unused=True) for loss in (largest, smallest)
    ]
    return (largest.item(), smallest.item()), gradients


ONE_STEP = {"steps": 1, "random_subnets": 0, "evaluations": 1}


def assert_gradients(parameters, expected):
    for parameter, gradient in zip(parameters, expected, strict=True):
        found = parameter.grad if isinstance(parameter, nn.Parameter) else parameter
        assert (found is None) == (gradient is None)
        if found is not None:
            torch.testing.assert_close(found, gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("distillation", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("project", [False, True])
def test_a_step_has_the_losses_and_gradients_by_hand(data, distillation, project):
    net = build_super()
    losses, (firsts, others) = by_hand(net, data, distillation=distillation)
    how = plan(**ONE_STEP, distillation=distillation, project_conflicts=project)
    progress = run_super(net, data, super_recipe(clip_norm=None, learning_rate=1e-9), how)
    assert progress.losses[0] == pytest.approx(losses, rel=1e-4)
    total = projected_sum(firsts, others) if project else added(firsts, others)
    assert_gradients(net.parameters(), [g if g is None else g / 2 for g in total])


def added(firsts, others):
    pairs = [[g for g in pair if g is not None] for pair in zip(firsts, others, strict=True)]
    return [sum(pair) if pair else None for pair in pairs]


@pytest.mark.parametrize("conflict", [False, True])
def test_a_projected_sum_is_numpys(conflict):
    rng = np.random.default_rng(0)
    sizes = (3, 5, 2, 4)
    firsts = [rng.normal(size=size) for size in sizes]
    sign = -1 if conflict else 1
    others = [sign * first + 0.1 * rng.normal(size=first.size) for first in firsts]
    firsts[1], others[2] = None, None
    firsts[3] = others[3] = None

    def flat(tensors):
        return np.concatenate(
            [np.zeros(n) if t is None else t for t, n in zip(tensors, sizes, strict=True)]
        )

    a, b = flat(firsts), flat(others)
    assert (a @ b < 0) == conflict
    expected = a + b - (min(0, a @ b) / (a @ a)) * a
    found = projected_sum(
        *([t if t is None else torch.from_numpy(t) for t in side] for side in (firsts, others))
    )
    assert found[3] is None
    np.testing.assert_allclose(
        flat([t if t is None else t.numpy() for t in found]), expected, rtol=1e-12
    )
    if conflict:
        assert a @ (expected - a) == pytest.approx(0, abs=1e-9)
