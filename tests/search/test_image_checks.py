"""What follows from configuration and data is refused before anything is trained."""

import logging

import numpy as np
import pytest
from PIL import Image

from hrvit_nas.data import DataConfig, DataError
from hrvit_nas.search.config import SearchConfig
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.data_checks import check_sizes
from hrvit_nas.search.run import create_run, open_run
from hrvit_nas.training import Recipe


def recipe(size=(32, 32), **fields):
    return Recipe(**{"augment": {"crop_size": size}, "steps": 1, "warmup_steps": 0, **fields})


@pytest.fixture
def photographs(tmp_path):
    """A folder set, and how to add an image to it."""
    root = tmp_path / "set"
    (tmp_path / "classes.yaml").write_text("classes: [a, b]\n")

    def add(split, name, size):
        values = np.resize(np.array([0, 1], np.uint8), size)
        grey = values + {"train": 0, "val": 9}[split]
        for kind, pixels in (("images", np.stack([grey] * 3, -1)), ("annotations", values)):
            path = root / kind / split / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)

    for split in ("train", "val"):
        for name in "abcd":
            add(split, name, (40, 48))
    return DataConfig(name="folder", root=root, classes=tmp_path / "classes.yaml"), add


def test_whole_images_of_one_batch_must_be_of_one_size(photographs):
    data, add = photographs
    add("val", "c", (40, 50))
    with pytest.raises(DataError, match=r"a\.png has 40x48 .*c\.png has 40x50.*image_size"):
        check_sizes(data, [recipe(eval_batch_size=4)])
    with pytest.raises(DataError, match=r"c\.png has 40x50 .*d\.png has 40x48"):
        check_sizes(data, [recipe(eval_batch_size=2)])
    check_sizes(data, [recipe(eval_batch_size=1)])
    add("val", "d", (40, 50))
    check_sizes(data, [recipe(eval_batch_size=2)])
    add("train", "c", (40, 50))
    check_sizes(data, [recipe(eval_batch_size=2)])
    with pytest.raises(DataError, match=r"train/c\.png has 40x50"):
        check_sizes(data, [recipe(eval_batch_size=2, recalibration_batches=1)])


@pytest.fixture
def configured(photographs):
    data, _ = photographs

    def configured(**fields):
        return SearchConfig(
            space="heterogeneous_branches",
            data=data,
            recipe=recipe(**fields.pop("recipe", {})),
            trials=1,
            resources={"executor": "inline"},
            **fields,
        )

    return configured


@pytest.mark.parametrize("again", [False, True])
def test_a_run_warns_of_what_looks_like_a_mistake(configured, photographs, tmp_path, caplog, again):
    config = configured()
    config.data.classes.write_text("classes: [a, b, c]\n")
    run = create_run(config, tmp_path / "run")
    run.close()
    if again:
        caplog.clear()
        open_run(tmp_path / "run").close()
    lines = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == 2
    assert all("of 3 classes: c;" in line for line in lines)


@pytest.mark.parametrize(
    ("size", "fields", "error"),
    [
        ((40, 48), {"batch_size": 1}, ConfigError),
        ((40, 50), {"eval_batch_size": 4}, DataError),
    ],
)
def test_a_run_that_cannot_train_is_not_made(
    configured, photographs, tmp_path, size, fields, error
):
    photographs[1]("val", "b", size)
    with pytest.raises(error):
        create_run(configured(recipe=fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()
