"""Trained networks come back as they were kept, and whatever else is refused in a line."""

import pytest
import torch

from hrvit_nas.arch import get_arch, scale_widths
from hrvit_nas.models import build_segmentor
from hrvit_nas.training import CheckpointError, load_trained, save_trained

NAMES = ("sky", "road", "canal")


@pytest.fixture(scope="module")
def model():
    return build_segmentor(scale_widths(get_arch("hrvit_b1"), 0.25), len(NAMES))


@pytest.fixture
def path(model, tmp_path):
    path = tmp_path / "checkpoints" / "network.pt"
    save_trained(path, model, NAMES, 7)
    return path


def test_what_is_kept_comes_back(model, path):
    trained = load_trained(str(path))
    assert (trained.class_names, trained.seed) == (NAMES, 7)
    assert trained.model.spec == model.spec
    assert not trained.model.training
    there = trained.model.state_dict()
    assert all(torch.equal(there[name], value) for name, value in model.state_dict().items())
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def broken(path):
    path.write_bytes(b"nothing")


def other_weights(path):
    content = torch.load(path, weights_only=True)
    content["model"].popitem()
    torch.save(content, path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "no trained network at .*frontier and references alone"),
        (broken, "cannot be read"),
        (lambda path: torch.save({"model": {}}, path), "holds no trained network"),
        (lambda path: torch.save(torch.zeros(1), path), "holds no trained network"),
        (other_weights, "are not of its architecture"),
    ],
)
def test_what_is_no_trained_network_is_one_line(path, spoil, message):
    spoil(path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_trained(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
