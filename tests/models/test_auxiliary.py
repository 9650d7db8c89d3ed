"""An auxiliary head: against its definition, and the network that it leaves alone."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from hrvit_nas.arch import HEAD_KINDS, get_arch, scale_widths
from hrvit_nas.cost import estimate_auxiliary
from hrvit_nas.evaluation.fvcore_count import count_macs
from hrvit_nas.models import AuxiliaryHead, AuxiliarySegmentor, build_segmentor

CLASSES = 5
SIZE = (64, 96)


def small(kind="upernet", name="hrvit_b1"):
    return replace(scale_widths(get_arch(name), 0.25), head_kind=kind, head_width=16)


def built(kind="upernet", name="hrvit_b1", seed=7):
    torch.manual_seed(0)
    segmentor = build_segmentor(small(kind, name), CLASSES)
    return segmentor, AuxiliarySegmentor(segmentor, CLASSES, seed)


def images(size=SIZE):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


def test_it_is_a_convolution_of_the_third_map_classified():
    torch.manual_seed(0)
    head = AuxiliaryHead((6, 8, 10, 12), CLASSES).double().eval()
    norm = head.convolution.norm
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
        tensor.uniform_(0.5, 1.5)
    third = torch.randn(2, 7, 5, 10, dtype=torch.float64)
    y = functional.conv2d(third.permute(0, 3, 1, 2), head.convolution.conv.weight, padding=1)
    assert y.shape[1] == 256
    y = functional.batch_norm(
        y, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-5
    )
    expected = functional.conv2d(
        y.relu(), head.classifier.weight[:, :, None, None], head.classifier.bias
    )
    with torch.no_grad():
        found = head([third.new_zeros(0), third.new_zeros(0), third, third.new_zeros(0)])
    torch.testing.assert_close(found.permute(0, 3, 1, 2), expected)


@pytest.mark.parametrize("name", ["hrvit_b1", "mit_b0", "cswin_ti"])
@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_every_parameter_of_both_heads_learns(kind, name):
    _, model = built(kind, name)
    for size in (SIZE, (33, 47)):
        model.zero_grad()
        both = model.forward_both(images(size))
        for logits in both:
            assert logits.shape == (2, CLASSES, *size)
        sum(logits.square().mean() for logits in both).backward()
        heads = [(n, p) for n, p in model.named_parameters() if not n.startswith("backbone.")]
        assert [n for n, p in heads if p.grad is None or not p.grad.any()] == []


def test_what_it_says_teaches_the_third_branch_and_no_other_head():
    segmentor, model = built()
    model.forward_both(images())[1].square().mean().backward()
    assert all(parameter.grad is None for parameter in segmentor.head.parameters())
    branches = segmentor.backbone.stages[-1].branches
    taught = [any(p.grad is not None for p in branch.parameters()) for branch in branches]
    assert taught == [False, False, True, False]
    assert segmentor.backbone.stem.conv1.conv.weight.grad.any()


def test_a_network_in_use_is_what_it_was_without_it():
    segmentor, model = built()
    alone, beside = segmentor.eval(), model.eval()
    with torch.no_grad():
        expected = alone(images())
        assert torch.equal(beside(images()), expected)
        assert torch.equal(beside.forward_both(images())[0], expected)
    assert count_macs(beside, SIZE) == count_macs(alone, SIZE)
    own = set(model.state_dict()) - set(segmentor.state_dict())
    assert {name.split(".")[0] for name in own} == {"auxiliary_head"}
    assert dict(segmentor.named_parameters()).items() <= dict(model.named_parameters()).items()


@pytest.mark.parametrize("name", ["hrvit_b1", "mit_b0"])
def test_it_costs_what_is_estimated(name):
    segmentor, model = built(name=name)

    class Both(torch.nn.Module):
        def forward(self, image):
            return model.eval().forward_both(image)

    both, alone = count_macs(Both(), SIZE), count_macs(segmentor, SIZE)
    cost = estimate_auxiliary(model.spec, SIZE, CLASSES)
    assert sum(both.values()) - sum(alone.values()) == cost.macs
    assert sum(p.numel() for p in model.auxiliary_head.parameters()) == cost.params


def test_its_first_weights_are_its_seeds_and_no_other_is_drawn_anew():
    segmentor, model = built(seed=7)
    before = {name: tensor.clone() for name, tensor in segmentor.state_dict().items()}
    state = torch.random.get_rng_state()
    again, other = (AuxiliarySegmentor(segmentor, CLASSES, seed) for seed in (7, 8))
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, tensor in segmentor.state_dict().items():
        assert torch.equal(tensor, before[name])
    name = "auxiliary_head.convolution.conv.weight"
    weights = [net.state_dict()[name] for net in (model, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_third_map_is_needed():
    spec = small()
    segmentor = build_segmentor(replace(spec, modules=spec.modules[:2]), CLASSES)
    with pytest.raises(ValueError, match=r"reads map 3 of a backbone; .* got 2"):
        AuxiliarySegmentor(segmentor, CLASSES, 0)
