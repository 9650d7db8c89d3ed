"""Training with an auxiliary head, and batches that are too small for a head."""

from dataclasses import replace

import pytest
import torch
from small_trainings import (
    SQUARES,
    StopRunError,
    assert_same_result,
    assert_same_weights,
    build_net,
    build_super,
    declare,
    plain_recipe,
    plan,
    run_super,
    stop_at,
    super_recipe,
)
from torch.nn import functional

from hrvit_nas.arch import get_arch, scale_widths
from hrvit_nas.data import train_batches
from hrvit_nas.models import AuxiliarySegmentor, build_segmentor
from hrvit_nas.space import Gene
from hrvit_nas.training import (
    Recipe,
    check_batches,
    load_trained,
    parameter_groups,
    save_trained,
    train,
)
from hrvit_nas.training.plain import with_auxiliary_head
from hrvit_nas.training.seeds import seed_generators

SEED = 3


def network(kind="upernet", num_modules=3):
    spec = scale_widths(get_arch("hrvit_b1"), 0.125)
    spec = replace(spec, head_kind=kind, head_width=16, modules=spec.modules[:num_modules])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_segmentor(spec, SQUARES.num_classes)


def recipe(**fields):
    return plain_recipe(**{"steps": 3, "warmup_steps": 0, "auxiliary_weight": 0.4} | fields)


def first_losses(settings):
    """Losses of both heads at the first step."""
    images, labels = next(
        train_batches(
            SQUARES.train,
            batch_size=settings.batch_size,
            num_steps=1,
            seed=SEED,
            augment=settings.augment,
        )
    )
    model = with_auxiliary_head(network(), SQUARES.num_classes, SEED).train()
    with torch.random.fork_rng():
        seed_generators(SEED, 0, torch.device("cpu"))
        both = model.forward_both(images)
    return [functional.cross_entropy(each, labels, ignore_index=255).item() for each in both]


def test_the_loss_is_that_of_both_heads_by_weight():
    main, auxiliary = first_losses(recipe())
    for weight in (0.4, 1.5):
        result = train(network(), SQUARES, recipe(auxiliary_weight=weight), seed=SEED)
        assert result.losses[0] == pytest.approx(main + weight * auxiliary, rel=1e-5)
    without = train(network(), SQUARES, recipe(auxiliary_weight=0), seed=SEED)
    assert without.losses[0] == pytest.approx(main, rel=1e-5)


def test_the_network_learns_from_it_and_keeps_nothing_of_it(tmp_path):
    alone, helped = network(), network()
    train(alone, SQUARES, recipe(auxiliary_weight=0), seed=SEED)
    result = train(helped, SQUARES, recipe(recalibration_batches=1), seed=SEED)
    assert helped.training
    assert list(helped.state_dict()) == list(alone.state_dict())
    moved = [
        name
        for name, parameter in alone.named_parameters()
        if not torch.equal(parameter, helped.state_dict()[name])
    ]
    assert any(name.startswith("backbone.stages.0.") for name in moved)
    path = tmp_path / "trained.pt"
    save_trained(path, helped, SQUARES.class_names, SEED)
    assert_same_weights(load_trained(path).model, helped)
    assert 0 <= result.evaluation.miou <= 1


@pytest.mark.parametrize("averaging", [0, 0.9])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, averaging):
    settings = recipe(steps=4, evaluations=2, weight_averaging=averaging)
    whole, resumed = network(), network()
    expected = train(whole, SQUARES, settings, seed=SEED)
    saves = {"seed": SEED, "checkpoint": tmp_path / "last.pt", "checkpoint_seconds": 0}
    with pytest.raises(StopRunError):
        train(network(), SQUARES, settings, **saves, on_step=stop_at(3))
    assert_same_result(train(resumed, SQUARES, settings, **saves), expected)
    assert_same_weights(resumed, whole)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_it_learns_at_the_rate_of_a_head(optimizer):
    model = AuxiliarySegmentor(network(), SQUARES.num_classes, 0)
    settings = Recipe(optimizer=optimizer, learning_rate=0.1, head_lr_factor=10)
    group_of = {
        id(parameter): group
        for group in parameter_groups(model, settings)
        for parameter in group["params"]
    }
    for name, parameter in model.named_parameters():
        in_head = name.startswith(("head.", "auxiliary_head."))
        assert group_of[id(parameter)]["peak_lr"] == pytest.approx(1.0 if in_head else 0.1), name
    assert not group_of[id(model.auxiliary_head.classifier.weight)]["muon"]


def test_what_it_cannot_read_is_refused():
    with pytest.raises(ValueError, match=r"auxiliary_weight needs a segmentor .*; got Net"):
        train(build_net(), SQUARES, recipe(), seed=0)
    with pytest.raises(ValueError, match=r"reads map 3 of a backbone; .* got 2"):
        train(network(num_modules=2), SQUARES, recipe(), seed=0)


# Batches of one image


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 1}, "batch_size must be at least 2 for head upernet, .* got 1"),
        (
            {"recalibration_batches": 2, "eval_batch_size": 1},
            "no batch of fewer than 2 of the 2 images that recalibrate head upernet, got 1",
        ),
        (
            {"recalibration_batches": 3, "eval_batch_size": 5},
            "no batch of fewer than 2 of the 6 images that recalibrate head upernet, got 5",
        ),
    ],
)
def test_a_batch_that_upernet_cannot_normalise_over_is_refused(fields, message):
    settings = recipe(auxiliary_weight=0, **fields)
    with pytest.raises(ValueError, match=message):
        train(network(), SQUARES, settings, seed=0)
    check_batches(["segformer"], settings, len(SQUARES.train))


def test_each_process_needs_its_images():
    check_batches(["upernet"], recipe(batch_size=6), 6, num_processes=3)
    with pytest.raises(ValueError, match="batch_size must be at least 6 for head upernet"):
        check_batches(["upernet"], recipe(batch_size=5), 6, num_processes=3)
    check_batches(["segformer"], recipe(batch_size=1), 6, num_processes=3)  # others refuse that


def test_a_supernet_with_such_a_head_is_refused_them_too(data):
    space = declare(8, 16)
    gene = Gene(name="head", field="head_kind", choices=("segformer", "upernet"))
    net = build_super(space=replace(space, genes=(*space.genes, gene)))
    with pytest.raises(ValueError, match="batch_size must be at least 2 for head upernet"):
        run_super(net, data, super_recipe(batch_size=1))
    with pytest.raises(ValueError, match="of the 1 images that recalibrate head upernet, got 1"):
        run_super(net, data, super_recipe(eval_batch_size=1), plan())
