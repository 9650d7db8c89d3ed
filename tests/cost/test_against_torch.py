"""Costs against networks that run: fvcore's counts, parameters, and live activations."""

import weakref
from dataclasses import replace
from itertools import cycle

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from hrvit_nas.arch import HEAD_KINDS, PRESETS, REFERENCES, get_arch, scale_widths
from hrvit_nas.cost import estimate_cost
from hrvit_nas.evaluation.fvcore_count import attention_products, count_macs
from hrvit_nas.models import build_classifier, build_segmentor
from hrvit_nas.space import list_spaces, load_space

COUNTED = ("conv", "linear", "matmul", "attention", "addmm", "mm", "bmm", "einsum")
ARCHS = 8
CLASSES = 19


def fvcore_count(model, size):
    """Multiply-adds by operator, by fvcore's own tracing. Takes seconds a network."""
    analysis = FlopCountAnalysis(model.eval(), torch.zeros(1, 3, *size))
    analysis.set_op_handle("aten::scaled_dot_product_attention", attention_products)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return {name: macs for name, macs in analysis.by_operator().items() if name in COUNTED}


def num_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.slow
def test_macs_of_a_preset_are_fvcores():
    spec, size = get_arch("hrvit_b1"), (96, 160)
    model = build_segmentor(spec, CLASSES)
    counted = fvcore_count(model, size)
    assert estimate_cost(spec, size).by("operator") == counted
    assert count_macs(model, size) == counted


@pytest.mark.parametrize("name", ["mit_b0", "cswin_ti", "hrnet_cswin"])
def test_macs_of_baselines_are_fvcores(name):
    spec, size = scale_widths(get_arch(name), 0.25), (101, 75)
    model = build_segmentor(spec, CLASSES)
    cost = estimate_cost(spec, size)
    assert cost.by("operator") == fvcore_count(model, size)
    assert cost.params == num_parameters(model)
    assert sum(entry.macs for entry in cost.entries) == cost.macs


def with_head(kind, name="hrvit_b1"):
    return replace(scale_widths(get_arch(name), 0.25), head_kind=kind, head_width=48)


@pytest.mark.parametrize("size", [(32, 32), (101, 75)], ids=str)
@pytest.mark.parametrize("name", ["hrvit_b1", "mit_b0"])
@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_every_head_costs_what_it_does(kind, name, size):
    spec = with_head(kind, name)
    model = build_segmentor(spec, CLASSES)
    cost = estimate_cost(spec, size)
    assert cost.by("operator") == count_macs(model, size)
    assert cost.params == num_parameters(model)
    assert sum(entry.macs for entry in cost.entries) == cost.macs


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_macs_of_every_head_are_fvcores(kind):
    spec, size = with_head(kind, "mit_b0"), (101, 75)
    assert estimate_cost(spec, size).by("operator") == fvcore_count(
        build_segmentor(spec, CLASSES), size
    )


@pytest.mark.parametrize(("name", "size"), zip(REFERENCES, cycle([(128, 192), (101, 75)])))
def test_baselines_cost_what_they_do(name, size):
    spec = get_arch(name)
    model = build_segmentor(spec, CLASSES)
    assert estimate_cost(spec, size).by("operator") == count_macs(model, size)
    assert estimate_cost(spec, size).params == num_parameters(model)


@pytest.mark.slow
def test_macs_of_an_architecture_are_fvcores(rng):
    spec, size = load_space("joint").sample(rng), (101, 75)
    model = build_segmentor(spec, CLASSES)
    counted = fvcore_count(model, size)
    assert estimate_cost(spec, size).by("operator") == counted
    assert count_macs(model, size) == counted


@pytest.mark.parametrize("name", PRESETS)
def test_presets_cost_what_they_do(name):
    spec = get_arch(name)
    for task, build in (("segmentation", build_segmentor), ("classification", build_classifier)):
        model = build(spec, CLASSES)
        for size in ((64, 96), (101, 75), (32, 32)):
            cost = estimate_cost(spec, size, task, CLASSES)
            assert cost.by("operator") == count_macs(model, size)
            assert cost.params == num_parameters(model)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", list_spaces())
def test_architectures_cost_what_they_do(name, rng, monkeypatch):
    # Drawing weights, whose values do not matter here, would take two thirds of the time.
    for draw in ("kaiming_uniform_", "uniform_", "normal_", "trunc_normal_"):
        monkeypatch.setattr(torch.nn.init, draw, lambda tensor, *_, **__: tensor.detach().zero_())
    space = load_space(name)
    for n in range(ARCHS):
        spec, size = space.sample(rng), ((32, 64), (45, 77))[n % 2]
        model = build_segmentor(spec, CLASSES)
        cost = estimate_cost(spec, size)
        assert cost.by("operator") == count_macs(model, size), spec.to_json()
        assert cost.params == num_parameters(model), spec.to_json()


# Activation memory


class LiveBytes(TorchDispatchMode):
    """Peak bytes of the storages alive at once that depend on an image.

    What is made from weights alone (folded norms, the head's joint maps) is no activation.
    """

    def __init__(self, image):
        super().__init__()
        self.now = self.peak = 0
        self.alive = set()
        self.add(image)

    def add(self, tensor):
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self.alive:
            self.alive.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.drop, key, size)

    def drop(self, key, size):
        self.alive.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if any(x.untyped_storage()._cdata in self.alive for x in tensors((args, kwargs))):
            for tensor in tensors(result):
                self.add(tensor)
        return result


def tensors(tree):
    return (leaf for leaf in tree_iter(tree) if isinstance(leaf, torch.Tensor))


def live_bytes(model, size):
    image = torch.zeros(1, 3, *size)
    with torch.no_grad(), LiveBytes(image) as live:
        model.eval()(image)
    return live.peak


def check_peak(spec, size, task):
    builds = {
        "segmentation": lambda: build_segmentor(spec, CLASSES),
        "classification": lambda: build_classifier(spec, CLASSES),
        "backbone": lambda: build_segmentor(spec, CLASSES).backbone,
    }
    cost = estimate_cost(spec, size, task, CLASSES)
    assert cost.peak_activation_bytes == pytest.approx(live_bytes(builds[task](), size), rel=0.1)


@pytest.mark.parametrize("task", ["segmentation", "classification", "backbone"])
@pytest.mark.parametrize("name", PRESETS)
def test_presets_hold_what_is_estimated(name, task):
    check_peak(get_arch(name), (256, 320), task)


@pytest.mark.parametrize("task", ["segmentation", "backbone"])
@pytest.mark.parametrize("name", list_spaces())
def test_architectures_hold_what_is_estimated(name, task, rng):
    check_peak(load_space(name).sample(rng), (257, 330), task)


@pytest.mark.parametrize(("head_width", "size"), [(8, (101, 75)), (128, (256, 320))], ids=str)
@pytest.mark.parametrize("num_modules", [1, 3, 6])
@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_every_head_holds_what_is_estimated(kind, num_modules, head_width, size):
    spec = with_head(kind)
    modules = spec.modules[:num_modules]
    check_peak(replace(spec, head_width=head_width, modules=modules), size, "segmentation")


@pytest.mark.parametrize(
    ("task", "size"), [("segmentation", (101, 75)), ("backbone", (128, 192))], ids=str
)
@pytest.mark.parametrize("name", REFERENCES)
def test_baselines_hold_what_is_estimated(name, task, size):
    check_peak(scale_widths(get_arch(name), 0.5), size, task)
