"""A training of a classifier: what it leaves, how it goes on, and the segmentor that begins so."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from trainings import cut_off, same, weights

from hrvit_nas import from_pretrained
from hrvit_nas.arch import get_arch, scale_widths
from hrvit_nas.data import DataConfig
from hrvit_nas.execution import Resources
from hrvit_nas.models import Classifier, build_segmentor
from hrvit_nas.models.layers import DropPath
from hrvit_nas.search import training_run
from hrvit_nas.search.config import SearchConfig
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.first_weights import load_first_weights
from hrvit_nas.search.profiles import load_profile, load_recipe
from hrvit_nas.search.training_config import TrainingConfig
from hrvit_nas.search.training_run import (
    continue_training,
    create_training,
    open_training,
    reached,
)
from hrvit_nas.training import Recipe

TINY = scale_widths(get_arch("hrvit_b1"), 0.125)
STEPS, SIZE = 4, (32, 32)
DRAWN = DataConfig(name="drawn_classes", num_train=6, num_val=5, image_size=SIZE)
RECIPE = Recipe(
    steps=STEPS,
    batch_size=2,
    warmup_steps=0,
    evaluations=2,
    drop_path_rate=0.2,
    decay="cosine",
    weight_averaging=0.5,
    classification={
        "augment": {"crop_size": SIZE, "rand_augment": {}, "erasing": 0.25},
        "head_dropout": 0.1,
        "label_smoothing": 0.1,
        "mixup": 0.8,
        "cutmix": 1.0,
    },
)


def config(**fields):
    defaults = {
        "arch": TINY.to_json(),
        "data": DRAWN,
        "recipe": RECIPE,
        "seed": 3,
        "resources": Resources(executor="inline"),
    }
    return TrainingConfig(**defaults | fields)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that was not interrupted, and how far it was on the way."""
    run = create_training(config(), tmp_path_factory.mktemp("whole") / "run", None, "all")
    told = []
    continue_training(run, told.append)
    return run, told


def test_what_a_training_of_a_classifier_leaves(whole):
    run, told = whole
    left = {path.name for path in run.directory.iterdir()}
    names = ("config.json", "provenance.json", "curve.csv", "scores.json")
    assert left == {*names, "model", "tensorboard"}
    shown = EventAccumulator(str(run.layout.tensorboard / "training"))
    assert set(shown.Reload().Tags()["scalars"]) == {"loss", "top1"}
    curve = pd.read_csv(run.layout.curve)
    assert list(curve.columns) == ["step", "loss", "top1", "averaged_top1", "top5", "cross_entropy"]
    assert list(curve["step"]) == list(range(1, STEPS + 1))
    assert list(curve["top1"].notna()) == [False, True, False, True]
    scores = json.loads(run.layout.scores.read_text())
    assert list(scores) == ["top1", "top5", "cross_entropy"]
    assert list(curve["averaged_top1"])[-1] == pytest.approx(scores["top1"])
    model = from_pretrained(run.layout.model)
    assert isinstance(model, Classifier)
    assert (model.spec, model.num_classes) == (TINY, 12)
    assert model.description.class_names == run.data.class_names
    assert model.provenance["top1"] == scores["top1"]
    assert all(at.miou is None for at in told if at)
    card = (run.layout.model / "README.md").read_text()
    assert "| 1 | striped disc |\n" in card
    assert "Labels: an image has one class." in card


def test_head_dropout_and_drop_path_are_the_recipes():
    model = training_run._built(config(), training_run.TASKS["classification"].load(config()))
    assert model.head.dropout.p == 0.1
    rates = [layer.rate for layer in model.modules() if isinstance(layer, DropPath)]
    assert (min(rates), max(rates)) == (0, 0.2)


def test_stored_images_of_any_size_are_scored_at_that_of_training(tmp_path):
    for split in ("train", "val"):
        for number, name in enumerate("ab"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for size in ((40, 60), (50, 34)):
                grey = Image.new("RGB", size, (90 * number,) * 3)
                grey.save(folder / f"{size[0]}.png")
    made = config(data=DataConfig(name="imagenet", root=tmp_path))
    data = training_run.TASKS["classification"].load(made)
    assert {data.val.load(n)[0].shape for n in range(len(data.val))} == {(*SIZE, 3)}


def test_an_interrupted_training_goes_on_bit_for_bit(whole, tmp_path):
    run = create_training(config(), tmp_path / "run", None, "all")
    cut_off(run, 3)
    found = reached(run.layout)
    assert (found.step, found.miou) == (3, None)
    assert 0 <= found.top1 <= 1
    again = open_training(run.directory, {}, {})
    continue_training(again, lambda reached: None)
    assert same(weights(again), weights(whole[0]))
    assert again.layout.curve.read_text() == whole[0].layout.curve.read_text()


@pytest.mark.parametrize("name", [".", "model"])
def test_a_segmentor_begins_with_the_backbone_of_a_classifier(whole, name):
    source = whole[0].directory / name
    torch.manual_seed(1)
    model = build_segmentor(TINY, 2)
    head = {name: t.clone() for name, t in model.head.state_dict().items()}
    with pytest.raises(ConfigError, match="must hold a segmentor, got a classifier; take its back"):
        load_first_weights(model, str(source), "all")
    words = load_first_weights(model, str(source), "backbone")
    assert words == f"backbone of {source}"
    pretrained = from_pretrained(whole[0].layout.model)
    assert same(model.backbone.state_dict(), pretrained.backbone.state_dict())
    assert same(model.head.state_dict(), head)


def test_a_backbone_fits_whatever_head_is_on_it_and_no_other_backbone(whole):
    source = str(whole[0].layout.model)
    model = build_segmentor(replace(TINY, head_kind="upernet"), 2)
    load_first_weights(model, source, "backbone")
    pretrained = from_pretrained(whole[0].layout.model)
    assert same(model.backbone.state_dict(), pretrained.backbone.state_dict())
    other = build_segmentor(scale_widths(get_arch("hrvit_b2"), 0.125), 2)
    with pytest.raises(ConfigError, match="of another architecture"):
        load_first_weights(other, source, "backbone")


def test_a_classifier_goes_on_from_all_of_a_classifier(whole, tmp_path):
    source = str(whole[0].directory)
    run = create_training(config(), tmp_path / "run", source, "all")
    assert run.config.initial == f"all of {source}"
    start = torch.load(run.layout.start, weights_only=True)
    assert same(start, weights(whole[0]))


# What is refused before anything is made


def test_data_and_recipe_of_two_tasks_are_refused():
    with pytest.raises(
        ValidationError, match="'scenes' is for segmentation, and the recipe for cl"
    ):
        config(data=DataConfig())
    with pytest.raises(ValidationError, match="'drawn_classes' is for classification, and the rec"):
        config(recipe=Recipe())


def test_a_pyramid_has_no_classifier():
    for name in ("cswin_ti", "mit_b0"):
        with pytest.raises(ValidationError, match="a classifier must be an HRViT, got a"):
            config(arch=get_arch(name).to_json())


def test_a_search_is_of_segmentation():
    with pytest.raises(ValidationError, match="kind 'search' must be for segmentation, and data s"):
        SearchConfig(space="heterogeneous_branches", data=DRAWN, recipe=RECIPE, trials=1)


@pytest.mark.parametrize(
    ("update", "resources", "message"),
    [
        ({"batch_size": 1}, {}, "a batch norm must see more than one value"),
        ({"batch_size": 6}, {"workers": 2}, "must be a multiple of 4 for mixup or cutmix by 2"),
    ],
)
def test_batches_that_cannot_be_trained_on_are_refused(tmp_path, update, resources, message):
    wrong = config(
        recipe=RECIPE.model_copy(update=update),
        resources=Resources(executor="inline" if not resources else "ray_tune", **resources),
    )
    with pytest.raises(ConfigError, match=message):
        create_training(wrong, tmp_path / "run", None, "all")
    assert not (tmp_path / "run").exists()


def test_a_profile_has_no_recipe_of_segmentation_for_other_data():
    profile = load_profile("laptop")
    assert profile.recipe_for("imagenet") is None
    assert profile.recipe_for("drawn_classes") == "drawn_classes"


def test_the_published_recipe_for_imagenet():
    plan = load_recipe("imagenet_300e")
    recipe, how = plan.recipe, plan.recipe.classification
    images, epochs = 1_281_167, 300
    assert plan.image_size == recipe.crop_size == (224, 224)
    assert recipe.steps == -(-epochs * images // recipe.batch_size) == 375_342
    assert recipe.warmup_steps == -(-20 * images // recipe.batch_size)
    assert (recipe.optimizer, recipe.learning_rate, recipe.weight_decay) == ("adamw", 1e-3, 0.05)
    assert (recipe.decay, recipe.clip_norm, recipe.drop_path_rate) == ("cosine", 1.0, 0.1)
    assert recipe.precision == "auto"
    assert (how.mixup, how.cutmix, how.label_smoothing, how.head_dropout) == (0.8, 1.0, 0.1, 0.1)
    assert (how.augment.erasing, how.augment.rand_augment.magnitude) == (0.25, 9)
    assert how.augment.rand_augment.deviation == 0.5
