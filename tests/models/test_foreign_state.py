"""Published checkpoints as others save them."""

import pytest
import torch

from hrvit_nas.arch import get_arch
from hrvit_nas.models import (
    build_classifier,
    build_segmentor,
    export_published_state,
    load_published_state,
)

SMALL = get_arch("hrvit_b1")


def built(build, num_classes=4):
    torch.manual_seed(1)
    return build(SMALL, num_classes)


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return {
        build.__name__: export_published_state(build(SMALL, 4))
        for build in (build_segmentor, build_classifier)
    }


@pytest.fixture(scope="module")
def segmentor(state):
    return state["build_segmentor"]


@pytest.fixture(scope="module")
def classifier(state):
    return state["build_classifier"]


def prefixed(state, prefix):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def counted(state):
    return {name: t for name, t in state.items() if not name.endswith("num_batches_tracked")}


AUXILIARY = {
    "auxiliary_head.convs.0.conv.weight": torch.zeros(3),
    "auxiliary_head.conv_seg.bias": torch.zeros(3),
}


def same(model, state, *, of=""):
    found = export_published_state(model)
    names = [name for name in found if name.startswith(of)]
    assert names
    return all(torch.equal(found[name], state[name]) for name in names)


@pytest.mark.parametrize(
    ("wrap", "line"),
    [
        (lambda s: s, "loaded as it is"),
        (lambda s: {"state_dict": s, "meta": {"epoch": 3}}, "found under 'state_dict'"),
        (lambda s: {"model": s, "optimizer": {}, "epoch": 1}, "found under 'model'"),
        (lambda s: prefixed(s, "module."), "prefix 'module.' taken off"),
        (lambda s: prefixed(s, "model.module."), "prefix 'model.module.' taken off"),
        (
            lambda s: {"model": prefixed(s, "module."), "epoch": 1},
            "found under 'model'; prefix 'module.' taken off",
        ),
        (
            lambda s: s | AUXILIARY,
            "2 tensors left out: auxiliary_head.conv_seg.bias and 1 more",
        ),
    ],
)
def test_wrapping_prefix_and_auxiliary_head_are_recognised_and_named(segmentor, wrap, line):
    model = built(build_segmentor)
    assert not same(model, segmentor)
    assert str(load_published_state(model, wrap(segmentor))) == line
    assert same(model, segmentor)


def test_counters_may_be_missing_and_stay(segmentor):
    model = built(build_segmentor)
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(7)
    without = counted(segmentor)
    loaded = load_published_state(model, without)
    assert loaded.without_counters == len(segmentor) - len(without) > 0
    found = export_published_state(model)
    for name, tensor in found.items():
        assert torch.equal(tensor, without.get(name, torch.tensor(7))), name


def backbone(state):
    """A segmentor's without its head."""
    return {name: t for name, t in state.items() if name.startswith("backbone.")}


def bare(state):
    return {name.removeprefix("backbone."): t for name, t in backbone(state).items()}


@pytest.mark.parametrize("change", [lambda s: s, backbone, bare, lambda s: s | AUXILIARY])
def test_a_backbone_is_loaded_alone_whatever_head_there_is(segmentor, change):
    model = built(build_segmentor, 9)
    head = {n: t.clone() for n, t in model.state_dict().items() if n.startswith("head.")}
    loaded = load_published_state(model, change(segmentor), part="backbone")
    assert same(model, segmentor, of="backbone.")
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in head.items())
    assert len(loaded.left_out) == sum("head" in name for name in change(segmentor))


def test_a_classifier_gives_its_backbone_to_a_segmentor_and_back(segmentor, classifier):
    model = built(build_segmentor)
    load_published_state(model, prefixed(classifier, "module."), part="backbone")
    expected = {f"backbone.{name}": tensor for name, tensor in classifier.items()}
    assert same(model, expected, of="backbone.")
    model = built(build_classifier)
    load_published_state(model, segmentor, part="backbone")
    found = export_published_state(model)
    for name, tensor in bare(segmentor).items():
        assert torch.equal(found[name], tensor), name


def broken(state, *values):
    names = [name for name in state if name.endswith("fc1.weight")][: len(values)]
    return {**state, **{n: state[n] * v for n, v in zip(names, values, strict=True)}}


@pytest.mark.parametrize(
    ("build", "change", "message"),
    [
        (build_segmentor, lambda s: {}, "holds no tensors by name, but nothing"),
        (build_segmentor, lambda s: {"epoch": 3}, "no tensors by name, but epoch"),
        (build_segmentor, lambda s: {"conv1.weight": torch.ones(1)}, "no published HRViT"),
        (
            build_segmentor,
            lambda s: prefixed(s, "student.") | prefixed(s, "teacher."),
            "several backbones; keep one of student.*, teacher",
        ),
        (build_segmentor, backbone, "of a backbone without head.* part='backbone'"),
        (build_classifier, lambda s: s, "of a segmentor, the model a classifier"),
        (build_segmentor, lambda s: broken(s, torch.nan), "weights are broken: NaN or infinite b"),
        (build_segmentor, lambda s: broken(s, 1, torch.inf), "weights are broken: NaN or inf"),
    ],
)
def test_the_cause_is_named_first(segmentor, build, change, message):
    model = built(build)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=message) as caught:
        load_published_state(model, change(segmentor))
    assert "\n" not in str(caught.value)
    assert all(torch.equal(tensor, before[n]) for n, tensor in model.state_dict().items())


def test_another_number_of_classes_is_said_before_any_tensor(segmentor):
    with pytest.raises(
        ValueError, match="exactly, and its head has 4 classes, the model's 9; "
    ) as e:
        load_published_state(built(build_segmentor, 9), segmentor)
    assert "build the model with 4: decode_head.conv_seg.bias has shape (4,)" in str(e.value)


def test_another_architecture_is_said_with_five_tensors_at_most(segmentor):
    torch.manual_seed(0)
    model = build_segmentor(get_arch("hrvit_b2"), 4)
    with pytest.raises(
        ValueError, match="exactly, and this is of another architecture: "
    ) as caught:
        load_published_state(model, segmentor)
    assert str(caught.value).count("backbone.") <= 5


def test_a_tensor_beside_the_prefix_is_unexpected(segmentor):
    model = built(build_segmentor)
    with pytest.raises(ValueError, match="unexpected queue"):
        load_published_state(model, prefixed(segmentor, "module.") | {"queue": torch.zeros(2)})
