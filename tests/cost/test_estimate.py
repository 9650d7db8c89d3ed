"""Closed-form costs against published counts, fvcore, and measured memory."""

import json
import random
from collections import Counter
from math import prod
from pathlib import Path

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import conv_flop_jit, linear_flop_jit, matmul_flop_jit
from live_memory import peak_activation_bytes
from torch.overrides import TorchFunctionMode

from hrvit_nas import build_classifier, build_segmentor, estimate_cost, get_arch, load_space
from hrvit_nas.space import list_spaces

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "published_complexity.json"
COUNTED = ("conv", "linear", "matmul")
CLASSES = {"segformer_ade20k": 150, "segformer_cityscapes": 19}


def published():
    return json.loads(REFERENCE.read_text()) if REFERENCE.exists() else []


def attention_macs(inputs, outputs):
    """fvcore has no handler for fused attention: both products, counted in full."""
    query, key, value = (item.type().sizes() for item in inputs[:3])
    macs = prod(query) * key[-2] + prod(query[:-1]) * key[-2] * value[-1]
    return Counter({"attention": macs})


def fvcore_count(model, image_size):
    """Multiply-adds by operator, from fvcore's trace of the model; the weights need no values."""
    model = model.to_empty(device="cpu").eval()
    analysis = FlopCountAnalysis(model, torch.zeros(1, 3, *image_size))
    analysis.set_op_handle("aten::scaled_dot_product_attention", attention_macs)
    analysis.unsupported_ops_warnings(False)
    analysis.uncalled_modules_warnings(False)
    operators = analysis.by_operator()
    kernels = ("addmm", "mm", "bmm", "baddbmm", "einsum")
    assert not any(operators.get(name) for name in kernels)
    return {name: operators[name] for name in (*COUNTED, "attention") if operators.get(name)}


class Traced:
    """A tensor or plain value as fvcore's handlers expect it of a trace."""

    def __init__(self, value):
        self.value = value

    def isCompleteTensor(self):  # noqa: N802
        return isinstance(self.value, torch.Tensor)

    def type(self):
        return self

    def sizes(self):
        return list(self.value.shape)

    def toIValue(self):  # noqa: N802
        return self.value


class FvcoreHandlers(TorchFunctionMode):
    """fvcore's own handlers on the calls of a forward pass: a trace takes ten times as long."""

    def __init__(self):
        super().__init__()
        self.macs = Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        inputs, outputs = [Traced(arg) for arg in args], [Traced(result)]
        if func is torch.nn.functional.linear:
            self.macs["linear"] += linear_flop_jit(inputs, outputs)
        elif func is torch.matmul:
            self.macs["matmul"] += matmul_flop_jit(inputs, outputs)
        elif func is torch.nn.functional.scaled_dot_product_attention:
            self.macs.update(attention_macs(inputs, outputs))
        elif func is torch.conv2d:
            padded = [*inputs[:3], *([Traced(False)] * 10)]
            self.macs.update(conv_flop_jit(padded, outputs))
        return result


def handler_count(model, image_size):
    model = model.to_empty(device="cpu").eval()
    for tensor in model.state_dict().values():
        tensor.zero_()
    with torch.inference_mode(), FvcoreHandlers() as handlers:
        model(torch.zeros(1, 3, *image_size))
    return dict(handlers.macs)


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"published counts are not at {REFERENCE}")
@pytest.mark.parametrize("row", published(), ids=lambda r: f"{r['model']}-{r['task']}-{r['input']}")
def test_published_counts(row):
    task = "segmentation" if row["task"] in CLASSES else row["task"]
    spec = get_arch(f"hrvit_{row['model']}")
    cost = estimate_cost(spec, tuple(row["input"]), task, CLASSES.get(row["task"]))
    assert cost.published_macs == sum(row["fvcore_by_operator"][name] for name in COUNTED)
    assert cost.params == row["params"]


@pytest.mark.parametrize("name", ["hrvit_b1", "hrvit_b2", "hrvit_b3"])
@pytest.mark.parametrize("size", [(64, 96), (101, 75)])
def test_presets_equal_fvcore_by_operator(name, size):
    spec = get_arch(name)
    with torch.device("meta"):
        segmentor, classifier = build_segmentor(spec, 19), build_classifier(spec)
    assert estimate_cost(spec, size).by("operator") == fvcore_count(segmentor, size)
    assert estimate_cost(spec, size).by("operator") == handler_count(segmentor, size)
    cost = estimate_cost(spec, size, "classification")
    assert cost.by("operator") == fvcore_count(classifier, size)
    assert cost.params == sum(p.numel() for p in classifier.parameters())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", list_spaces())
def test_two_hundred_members_equal_fvcore_by_operator(name):
    space, rng = load_space(name), random.Random(7)
    for index in range(200):
        spec = space.sample(rng)
        size = ((32, 64), (45, 77))[index % 2]
        with torch.device("meta"):
            model = build_segmentor(spec, 11)
        cost = estimate_cost(spec, size, num_classes=11)
        assert cost.by("operator") == handler_count(model, size), spec.to_json()
        assert cost.macs == sum(cost.by("operator").values())
        assert cost.params == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("key", ["module", "branch", "part", "operator"])
def test_breakdown_sums_to_the_total(key):
    cost = estimate_cost(get_arch("hrvit_b2"), (96, 160))
    assert sum(cost.by(key).values()) == cost.macs
    assert sum(entry.published_macs for entry in cost.entries) == cost.published_macs
    assert sum(entry.params for entry in cost.entries) == cost.params


@pytest.mark.parametrize("name", ["hrvit_b1", "heterogeneous_branches", "joint"])
def test_peak_activation_bytes_within_a_tenth_of_the_measured(name):
    if name == "hrvit_b1":
        specs = [get_arch(name)]
    else:
        space, rng = load_space(name), random.Random(3)
        specs = [space.sample(rng) for _ in range(4)]
    for spec in specs:
        model = build_segmentor(spec, 19)
        measured = peak_activation_bytes(model, (256, 256))
        estimated = estimate_cost(spec, (256, 256)).peak_activation_bytes
        assert estimated == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": (31, 64)}, "at least 32"),
        ({"task": "detection"}, "detection"),
        ({"num_classes": 0}, "num_classes"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        estimate_cost(get_arch("hrvit_b1"), **arguments)
