"""What is refused, what is random and what is not, and how weights start."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from hrvit_nas.arch import ArchSpec, get_arch
from hrvit_nas.models import (
    build_classifier,
    build_segmentor,
    keep_freed_memory,
    tie_initialisation,
)
from hrvit_nas.models.backbone import drop_path_schedule
from hrvit_nas.models.layers import DropPath

B1 = get_arch("hrvit_b1")
SMALL = ArchSpec(
    stem_width=8,
    head_width=16,
    modules=tuple(
        replace(
            module,
            branches=tuple(
                replace(branch, width=8 << b, head_dim=4, blocks=1)
                for b, branch in enumerate(module.branches)
            ),
        )
        for module in (*B1.modules[:3], *B1.modules[4:])
    ),
)


def image_of(*size, batch=2):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(0))


def build(seed=0, **settings):
    torch.manual_seed(seed)
    return build_segmentor(SMALL, 5, **settings)


def wake(model):
    """Gives attention, whose norms start at zero, its effect."""
    for name, tensor in model.named_parameters():
        if name.endswith("to_output.norm.weight"):
            nn.init.ones_(tensor)
    return model


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build_segmentor(SMALL, 0), "num_classes must be at least 1, got 0"),
        (lambda: build_classifier(SMALL, -1), "num_classes must be at least 1, got -1"),
        (
            lambda: build_segmentor(SMALL, 5, drop_path_rate=1.0),
            r"drop_path_rate must be at least 0 and below 1, got 1\.0",
        ),
        (lambda: build_classifier(SMALL, drop_path_rate=-0.1), r"drop_path_rate .* got -0\.1"),
    ],
)
def test_settings_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("shape", [(1, 3, 31, 64), (1, 3, 64, 16), (1, 1, 64, 64)], ids=str)
def test_images_too_small_or_not_in_colour_are_refused(shape):
    with pytest.raises(ValueError, match="H and W of at least 32, got") as error:
        build()(torch.zeros(shape))
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (33, 47)], ids=str)
def test_features_have_strides_4_to_32(size):
    maps = build().eval().forward_features(image_of(*size))
    for b, x in enumerate(maps):
        stride = 4 << b
        assert x.shape == (2, 8 << b, -(-size[0] // stride), -(-size[1] // stride))


def test_one_seed_gives_one_network():
    one, same, other = (build(seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_memory_format_and_strides_of_the_image_do_not_matter():
    model = wake(build()).eval()
    image = image_of(40, 72)
    views = {
        "channels last": image.contiguous(memory_format=torch.channels_last),
        "every second column": image.repeat_interleave(2, 3)[..., ::2],
        "expanded": image[:1].expand(2, -1, -1, -1),
    }
    with torch.no_grad():
        expected = model(image)
        assert torch.equal(model(image), expected)
        assert torch.equal(model(views["channels last"]), expected)
        assert torch.equal(model(views["every second column"]), expected)
        torch.testing.assert_close(model(views["expanded"])[1], expected[0])


def test_the_image_is_left_as_it_was():
    image = image_of(40, 72).contiguous(memory_format=torch.channels_last)
    before = image.clone()
    build().eval()(image)
    assert torch.equal(image, before)


def test_samples_of_a_batch_do_not_mix_in_eval_mode():
    model = wake(build()).eval()
    image = image_of(33, 47)
    with torch.no_grad():
        torch.testing.assert_close(model(image)[1:], model(image[1:]))


def test_eval_with_gradients_is_eval_without():
    model = wake(build()).eval()
    image = image_of(33, 47)
    with torch.no_grad():
        expected = model(image)
    torch.testing.assert_close(model(image), expected)


def test_eval_mode_forgets_no_change_of_a_norm():
    model = wake(build()).eval()
    image = image_of(64, 64)
    with torch.no_grad():
        before = model(image)
        model.train()(image)  # moves the running statistics
        assert not torch.allclose(model.eval()(image), before)


# Stochastic depth


def test_drop_path_rises_linearly_over_the_depth():
    assert sum(module.depth for module in B1.modules) == 22
    schedule = drop_path_schedule(B1, 0.21)
    assert [len(rates) for rates in schedule] == [1, 1, 6, 6, 6, 2]
    assert sum(schedule, ()) == pytest.approx([0.01 * j for j in range(22)])


def test_block_j_of_any_branch_takes_the_jth_rate_of_its_module():
    with torch.device("meta"):
        model = build_segmentor(B1, 5, drop_path_rate=0.21)
    for m, rates in enumerate(drop_path_schedule(B1, 0.21)):
        for b, branch in enumerate(B1.modules[m].branches):
            blocks = model.backbone.stages[m].branches[b].blocks
            assert tuple(block.drop_path.rate for block in blocks) == rates[: branch.blocks]


def test_a_network_of_one_block_drops_nothing():
    spec = replace(SMALL, modules=SMALL.modules[:1])
    assert drop_path_schedule(spec, 0.3) == [(0.0,)]


def test_drop_path_keeps_or_drops_whole_samples_and_the_mean():
    torch.manual_seed(0)
    x = torch.ones(20000, 2, 1, 3)
    y = DropPath(0.3)(x)
    assert torch.equal(y, y[:, :1, :1, :1].expand_as(y))
    values = y[:, 0, 0, 0].unique()
    torch.testing.assert_close(values, torch.tensor([0.0, 1 / 0.7]))
    assert y.mean().item() == pytest.approx(1.0, abs=0.02)  # four deviations
    assert torch.equal(DropPath(0.3).eval()(x), x)
    assert torch.equal(DropPath(0.0)(x), x)


def test_stochastic_depth_is_random_by_seed_and_leaves_finite_gradients():
    model = wake(build(drop_path_rate=0.5))
    image = image_of(33, 47)

    def train(seed):
        torch.manual_seed(seed)
        return model.train()(image)

    logits = train(0)
    assert torch.equal(train(0), logits)
    assert not torch.equal(train(1), logits)
    logits.square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


# Weights


def test_blocks_start_as_their_shortcut():
    zero = {name for name, p in build().named_parameters() if p.dim() == 1 and not p.any()}
    weights = {name for name in zero if name.endswith("weight")}
    assert weights == {
        name for name, _ in build().named_parameters() if name.endswith("to_output.norm.weight")
    }
    assert {n for n, _ in build().named_parameters() if n.endswith("bias")} == zero - weights


def test_linear_maps_start_from_a_truncated_normal():
    torch.manual_seed(0)
    weight = build_segmentor(replace(SMALL, head_width=256), 5).head.fusion.linear.weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert weight.mean().item() == pytest.approx(0.0, abs=1e-3)


# Precision and memory


@pytest.mark.parametrize("training", [False, True])
def test_bfloat16_autocast_stays_close(training):
    model = wake(build()).train(training)
    model.head.dropout.p = 0.0
    image = image_of(64, 96)
    expected = model(image)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(image)
    assert (logits.float() - expected).norm() < 0.05 * expected.norm()
    logits.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_memory_is_kept_where_malloc_can_be_told():
    assert isinstance(keep_freed_memory(), bool)


def test_tied_networks_start_alike_where_they_are_alike():
    def tied(spec, seed):
        model = build_segmentor(spec, 5)
        before = torch.get_rng_state()
        tie_initialisation(model, seed)
        assert torch.equal(torch.get_rng_state(), before)
        return model.state_dict()

    *modules, last = SMALL.modules
    deeper = (replace(last.branches[0], blocks=2), *last.branches[1:])
    larger = replace(SMALL, modules=(*modules, replace(last, branches=deeper)))
    one, other, again = tied(larger, 3), tied(SMALL, 3), tied(larger, 4)
    assert other.keys() < one.keys()
    assert all(torch.equal(one[name], tensor) for name, tensor in other.items())
    weights = [name for name in one if one[name].ndim >= 2]
    assert not any(torch.equal(one[name], again[name]) for name in weights)
