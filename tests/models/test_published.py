"""Published checkpoints: the same tensors, the same outputs, and strictness on import."""

import hashlib
import json
import math
import zlib
from pathlib import Path

import pytest
import torch

from hrvit_nas.arch import get_arch
from hrvit_nas.models import (
    build_classifier,
    build_segmentor,
    export_published_state,
    load_published_state,
)

HEADS = {"segmentor": build_segmentor, "classifier": build_classifier}


PUBLISHED = json.loads(Path(__file__).with_name("published.json").read_text())
"""Facts of the published model: a digest of each checkpoint's names and shapes, and of b1's outputs
for the weights and images below their norms and 24 values evenly spread."""


def shapes_of(model):
    return {key: list(tensor.shape) for key, tensor in export_published_state(model).items()}


def golden_tensor(name, shape):
    """The weights that the golden outputs were made with."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.long)
    if name.endswith("running_var"):
        return torch.rand(shape, generator=generator) + 0.5
    noise = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        return noise / math.sqrt(math.prod(shape[1:]))
    return 1 + 0.1 * noise if name.endswith("weight") else 0.1 * noise


@pytest.mark.parametrize("name", ["hrvit_b1", "hrvit_b2", "hrvit_b3"])
def test_names_and_shapes_are_the_published_ones(name):
    with torch.device("meta"):
        shapes = shapes_of(build_classifier(get_arch(name)))
        ours = shapes_of(build_segmentor(get_arch(name), 19))
    digest = hashlib.sha256(json.dumps(sorted(shapes.items())).encode()).hexdigest()
    assert digest == PUBLISHED["state_sha256"][name]
    backbone = {
        f"backbone.{key}": shape for key, shape in shapes.items() if not key.startswith("head.")
    }
    head = {key: shape for key, shape in ours.items() if not key.startswith("backbone.")}
    assert ours == backbone | head
    width = get_arch(name).head_width
    widths = get_arch(name).out_widths
    assert head == {
        **{f"decode_head.convs.{b}.conv.weight": [width, w, 1, 1] for b, w in enumerate(widths)},
        **{f"decode_head.convs.{b}.conv.bias": [width] for b in range(4)},
        "decode_head.fusion_conv.conv.weight": [width, 4 * width, 1, 1],
        **{
            f"decode_head.fusion_conv.bn.{part}": [width]
            for part in ("weight", "bias", "running_mean", "running_var")
        },
        "decode_head.fusion_conv.bn.num_batches_tracked": [],
        "decode_head.conv_seg.weight": [19, width, 1, 1],
        "decode_head.conv_seg.bias": [19],
    }


@pytest.mark.parametrize("size", PUBLISHED["outputs"])
def test_outputs_are_the_published_ones(size):
    height, width = map(int, size.split("x"))
    model = build_classifier(get_arch("hrvit_b1")).eval()
    shapes = shapes_of(model)
    load_published_state(model, {name: golden_tensor(name, shapes[name]) for name in shapes})
    generator = torch.Generator().manual_seed(height * 10000 + width)
    image = torch.randn(1, 3, height, width, generator=generator)
    with torch.inference_mode():
        outputs = {f"feature_{b}": y for b, y in enumerate(model.forward_features(image))}
        outputs["logits"] = model(image)
    published = PUBLISHED["outputs"][size]
    assert outputs.keys() == published.keys()
    for name, ours in outputs.items():
        expected = published[name]
        assert list(ours.shape) == expected["shape"]
        assert ours.double().norm().item() == pytest.approx(expected["norm"], rel=1e-5)
        values = torch.tensor(expected["values"])
        places = torch.linspace(0, ours.numel() - 1, len(values), dtype=torch.double).round().long()
        assert (ours.flatten()[places] - values).abs().max() < 1e-5 * ours.abs().max()


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return {
        head: export_published_state(build(get_arch("hrvit_b1"), 4))
        for head, build in HEADS.items()
    }


@pytest.mark.parametrize("head", HEADS)
def test_what_is_exported_can_be_imported(state, head):
    torch.manual_seed(1)
    model = HEADS[head](get_arch("hrvit_b1"), 4)
    load_published_state(model, state[head])
    again = export_published_state(model)
    assert again.keys() == state[head].keys()
    for name, tensor in again.items():
        assert torch.equal(tensor, state[head][name]), name


def first(state, ending):
    return next(name for name in state if name.endswith(ending))


FAULTS = {
    "missing": (lambda s, name: s.pop(name), "missing {name}"),
    "unexpected": (lambda s, name: s.update(extra=s[name]), "unexpected extra"),
    "shape": (lambda s, name: s.update({name: s[name][:-1]}), r"{name} has shape \(\d.*model \("),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("ending", ["attn.to_qkv.weight", "conv1.bias", "proj.0.weight"])
def test_a_checkpoint_that_does_not_fit_is_refused(state, head, fault, ending):
    spoil, message = FAULTS[fault]
    checkpoint = dict(state[head])
    name = first(checkpoint, ending)
    spoil(checkpoint, name)
    model = HEADS[head](get_arch("hrvit_b1"), 4)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=message.format(name=name.replace(".", r"\."))):
        load_published_state(model, checkpoint)
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[key]), key


def test_every_fault_is_named(state):
    checkpoint = dict(state["segmentor"])
    gone = first(checkpoint, "fc1.weight")
    short = first(checkpoint, "fc2.bias")
    del checkpoint[gone]
    checkpoint[short] = checkpoint[short][1:]
    checkpoint["head.surplus"] = torch.zeros(())
    with pytest.raises(ValueError, match="must fit the model exactly") as error:
        load_published_state(build_segmentor(get_arch("hrvit_b1"), 4), checkpoint)
    assert all(name in str(error.value) for name in (gone, short, "head.surplus"))


def test_a_kernel_that_is_no_1x1_does_not_become_a_linear_map(state):
    checkpoint = dict(state["segmentor"])
    name = first(checkpoint, "patch_embed.0.proj.0.weight")
    checkpoint[name] = torch.zeros(*checkpoint[name].shape[:2], 3, 3)
    with pytest.raises(ValueError, match=r"proj\.0\.weight has shape"):
        load_published_state(build_segmentor(get_arch("hrvit_b1"), 4), checkpoint)


def test_another_architecture_is_refused_with_few_names(state):
    with pytest.raises(ValueError, match=r"has shape .* and \d+ more") as error:
        load_published_state(build_segmentor(get_arch("hrvit_b3"), 4), state["segmentor"])
    assert len(str(error.value)) < 1000
