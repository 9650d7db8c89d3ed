"""A training of one architecture: made, interrupted, gone on with, and what it leaves."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from trainings import cut_off, same, weights

from hrvit_nas import from_pretrained
from hrvit_nas.arch import get_arch, scale_widths
from hrvit_nas.data import DataConfig, DataError
from hrvit_nas.execution import Resources
from hrvit_nas.models import build_segmentor, export_published_state
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.first_weights import load_first_weights
from hrvit_nas.search.training_config import TrainingConfig, read_training
from hrvit_nas.search.training_run import (
    continue_training,
    create_training,
    open_training,
    reached,
)
from hrvit_nas.training import Recipe, save_trained

TINY = scale_widths(get_arch("hrvit_b1"), 0.125)
STEPS, SIZE = 6, (32, 48)


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in "abcd":
            values = rng.integers(0, 2, SIZE, np.uint8)
            for kind, pixels in (
                ("images", np.stack([100 * values] * 3, -1)),
                ("annotations", values),
            ):
                path = tmp_path / "set" / kind / split / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    (tmp_path / "classes.yaml").write_text("classes: [dark, light]\n")
    return DataConfig(
        name="folder", root=tmp_path / "set", classes=tmp_path / "classes.yaml", image_size=SIZE
    )


@pytest.fixture
def config(photographs):
    recipe = Recipe(
        steps=STEPS,
        batch_size=2,
        warmup_steps=0,
        evaluations=2,
        augment={"crop_size": SIZE},
        weight_averaging=0.5,
    )
    return TrainingConfig(
        arch=TINY.to_json(),
        data=photographs,
        recipe=recipe,
        seed=3,
        resources=Resources(executor="inline"),
    )


def finished(config, directory, first=None, part="all"):
    run = create_training(config, directory, first, part)
    told = []
    continue_training(run, told.append)
    return run, told


def test_what_a_training_leaves(config, tmp_path):
    run, told = finished(config, tmp_path / "run")
    left = {path.name for path in run.directory.iterdir()}
    assert left == {
        "config.json",
        "provenance.json",
        "curve.csv",
        "scores.json",
        "model",
        "tensorboard",
    }
    assert run.done
    curve = pd.read_csv(run.layout.curve)
    assert list(curve["step"]) == list(range(1, STEPS + 1))
    assert curve["loss"].notna().all()
    scores = json.loads(run.layout.scores.read_text())
    assert list(curve["averaged_miou"].dropna())[-1] == pytest.approx(scores["miou"])
    assert list(curve["miou"].notna()) == [False, False, True, False, False, True]
    assert list(scores["class_iou"]) == ["dark", "light"]
    model = from_pretrained(run.layout.model)
    assert (model.spec, model.description.class_names) == (TINY, ("dark", "light"))
    assert model.provenance["recipe"]["steps"] == STEPS
    assert model.provenance["miou"] == scores["miou"]
    assert [at.step for at in told if at] == sorted(at.step for at in told if at)
    with pytest.raises(ConfigError, match="a training that is done: MLflow gets no more"):
        open_training(run.directory, {}, {"mlflow": "http://127.0.0.1:1"})
    assert open_training(run.directory, {}, {}).done


def test_an_interrupted_training_goes_on_bit_for_bit(config, tmp_path):
    whole, _ = finished(config, tmp_path / "whole")
    run = create_training(config, tmp_path / "run", None, "all")
    cut_off(run, 4)
    assert reached(run.layout).step == 4
    again = open_training(run.directory, {}, {})
    assert again.config == run.config
    assert not again.done
    continue_training(again, lambda reached: None)
    assert same(weights(again), weights(whole))
    assert again.layout.curve.read_text() == whole.layout.curve.read_text()
    assert len(json.loads(again.layout.provenance.read_text())) == 2


def test_first_weights_are_kept_with_the_training(config, tmp_path):
    torch.manual_seed(9)
    other = build_segmentor(TINY, 2)
    other.save_pretrained(tmp_path / "other")
    run = create_training(config, tmp_path / "run", str(tmp_path / "other"), "all")
    assert run.config.initial == f"all of {tmp_path / 'other'}"
    for path in (tmp_path / "other").iterdir():
        path.unlink()
    continue_training(open_training(run.directory, {}, {}), lambda reached: None)
    plain, _ = finished(config, tmp_path / "plain")
    assert not same(weights(run), weights(plain))
    assert json.loads((run.layout.model / "config.json").read_text())["provenance"]["initial"]


@pytest.fixture
def given(tmp_path):
    """A network of two classes and one of three, in every form that first weights come in."""
    torch.manual_seed(9)
    found = {2: build_segmentor(TINY, 2), 3: build_segmentor(TINY, 3)}
    for count, model in found.items():
        model.save_pretrained(tmp_path / f"folder{count}")
        names = [f"class {label}" for label in range(count)]
        save_trained(tmp_path / f"trained{count}", model, names, 0)
        torch.save({"state_dict": export_published_state(model)}, tmp_path / f"published{count}")
    return found


@pytest.mark.parametrize("form", ["folder", "trained", "published"])
def test_first_weights_of_every_form(given, tmp_path, form):
    torch.manual_seed(1)
    model = build_segmentor(TINY, 2)
    load_first_weights(model, str(tmp_path / f"{form}2"), "all")
    assert same(model.state_dict(), given[2].state_dict())
    head = {name: t.clone() for name, t in model.head.state_dict().items()}
    with pytest.raises(ValueError, match="3 classes"):
        load_first_weights(model, str(tmp_path / f"{form}3"), "all")
    assert same(model.state_dict(), given[2].state_dict())
    words = load_first_weights(model, str(tmp_path / f"{form}3"), "backbone")
    assert words.startswith(f"backbone of {tmp_path / form}3")
    assert same(model.backbone.state_dict(), given[3].backbone.state_dict())
    assert same(model.head.state_dict(), head)


def test_first_weights_that_are_none(given, tmp_path):
    other = build_segmentor(scale_widths(get_arch("hrvit_b2"), 0.125), 2)
    (tmp_path / "noise.pt").write_bytes(b"noise" * 99)
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("nowhere", "no network at"),
        ("folder2", "of another architecture: its id is"),
        ("noise.pt", r"noise\.pt cannot be read"),
        ("empty", "holds no run"),
    ):
        with pytest.raises(ValueError, match=message):
            load_first_weights(other, str(tmp_path / name), "all")


def test_a_training_that_cannot_be_is_not_made(config, tmp_path):
    small = config.model_copy(
        update={"recipe": config.recipe.model_copy(update={"eval_batch_size": 1})}
    )
    finished(small, tmp_path / "small")
    with pytest.raises(ConfigError, match="holds a run already"):
        create_training(config, tmp_path / "small", None, "all")
    for path in (config.data.root / "annotations/train").iterdir():
        Image.new("L", SIZE[::-1], 255).save(path)
    with pytest.raises(DataError, match="no pixel of the training masks is labelled"):
        create_training(config, tmp_path / "run", None, "all")
    assert not (tmp_path / "run").exists()


def test_a_damaged_configuration_is_named(config, tmp_path):
    run = create_training(config, tmp_path / "run", None, "all")
    text = run.layout.config.read_text()
    run.layout.config.write_text(text.replace('"seed": 3', '"seed": 4'))
    with pytest.raises(ConfigError, match=r"config\.json is damaged: its content is not"):
        read_training(run.directory, {}, {})
    run.layout.config.write_text("{}")
    with pytest.raises(ConfigError, match="is damaged"):
        read_training(run.directory, {}, {})
    with pytest.raises(ConfigError, match="holds no training"):
        read_training(tmp_path / "nowhere", {}, {})
