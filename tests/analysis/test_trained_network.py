"""analysis/trained_network.py: a network of seconds beside its ONNX file, and beside another's."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hrvit_nas.arch import ArchSpec, BranchSpec, ModuleSpec
from hrvit_nas.data import DataConfig, load_data
from hrvit_nas.data.scenes import SCENE_CLASSES
from hrvit_nas.data.sheet import label_colours
from hrvit_nas.models import build_segmentor
from hrvit_nas.models.exporting import export_program, write_onnx
from hrvit_nas.training import Recipe
from hrvit_nas.training.scoring import evaluate_on_val

SCRIPT = Path(__file__).parents[2] / "analysis" / "trained_network.py"
BRANCH = BranchSpec(width=8, blocks=1, expansion_ratio=2, strip_width=3, head_dim=4)
SPEC = ArchSpec(stem_width=4, head_width=8, modules=(ModuleSpec(branches=(BRANCH,)),))
SIZE = (32, 48)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Two networks that differ in their weights, each with its folder."""
    made = []
    for seed in (0, 1):
        folder = tmp_path_factory.mktemp("network")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build_segmentor(SPEC, len(SCENE_CLASSES)).eval()
        model.save_pretrained(folder)
        made.append((model, folder))
    return made


@pytest.fixture(scope="module")
def onnx(networks, tmp_path_factory):
    """The ONNX file of the first of them."""
    model, _ = networks[0]
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    write_onnx(export_program(model, size=SIZE), path, model, normalised=False)
    return path


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs the script in this process; returns what it printed."""

    def call(*arguments):
        size = ("--image-size", *SIZE)
        words = [SCRIPT.name, *arguments, "--data", "scenes", *size]
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return capsys.readouterr().out

    return call


def differing(out):
    (count, pixels) = re.search(r"^(\d+) of (\d+) pixels", out, re.MULTILINE).groups()
    return int(count), int(pixels)


def test_scores_are_those_of_the_evaluation_by_both(call, networks, onnx):
    model, folder = networks[0]
    data = load_data(DataConfig(image_size=SIZE))
    expected = evaluate_on_val(model, data, Recipe(), torch.device("cpu"))
    out = call(folder, onnx)
    scores = f"mIoU {expected.miou:.4%} by PyTorch, {expected.miou:.4%} by onnxruntime"
    assert out.startswith(f"{len(data.val)} images of 32x48\n{scores}\n")
    count, pixels = differing(out)
    assert pixels == len(data.val) * SIZE[0] * SIZE[1]
    assert count <= pixels / 1e5
    for name, iou in zip(data.class_names, expected.class_iou, strict=True):
        assert f"\n  {name:12} {iou:7.2%}\n" in out


def test_the_file_of_another_network_is_not_taken_for_the_same(call, networks, onnx):
    _, (_, folder) = networks
    count, pixels = differing(call(folder, onnx))
    assert count > pixels / 100


def test_the_figure_has_photographs_truth_and_prediction(call, networks, onnx, tmp_path):
    _, folder = networks[0]
    path = tmp_path / "figure.png"
    call(folder, onnx, "--figure", path)
    shown = {tuple(colour) for colour in np.asarray(Image.open(path)).reshape(-1, 3)[::7]}
    data = load_data(DataConfig(image_size=SIZE))
    _, labels = data.val.load(len(data.val) // 8)
    colours = label_colours(data.class_names)
    common = np.bincount(labels.ravel()).argmax()
    assert tuple(colours[common]) in shown
