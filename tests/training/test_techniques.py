"""What changes how a step is computed: parts, precision, synchronised norms, passes made again."""

import pytest
import torch
from small_trainings import PLAIN, SQUARES, assert_same_result, plain_recipe
from test_processes import Unnormalised, by_two
from torch import nn

from hrvit_nas.arch import get_arch, scale_widths
from hrvit_nas.models import build_segmentor
from hrvit_nas.models.blocks import Blocks
from hrvit_nas.models.layers import TokenBatchNorm
from hrvit_nas.training import Recipe, train

TINY = scale_widths(get_arch("hrvit_b1"), 0.125)
CROPPED = PLAIN.model_copy(update={"crop_size": (32, 32), "scale": (0.5, 1.0)})


def trained(recipe, build=lambda: build_segmentor(TINY, 3)):
    """What training by a recipe returns, and the weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build()
    result = train(model, SQUARES, recipe, seed=0)
    return result, model.state_dict()


def recipe(**fields):
    return plain_recipe(**{"steps": 3, "batch_size": 4, "learning_rate": 1e-3, **fields})


@pytest.fixture(scope="module")
def plain():
    return trained(recipe())


def test_passes_made_again_give_the_same_to_the_bit(plain):
    result, weights = trained(recipe(gradient_checkpointing=True))
    assert_same_result(result, plain[0])
    for name, tensor in weights.items():  # statistics of batch norms and their counters too
        assert torch.equal(tensor, plain[1][name]), name


def test_passes_made_again_keep_less():
    def kept(model):
        """Bytes that a forward pass keeps for the backward pass, parameters aside."""
        own = {p.untyped_storage().data_ptr() for p in model.parameters()}
        found = {}

        def pack(tensor):
            if tensor.untyped_storage().data_ptr() not in own:
                found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(torch.randn(2, 3, 64, 64))
        return sum(found.values())

    model = build_segmentor(TINY, 3).train()
    all_kept = kept(model)
    for module in model.modules():
        if isinstance(module, Blocks):
            module.gradient_checkpointing = True
    assert kept(model) < 0.6 * all_kept


def test_a_trained_network_is_left_as_one_that_was_built():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_segmentor(TINY, 3)
    train(model, SQUARES, recipe(gradient_checkpointing=True, sync_batch_norm=True), seed=0)
    assert not any(m.gradient_checkpointing for m in model.modules() if isinstance(m, Blocks))
    assert not any(m.synchronised for m in model.modules() if isinstance(m, TokenBatchNorm))


@pytest.mark.parametrize(
    "fields", [{}, {"class_weighting": 0.5}, {"batch_size": 5}, {"augment": CROPPED}]
)
def test_parts_of_a_batch_give_the_gradient_of_the_whole(fields):
    whole, weights = trained(recipe(**fields), Unnormalised)
    parts, others = trained(recipe(**fields, accumulation_steps=3), Unnormalised)
    assert parts.losses == pytest.approx(whole.losses, rel=1e-5)
    for name, tensor in weights.items():
        torch.testing.assert_close(others[name], tensor, rtol=1e-3, atol=1e-5)


def test_batch_norms_normalise_by_a_part(plain):
    parts, _ = trained(recipe(accumulation_steps=2))
    assert parts.losses[0] == pytest.approx(plain[0].losses[0], rel=0.3)
    assert parts.losses[0] != pytest.approx(plain[0].losses[0], rel=1e-4)


def test_bfloat16_is_near_and_not_equal(plain):
    half, weights = trained(recipe(precision="bfloat16"))
    assert half.losses == pytest.approx(plain[0].losses, rel=0.1)
    assert half.losses != plain[0].losses
    assert all(t.dtype == plain[1][name].dtype for name, t in weights.items())
    same, _ = trained(recipe(precision="float32"))
    assert same.losses == plain[0].losses


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"accumulation_steps": 0}, "greater than or equal to 1"),
        ({"accumulation_steps": 5}, "must be at most batch_size=4, got 5"),
        ({"precision": "float16"}, "'auto', 'bfloat16' or 'float32'"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Recipe(batch_size=4, **fields)


def synchronised(fields):
    return recipe(batch_size=5, augment=CROPPED, sync_batch_norm=True, **fields)


VARIANTS = [{}, {"gradient_checkpointing": True}, {"recalibration_batches": 2}]


def without_chance():
    """Each process draws its own dropout."""
    model = build_segmentor(TINY, 3)
    for module in model.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
    return model


def in_two(folder):
    return [trained(synchronised(fields), without_chance) for fields in VARIANTS]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return by_two(tmp_path_factory.mktemp("synchronised"), in_two)


@pytest.mark.slow
@pytest.mark.parametrize("variant", range(len(VARIANTS)))
def test_synchronised_norms_train_as_one_process_does(two, variant):
    """Halves of three crops and two, of which not all is labelled."""
    expected, weights = trained(synchronised(VARIANTS[variant]), without_chance)
    for found, others in (process[variant] for process in two):
        assert found.losses == pytest.approx(expected.losses, rel=1e-4)
        for name, tensor in weights.items():
            if "running" in name:
                torch.testing.assert_close(others[name], tensor, rtol=5e-3, atol=2e-3)
    (_, one), (_, other) = (process[variant] for process in two)
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_synchronised_norm_alone_is_a_norm():
    norm, plain = TokenBatchNorm(4), nn.BatchNorm2d(4)
    norm.synchronised = True
    x = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(norm(x), plain(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
