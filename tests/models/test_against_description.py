"""The whole network against a naive one, written from the description of HRViT alone.

The naive network works on `(B, C, H, W)` in float64, one strip, one head and one window at a
time; it pads strips and gives padded keys -100, forms the shortcut's Kronecker products, never
folds a norm, and resizes the head's maps before they are joined. It reads tensors by their
published names, so the naming is checked too.
"""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional

from hrvit_nas.arch import ATTENTIONS, HEADED_ATTENTIONS, STRIP_ATTENTIONS, ArchSpec, get_arch
from hrvit_nas.models import build_classifier, build_segmentor, export_published_state
from hrvit_nas.models.published import published_name

CLASSES = 5
EPS = 1e-5


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def hardswish(x):
    return x * (x + 3).clamp(0, 6) / 6


def attend(q, k, v, heads, added=0.0):
    """Tokens `(B, C, L)`, one head at a time."""
    results = []
    for qh, kh, vh in zip(q.chunk(heads, 1), k.chunk(heads, 1), v.chunk(heads, 1), strict=True):
        logits = torch.einsum("bdl,bds->bls", qh, kh) * qh.shape[1] ** -0.5 + added
        results.append(torch.einsum("bls,bds->bdl", logits.softmax(-1), vh))
    return torch.cat(results, 1)


def attend_in_strips(q, k, v, strip, heads):
    """Horizontal strips; the last is padded with zeros, whose keys get -100."""
    batch, channels, height, width = q.shape
    padding = -height % strip
    q, k, v = (functional.pad(t, (0, 0, 0, padding)) for t in (q, k, v))
    rows = torch.arange(height + padding)
    results = []
    for top in range(0, height + padding, strip):
        inside = rows[top : top + strip]
        qs, ks, vs = (t[:, :, inside].flatten(2) for t in (q, k, v))
        added = -100.0 * (inside >= height).repeat_interleave(width)
        y = attend(qs, ks, vs, heads, added.to(q.dtype))
        results.append(y.view(batch, channels, len(inside), width))
    return torch.cat(results, 2)[:, :, :height]


def attend_in_windows(q, k, v, side, heads):
    y = torch.empty_like(q)
    for top, left in product(range(0, q.shape[2], side), range(0, q.shape[3], side)):
        window = (slice(None), slice(None), slice(top, top + side), slice(left, left + side))
        shape = q[window].shape
        y[window] = attend(*(t[window].flatten(2) for t in (q, k, v)), heads).view(shape)
    return y


class Described:
    """The network as described.

    Args:
        state: Tensors by published name.
        spec: The architecture.
        training: Whether norms use the statistics of the batch.
    """

    def __init__(self, state, spec, *, training=False, prefix="backbone."):
        self.state, self.spec, self.training, self.prefix = state, spec, training, prefix
        self.moved = {}  # running statistics after the pass

    def conv(self, name, x, stride=1, depthwise=False):
        weight = self.state[f"{name}.weight"]
        if weight.dim() == 2:
            weight = weight[:, :, None, None]
        groups = x.shape[1] if depthwise else 1
        bias = self.state.get(f"{name}.bias")
        return functional.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, groups=groups)

    def batch_norm(self, name, x):
        mean, variance = self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"]
        if self.training:
            old = mean, variance
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
            unbiased = x.var((0, 2, 3))
            self.moved[f"{name}.running_mean"] = 0.9 * old[0] + 0.1 * mean
            self.moved[f"{name}.running_var"] = 0.9 * old[1] + 0.1 * unbiased
        mean, variance, weight, bias = (
            t[:, None, None]
            for t in (mean, variance, self.state[f"{name}.weight"], self.state[f"{name}.bias"])
        )
        return (x - mean) / (variance + EPS).sqrt() * weight + bias

    def layer_norm(self, name, x):
        mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
        weight, bias = (self.state[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
        return (x - mean) / (variance + EPS).sqrt() * weight + bias

    def features(self, image):
        p = self.prefix
        x = self.batch_norm(f"{p}stem.bn1", self.conv(f"{p}stem.conv1", image, 2)).relu()
        x = self.batch_norm(f"{p}stem.bn2", self.conv(f"{p}stem.conv2", x, 2)).relu()
        maps = [x]
        for m, module in enumerate(self.spec.modules):
            maps = self.fusion(f"{p}features.{2 * m}.blocks", maps, module)
            for b, branch in enumerate(module.branches):
                maps[b] = self.stage(f"{p}features.{2 * m + 1}", maps[b], branch, b)
        return maps

    def fusion(self, name, maps, module):
        sizes = [x.shape[2:] for x in maps]
        results = []
        for out in range(len(module.branches)):
            total = 0
            for into, x in enumerate(maps):
                if module.fusion == "sparse" and abs(out - into) > 1:
                    continue
                path = f"{name}.{out}.{into}"
                if out > into:
                    x = self.conv(f"{path}.0", x, 2 ** (out - into), depthwise=True)
                    x = self.batch_norm(f"{path}.1", x)
                    x = self.batch_norm(f"{path}.3", self.conv(f"{path}.2", x))
                elif out < into:
                    x = self.batch_norm(f"{path}.1", self.conv(f"{path}.0", x))
                    x = functional.interpolate(x, sizes[out], mode="nearest")
                total = total + x
            results.append(gelu(total))
        return results

    def stage(self, name, x, branch, b):
        patch = f"{name}.patch_embed.{b}"
        if branch.patch_embedding == "efficient":
            x = self.conv(f"{patch}.proj.1", self.conv(f"{patch}.proj.0", x), depthwise=True)
        else:
            x = self.conv(f"{patch}.convolution", x)
        x = self.layer_norm(f"{patch}.norm", x)
        for j in range(branch.blocks):
            block = f"{name}.branches.{b}.{j}"
            y = self.attention(f"{block}.attn", self.layer_norm(f"{block}.attn_norm", x), branch, b)
            if branch.shortcut == "des":
                y = y + self.shortcut(f"{block}.des", x)
            x = x + y
            y = self.layer_norm(f"{block}.ffn_norm", x)
            x = x + self.feed_forward(f"{block}.ffn", y, branch)
        return self.layer_norm(f"{name}.norm.{b}", x)

    def attention(self, name, x, branch, b):
        width, heads = branch.width, branch.num_heads
        joint = self.conv(f"{name}.to_qkv", x)
        q, v = joint[:, :width], joint[:, -width:]
        k = v if branch.kv_sharing else joint[:, width : 2 * width]
        y = 0
        if branch.attention == "cross_shaped":
            half = width // 2
            rows = (t[:, :half] for t in (q, k, v))
            columns = (t[:, half:].transpose(2, 3) for t in (q, k, v))
            y = torch.cat(
                (
                    attend_in_strips(*rows, branch.strip_width, heads),
                    attend_in_strips(*columns, branch.strip_width, heads).transpose(2, 3),
                ),
                1,
            )
        elif branch.attention == "window":
            y = attend_in_windows(q, k, v, branch.strip_width, heads)
        elif branch.attention == "spatial_reduction":
            ratio, small = (8, 4, 2, 1)[b], x
            if ratio > 1:
                small = functional.pad(x, (0, -x.shape[3] % ratio, 0, -x.shape[2] % ratio))
                weight, bias = (self.state[f"{name}.reduction.{p}"] for p in ("weight", "bias"))
                small = functional.conv2d(small, weight, bias, ratio)
                small = self.layer_norm(f"{name}.reduction_norm", small)
            small = self.conv(f"{name}.to_qkv", small)
            few_v = small[:, -width:]
            few_k = few_v if branch.kv_sharing else small[:, width : 2 * width]
            y = attend(q.flatten(2), few_k.flatten(2), few_v.flatten(2), heads).view(q.shape)
        elif branch.attention in HEADED_ATTENTIONS:
            raise NotImplementedError(f"no naive form of {branch.attention} is written here yet")
        if branch.parallel_conv:
            y = y + self.conv(f"{name}.parallel_conv.1", hardswish(v), depthwise=True)
        if branch.extra_nonlinearity:
            y = self.conv(f"{name}.to_out.0", hardswish(y))
            return self.batch_norm(f"{name}.attn_bn", y)
        return self.conv(f"{name}.to_out.0", y)

    def shortcut(self, name, x):
        """Two maps of all C channels, each a Kronecker product with an identity."""
        right, left = (
            self.state[f"{name}.proj_right.weight"],
            self.state[f"{name}.proj_left.weight"],
        )
        p, k = len(right), len(left)
        exponent = math.floor(math.log2(x.shape[1]))
        assert (p, k) == (2 ** (exponent - exponent // 2), x.shape[1] // p)
        right = torch.kron(torch.eye(k, dtype=x.dtype), right)
        left = torch.kron(left, torch.eye(p, dtype=x.dtype))
        right_bias = self.state[f"{name}.proj_right.bias"].repeat(k)
        left_bias = self.state[f"{name}.proj_left.bias"].repeat_interleave(p)
        y = gelu(functional.conv2d(x, right[:, :, None, None], right_bias))
        return functional.conv2d(y, left[:, :, None, None], left_bias)

    def feed_forward(self, name, x, branch):
        x = self.conv(f"{name}.fc1", x)
        if branch.feed_forward == "mix_cfn":
            first, second = x.chunk(2, 1)
            first = self.conv(f"{name}.conv.conv_3", first, depthwise=True)
            second = self.conv(f"{name}.conv.conv_5", second, depthwise=True)
            x = torch.cat((first, second), 1)
        return self.conv(f"{name}.fc2", gelu(x))

    def segmentation(self, image):
        maps = [
            functional.interpolate(
                self.conv(f"decode_head.convs.{b}.conv", x),
                [-(-side // 4) for side in image.shape[2:]],
                mode="bilinear",
                align_corners=False,
            )
            for b, x in enumerate(self.features(image))
        ]
        x = self.conv("decode_head.fusion_conv.conv", torch.cat(maps, 1))
        x = self.conv(
            "decode_head.conv_seg", self.batch_norm("decode_head.fusion_conv.bn", x).relu()
        )
        return functional.interpolate(x, image.shape[2:], mode="bilinear", align_corners=False)

    def classification(self, image):
        y = 0
        for b, x in enumerate(self.features(image)):
            block = f"head.incre_modules.{b}.0"
            z = x
            for layer in (1, 2, 3):
                z = self.batch_norm(f"{block}.bn{layer}", self.conv(f"{block}.conv{layer}", z))
                z = z.relu() if layer < 3 else z
            x = self.batch_norm(f"{block}.downsample.1", self.conv(f"{block}.downsample.0", x))
            if b > 0:
                down = f"head.downsamp_modules.{b - 1}"
                y = self.batch_norm(f"{down}.1", self.conv(f"{down}.0", y, stride=2)).relu()
            y = (x + z).relu() + y
        y = self.batch_norm("head.final_layer.1", self.conv("head.final_layer.0", y)).relu()
        return functional.linear(
            y.mean((2, 3)), self.state["head.classifier.weight"], self.state["head.classifier.bias"]
        )


def shaken(model, seed=0):
    """The model in float64, dropout off, every weight and statistic random and of full effect."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double()
    model.head.dropout.p = 0.0
    for name, tensor in model.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        if name.endswith("running_var"):
            tensor.copy_(0.5 + noise.abs())
        elif tensor.dim() > 1:
            tensor.copy_(noise / tensor[0].numel() ** 0.5)
        elif name.endswith("weight"):
            tensor.copy_(1 + 0.2 * noise)
        elif tensor.is_floating_point():
            tensor.copy_(0.2 * noise)
    return model


def unfolded(model):
    """The model in training mode with running statistics: the eval function, no norm folded."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return model


def image_of(size, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)


def difference(ours, described):
    return ((ours - described).abs().max() / described.abs().max()).item()


def leaves(model):
    """Copies of a model's tensors by published name, ready to take gradients."""
    state = {
        name: tensor.detach().clone() for name, tensor in export_published_state(model).items()
    }
    for tensor in state.values():
        if tensor.is_floating_point():
            tensor.requires_grad_()
    return state


def check_training(model, described_as, image):
    """Outputs, every gradient (the image's too) and moved statistics are those described."""
    segmentor = described_as == "segmentation"
    state = leaves(model)
    described = Described(state, model.spec, training=True, prefix="backbone." if segmentor else "")
    theirs, mine = image.clone().requires_grad_(), image.clone().requires_grad_()
    expected = getattr(described, described_as)(theirs)
    actual = model.train()(mine)
    assert difference(actual, expected) < 1e-9
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2)).double()
    (weights * expected).sum().backward()
    (weights * actual).sum().backward()
    assert difference(mine.grad, theirs.grad) < 1e-8
    scale = max(p.grad.abs().max() for p in model.parameters() if p.grad is not None)
    for name, parameter in model.named_parameters():
        gradient = state[published_name(name, segmentor=segmentor)].grad
        assert parameter.grad is not None, name
        assert gradient is not None, name
        # A bias that a norm takes away again has none.
        assert gradient.any() or name.endswith("bias"), name
        assert (parameter.grad - gradient.view(parameter.shape)).abs().max() < 1e-8 * scale, name
    after = export_published_state(model)
    moved = {name for name in after if name.endswith(("running_mean", "running_var"))}
    assert moved == described.moved.keys()
    for name, expected in described.moved.items():
        torch.testing.assert_close(after[name], expected.detach(), rtol=1e-9, atol=1e-9)


# The published configurations, with fewer blocks


def shallow(name):
    """A preset with at most two blocks a branch, one of each module's depth kept unequal."""
    spec = get_arch(name)
    modules = tuple(
        replace(
            module, branches=tuple(replace(b, blocks=min(b.blocks, 2)) for b in module.branches)
        )
        for module in (spec.modules[0], *spec.modules[1:3], *spec.modules[4:])
    )
    return replace(spec, modules=modules)


@pytest.mark.parametrize("name", ["hrvit_b1", "hrvit_b2", "hrvit_b3"])
def test_published_configurations_are_as_described(name):
    model = shaken(build_segmentor(shallow(name), CLASSES)).eval()
    described = Described(export_published_state(model), model.spec)
    for size in ((64, 96), (33, 47), (70, 36)):
        image = image_of(size)
        with torch.no_grad():
            expected = described.features(image)
            for ours, theirs in zip(model.forward_features(image), expected, strict=True):
                assert difference(ours, theirs) < 1e-9
            assert difference(model(image), described.segmentation(image)) < 1e-9


def test_published_configuration_trains_as_described():
    model = shaken(build_segmentor(shallow("hrvit_b1"), CLASSES))
    check_training(model, "segmentation", image_of((45, 70)))


def test_classifier_trains_as_described():
    spec = tiny("cross_shaped", True, True, True)
    model = shaken(build_classifier(spec, CLASSES))
    image = image_of((40, 70))
    with torch.no_grad():
        expected = Described(export_published_state(model), spec, prefix="").classification(image)
        assert difference(model.eval()(image), expected) < 1e-9
    check_training(model, "classification", image)


# Every kind, with every switch


MIXERS = [
    (attention, *switches)
    for attention in ATTENTIONS
    for switches in product((True, False), repeat=3)
    if attention in HEADED_ATTENTIONS or all(switches[:2])
]
REST = list(product(("des", "identity"), ("mix_cfn", "ffn"), ("efficient", "convolution")))


def tiny(attention, kv_sharing, parallel_conv, extra_nonlinearity):
    """One mixer, with every choice of shortcut, feed-forward and embedding on every branch.

    Choices rotate over eight modules of four branches, after three that open these; every
    second module is sparse.
    """
    base = get_arch("hrvit_b1")
    branch = replace(
        base.modules[0].branches[0],
        attention=attention,
        strip_width=3 if attention in STRIP_ATTENTIONS else None,
        head_dim=4 if attention in HEADED_ATTENTIONS else None,
        kv_sharing=kv_sharing,
        parallel_conv=parallel_conv,
        extra_nonlinearity=extra_nonlinearity,
        expansion_ratio=2,
    )
    widths = (4, 8, 8, 16)  # heads of two channels, then one and two of four
    modules = []
    for m in range(3 + len(REST)):
        branches = []
        for b in range(min(m + 1, 4)):
            shortcut, feed_forward, embedding = REST[(m + b) % len(REST)]
            branches.append(
                replace(
                    branch,
                    width=widths[b],
                    shortcut=shortcut,
                    feed_forward=feed_forward,
                    patch_embedding=embedding,
                )
            )
        fusion = "sparse" if m > 3 and m % 2 else "dense"
        modules.append(replace(base.modules[0], branches=tuple(branches), fusion=fusion))
    return ArchSpec(stem_width=4, head_width=6, modules=tuple(modules))


@pytest.mark.parametrize("mixer", MIXERS, ids=lambda mixer: "-".join(map(str, mixer)))
def test_every_kind_and_switch_is_as_described(mixer):
    spec = tiny(*mixer)
    model = shaken(build_segmentor(spec, CLASSES)).eval()
    described = Described(export_published_state(model), spec)
    for size in ((32, 32), (33, 47), (64, 96)):
        image = image_of(size)
        with torch.no_grad():
            logits = model(image)
        assert logits.shape == (2, CLASSES, *size)
        assert logits.isfinite().all()
        if size != (64, 96):
            assert difference(logits, described.segmentation(image).detach()) < 1e-9
    with torch.no_grad():
        assert difference(unfolded(model)(image), logits) < 1e-9
    check_training(model, "segmentation", image_of((33, 47)))
