"""The baselines as networks: shapes, gradients, and attention against a loop over tokens."""

import subprocess
import sys

import pytest
import torch

from hrvit_nas.arch import REFERENCES, get_arch, scale_widths
from hrvit_nas.models import (
    build_classifier,
    build_segmentor,
    build_supernet,
    export_published_state,
    extract,
    load_published_state,
)
from hrvit_nas.models.cswin import CrossShapedSelfAttention
from hrvit_nas.space import load_space

PYRAMIDS = [name for name in REFERENCES if name != "hrnet_cswin"]
SIZES = [(64, 96), (101, 75), (32, 32)]


def tiny(name):
    return scale_widths(get_arch(name), 0.25)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_baseline_segments_images_of_any_size(name):
    spec = tiny(name)
    model = build_segmentor(spec, 5).eval()
    for height, width in SIZES:
        image = torch.randn(2, 3, height, width)
        with torch.no_grad():
            logits, maps = model(image), model.forward_features(image)
        assert logits.shape == (2, 5, height, width)
        assert logits.isfinite().all()
        assert [tuple(x.shape) for x in maps] == [
            (2, width_out, -(-height // stride), -(-width // stride))
            for width_out, stride in zip(spec.out_widths, (4, 8, 16, 32), strict=True)
        ]


@pytest.mark.parametrize("name", REFERENCES)
def test_every_parameter_of_a_baseline_learns(name):
    torch.manual_seed(0)
    model = build_segmentor(tiny(name), 5, drop_path_rate=0.1).train()
    model(torch.randn(4, 3, 64, 96)).square().mean().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("name", ["mit_b0", "cswin_ti"])
def test_same_seed_same_weights_and_they_survive_a_file(name, tmp_path):
    models = []
    for _ in range(2):
        torch.manual_seed(3)
        models.append(build_segmentor(tiny(name), 5).eval())
    first, second = models
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[key]), key
    torch.save(first.state_dict(), tmp_path / "weights.pt")
    third = build_segmentor(tiny(name), 5).eval()
    image = torch.randn(1, 3, 64, 64)
    assert not torch.equal(third(image), first(image))
    third.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(third(image), first(image))


@pytest.mark.parametrize("name", PYRAMIDS)
def test_a_baseline_refuses_the_images_that_hrvit_refuses(name):
    model = build_segmentor(tiny(name), 5)
    for shape in ((1, 3, 31, 64), (1, 1, 64, 64)):
        with pytest.raises(ValueError, match=r"must be \(B, 3, H, W\)"):
            model(torch.zeros(shape))


@pytest.mark.parametrize("name", ["mit_b0", "cswin_ti"])
def test_what_is_of_hrvit_alone_refuses_a_pyramid(name):
    spec, model = get_arch(name), build_segmentor(tiny(name), 5)
    family = f"a {spec.family} pyramid"
    with pytest.raises(ValueError, match=f"from an HRViT alone, got {family}"):
        build_classifier(spec)
    with pytest.raises(ValueError, match=f"over a space of HRViTs, got {family}"):
        build_supernet(spec, 5)
    with pytest.raises(ValueError, match=f"of HRViT alone, got {family}"):
        export_published_state(model)
    with pytest.raises(ValueError, match=f"of HRViT alone, got {family}"):
        load_published_state(model, model.state_dict())


def test_a_pyramid_is_no_subnet_of_a_supernet():
    with torch.device("meta"):
        supernet = build_supernet(load_space("heterogeneous_branches"), 5)
    with pytest.raises(ValueError, match=r"not in space .* a cswin pyramid is no HRViT"):
        extract(supernet, get_arch("cswin_ti"))


@pytest.mark.parametrize(("stage", "size"), [(0, (5, 4)), (1, (5, 7)), (2, (9, 8)), (3, (3, 4))])
def test_cross_shaped_attention_is_a_loop_over_tokens(stage, size):
    """Each token, each head: softmax over the tokens of its strip, written out."""
    torch.manual_seed(0)
    part = tiny("cswin_t").stages[stage]
    attention = CrossShapedSelfAttention(part).double().eval()
    height, width = size
    x = torch.randn(1, height, width, part.width, dtype=torch.float64)
    with torch.no_grad():
        got = attention(x)[0]
        q, k, v = attention.to_input(x)[0].split(part.width, -1)
        mixed = torch.zeros(height, width, part.width, dtype=torch.float64)
        depth = part.width // part.num_heads
        for head in range(part.num_heads):
            channels = slice(head * depth, (head + 1) * depth)
            for row in range(height):
                for column in range(width):
                    seen = [
                        (r, c)
                        for r in range(height)
                        for c in range(width)
                        if part.strip_width is None
                        or (
                            r // part.strip_width == row // part.strip_width
                            if head < part.num_heads // 2
                            else c // part.strip_width == column // part.strip_width
                        )
                    ]
                    logits = torch.stack(
                        [q[row, column, channels] @ k[r, c, channels] for r, c in seen]
                    )
                    weights = (logits / depth**0.5).softmax(0)
                    values = torch.stack([v[r, c, channels] for r, c in seen])
                    mixed[row, column, channels] = weights @ values
        lepe = torch.zeros_like(mixed)
        kernel, bias = attention.lepe.weight[:, 0], attention.lepe.bias
        for row in range(height):
            for column in range(width):
                lepe[row, column] = bias
                for dr in (-1, 0, 1):
                    for dc in (-1, 0, 1):
                        r, c = row + dr, column + dc
                        if 0 <= r < height and 0 <= c < width:
                            lepe[row, column] += kernel[:, dr + 1, dc + 1] * v[r, c]
        expected = attention.to_output(mixed + lepe)
    torch.testing.assert_close(got, expected)


def test_mit_is_that_of_transformers():
    from transformers import SegformerConfig, SegformerModel

    ours = build_segmentor(get_arch("mit_b0"), 5).backbone.eval()
    theirs = SegformerModel(SegformerConfig()).eval()  # the defaults are MiT-B0's
    theirs.load_state_dict(ours.encoder.state_dict())
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = theirs(image, output_hidden_states=True).hidden_states
        for got, expected in zip(ours(image), maps, strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


LOADED = """
import sys
from hrvit_nas.arch import get_arch
from hrvit_nas.models import build_segmentor
build_segmentor(get_arch("cswin_ti"), 2)
assert "transformers" not in sys.modules
sys.modules["transformers"] = None  # as if it were not installed
try:
    build_segmentor(get_arch("mit_b0"), 2)
except ValueError as error:
    print(error)
"""


def test_transformers_is_needed_for_mit_alone_and_said_where_missing():
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "mit needs Hugging Face transformers; pip install 'hrvit_nas[baselines]'\n"
    )
