"""Every kind of head on every kind of backbone; UperNet against its definition."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from hrvit_nas.arch import HEAD_KINDS, ArchError, get_arch, scale_widths
from hrvit_nas.models import build_segmentor, export_published_state, load_published_state
from hrvit_nas.models.heads import HEAD_MODULES, UperNetHead

CLASSES = 5
WIDTHS = (6, 8, 10, 12)
SIZES = ((13, 10), (7, 5), (4, 3), (2, 2))


def small(kind, name="hrvit_b1"):
    return replace(scale_widths(get_arch(name), 0.25), head_kind=kind, head_width=16)


def maps_of(batch=2, widths=WIDTHS, sizes=SIZES, **options):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, *size, width, generator=generator, **options)
        for size, width in zip(sizes, widths, strict=False)
    ]


def varied(net):
    """Gives norms statistics and factors of their own."""
    generator = torch.Generator().manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            for tensor in (module.bias.data, module.running_mean):
                tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
    return net


@pytest.mark.parametrize("name", ["hrvit_b1", "mit_b0", "cswin_ti"])
@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_every_head_trains_every_parameter(kind, name):
    torch.manual_seed(0)
    model = build_segmentor(small(kind, name), CLASSES)
    for size in ((64, 96), (33, 47)):
        model.zero_grad()
        logits = model(torch.randn(2, 3, *size))
        assert logits.shape == (2, CLASSES, *size)
        logits.square().mean().backward()
        gradients = {n: p.grad for n, p in model.named_parameters() if n.startswith("head.")}
        assert all(g is not None and g.isfinite().all() for g in gradients.values())
        assert [name for name, g in gradients.items() if not g.any()] == []


@pytest.mark.parametrize("num_maps", [1, 2, 4])
@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_a_head_takes_the_maps_there_are_and_leaves_them_as_they_were(kind, num_maps):
    torch.manual_seed(0)
    head = varied(HEAD_MODULES[kind](WIDTHS[:num_maps], 16, CLASSES)).eval()
    maps = maps_of()[:num_maps]
    before = [x.clone() for x in maps]
    with torch.no_grad():
        logits = head(maps)
    assert logits.shape == (2, *SIZES[0], CLASSES)
    assert all(map(torch.equal, maps, before))
    torch.testing.assert_close(head(maps), logits)  # with gradients, nothing is written over


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_layers_that_read_maps_side_by_side_are_layers_of_the_head(kind):
    with torch.device("meta"):
        head = HEAD_MODULES[kind](WIDTHS, 16, CLASSES)
    layers = dict(head.named_modules())
    for name, count in HEAD_MODULES[kind].joined(len(WIDTHS)).items():
        assert layers[name].weight.shape[1] == 16 * count


def norm_relu(x, norm):
    return functional.relu(
        functional.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-5
        )
    )


def test_upernet_is_what_its_paper_says():
    """Planes instead of tokens, and one convolution where the head has two."""
    torch.manual_seed(0)
    head = varied(UperNetHead(WIDTHS, 16, CLASSES)).double().eval()
    maps = maps_of(dtype=torch.float64)
    *finer, x = (y.permute(0, 3, 1, 2) for y in maps)

    def pointwise(x, layer):
        return norm_relu(functional.conv2d(x, layer.linear.weight[..., None, None]), layer.norm)

    def up(x, size):
        return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)

    pooling = head.pooling
    pools = [
        up(pointwise(functional.adaptive_avg_pool2d(x, side), layer), SIZES[-1])
        for side, layer in zip((1, 2, 3, 6), pooling.projections, strict=True)
    ]
    weight = torch.cat([pooling.from_map.weight, pooling.from_pools.weight], 1)
    y = norm_relu(functional.conv2d(torch.cat([x, *pools], 1), weight, padding=1), pooling.norm)
    pyramid = [y]
    for level in (2, 1, 0):
        y = pointwise(finer[level], head.laterals[level]) + up(y, SIZES[level])
        smoothing = head.smoothings[level]
        pyramid.append(
            norm_relu(functional.conv2d(y, smoothing.conv.weight, padding=1), smoothing.norm)
        )
    joined = torch.cat([up(y, SIZES[0]) for y in reversed(pyramid)], 1)
    y = norm_relu(functional.conv2d(joined, head.fusion.conv.weight, padding=1), head.fusion.norm)
    expected = functional.linear(
        y.permute(0, 2, 3, 1), head.classifier.weight, head.classifier.bias
    )
    with torch.no_grad():
        torch.testing.assert_close(head(maps), expected)


def test_other_heads_have_no_published_names():
    model = build_segmentor(small("upernet"), CLASSES)
    with pytest.raises(ArchError, match="of the segformer head alone, got upernet"):
        export_published_state(model)
    with pytest.raises(ArchError, match="of the segformer head alone, got upernet"):
        load_published_state(model, {})
