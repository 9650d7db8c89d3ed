"""Data for classification: the layout of ImageNet, the drawn stand-in, batches of both."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hrvit_nas.data import (
    DataConfig,
    DataError,
    ImageAugmentConfig,
    RandAugmentConfig,
    check_data,
    load_data,
    load_images,
    train_image_batches,
    val_image_batches,
)
from hrvit_nas.data.images import middle
from hrvit_nas.data.objects import OBJECT_CLASSES, draw_object
from hrvit_nas.data.transforms import DEVIATION, MEAN

DRAWN = DataConfig(name="drawn_classes", num_train=10, num_val=14, image_size=(24, 32))
RANDOM = ImageAugmentConfig(
    crop_size=(16, 24), rand_augment=RandAugmentConfig(deviation=2.0), erasing=0.5
)


def save_image(path, value, size=(12, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path, "PNG")


@pytest.fixture
def root(tmp_path):
    """Two classes; the value of an image's pixels tells which it is."""
    for split in ("train", "val"):
        save_image(tmp_path / split / "n02" / f"{split}_9.JPEG", 20)
        save_image(tmp_path / split / "n01" / f"{split}_b.JPEG", 11)
        save_image(tmp_path / split / "n01" / f"{split}_a.jpeg", 10)
        (tmp_path / split / "n01" / "._hidden.JPEG").touch()
        (tmp_path / split / "n01" / "notes.txt").touch()
    return tmp_path


def imagenet(root, size=None):
    return load_images(DataConfig(name="imagenet", root=root, image_size=size))


# The layout


def test_classes_are_the_sorted_folders_and_images_are_sorted_in_them(root):
    data = imagenet(root)
    assert data.class_names == ("n01", "n02")
    assert (data.num_classes, len(data.train), len(data.val)) == (2, 3, 3)
    for split, name in ((data.train, "train"), (data.val, "val")):
        found = [(int(image[0, 0, 0]), label) for image, label in map(split.load, range(3))]
        assert found == [(10, 0), (11, 0), (20, 1)]
        assert split.name(1) == str(root / name / "n01" / f"{name}_b.JPEG")
        with pytest.raises(IndexError):
            split.load(3)


def test_validation_images_are_the_middle_at_the_size_and_training_images_as_stored(root):
    data = imagenet(root, (8, 8))
    assert data.train.load(0)[0].shape == (12, 16, 3)
    assert data.val.load(0)[0].shape == (8, 8, 3)


def test_the_middle_is_seven_eighths_of_the_shorter_side():
    columns = np.arange(64, dtype=np.uint8)[None, :, None] * np.ones((32, 1, 3), np.uint8)
    found = np.asarray(middle(Image.fromarray(columns), (28, 28)))
    np.testing.assert_array_equal(found, columns[2:30, 18:46])  # 28 of 32, without resampling


def remove(path):
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


def test_what_is_missing_is_one_line_with_the_remedy(root):
    def refused(message):
        with pytest.raises(DataError, match=message) as caught:
            imagenet(root)
        assert "\n" not in str(caught.value)

    (root / "val" / "n02" / "val_9.JPEG").unlink()
    refused(r"folder of a class holds no \.jpg.* image: .*val/n02; remove it from both splits")
    remove(root / "val" / "n02")
    refused("val must have a folder for every class that train has; it lacks n02")
    save_image(root / "val" / "n03" / "c.png", 0)
    remove(root / "train" / "n02")
    refused("train must have a folder for every class that val has; it lacks n03")
    remove(root / "val" / "n01")
    remove(root / "val" / "n03")
    refused("holds no folder a class: .*val; there lie no files")
    save_image(root / "val" / "ILSVRC2012_val_00000001.JPEG", 0)
    refused("val; its images lie there unsorted: move each into the folder of its class, by")
    remove(root / "val")
    refused("folder of images is missing: .*val; there lie train")
    with pytest.raises(DataError, match="root of data set 'imagenet' is not a folder"):
        imagenet(root / "nowhere")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_unreadable_image_is_named(root, num_workers):
    broken = root / "train" / "n02" / "train_9.JPEG"
    broken.write_bytes(b"noise")
    batches = train_image_batches(
        imagenet(root).train,
        batch_size=3,
        num_steps=1,
        seed=0,
        augment=RANDOM,
        num_workers=num_workers,
    )
    with pytest.raises(DataError, match=r"cannot read .*train_9\.JPEG: not an image"):
        list(batches)


def test_sets_of_the_other_task_are_refused(root):
    for config in (DRAWN, DataConfig(name="imagenet", root=root)):
        for use in (load_data, check_data):
            with pytest.raises(DataError, match=r"no masks; hrvit-train trains a class"):
                use(config)
    with pytest.raises(DataError, match="'scenes' is for segmentation"):
        load_images(DataConfig())


# The drawn set


def test_a_drawing_is_a_function_of_seed_and_number():
    data, more = load_images(DRAWN), load_images(DRAWN.model_copy(update={"num_train": 20}))
    assert data.class_names == OBJECT_CLASSES
    for split in ("train", "val"):
        for n in range(10):
            (image, label), (other, of_other) = (getattr(d, split).load(n) for d in (data, more))
            assert (label, image.shape) == (of_other, (24, 32, 3))
            np.testing.assert_array_equal(image, other)
    assert {data.val.load(n)[1] for n in range(14)} == set(range(len(OBJECT_CLASSES)))
    assert not np.array_equal(data.train.load(0)[0], data.val.load(0)[0])
    assert not np.array_equal(draw_object(0, 0, 0), draw_object(1, 0, 0))


def test_shape_and_pattern_differ_between_classes_alone():
    drawn = [draw_object(3, 5, label).astype(int) for label in range(len(OBJECT_CLASSES))]
    for one, first in enumerate(drawn):
        for second in drawn[:one]:
            changed = (abs(first - second).sum(-1) > 30).mean()
            assert 0.005 < changed < 0.5


# Batches


def run(split, **options):
    defaults = {"batch_size": 4, "num_steps": 6, "seed": 1, "augment": RANDOM}
    return train_image_batches(split, **defaults | options)


def same(batches, others):
    pairs = list(zip(batches, others, strict=True))
    assert pairs
    return all(torch.equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def data():
    return load_images(DRAWN)


def test_batches_are_normalised_images_and_labels(data):
    batches = list(val_image_batches(data.val, batch_size=4))
    assert [len(labels) for _, labels in batches] == [4, 4, 4, 2]
    images, labels = batches[1]
    assert (images.shape, images.dtype) == ((4, 3, 24, 32), torch.float32)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.dtype == torch.int64
    for n in range(4):
        image, label = data.val.load(4 + n)
        expected = (image - np.array(MEAN)) / np.array(DEVIATION)
        np.testing.assert_allclose(images[n].permute(1, 2, 0), expected, atol=1e-5)
        assert labels[n] == label


@given(
    seed=st.integers(0, 3),
    start=st.integers(0, 5),
    batch_size=st.sampled_from([2, 4]),
    parts=st.sampled_from([1, 2]),
)
def test_sample_n_is_a_function_of_seed_and_n(data, seed, start, batch_size, parts):
    samples = {}
    for step, (images, labels) in enumerate(run(data.train, seed=seed, batch_size=1, num_steps=24)):
        samples[step] = images[0], labels[0]
    for rank in range(parts):
        batches = run(
            data.train,
            seed=seed,
            batch_size=batch_size,
            start_step=start,
            num_steps=6,
            part=(rank, parts),
        )
        for step, (images, labels) in enumerate(batches, start):
            assert len(labels) == batch_size // parts
            for place in range(len(labels)):
                image, label = samples[step * batch_size + place * parts + rank]
                assert torch.equal(images[place], image)
                assert labels[place] == label


def test_workers_and_other_processes_change_nothing(data):
    assert same(run(data.train), run(data.train, num_workers=2))
    assert not same(run(data.train), run(data.train, seed=2))
    script = (
        "from hrvit_nas.data import *\n"
        f"data = load_images(DataConfig(**{DRAWN.model_dump()!r}))\n"
        f"augment = ImageAugmentConfig(**{RANDOM.model_dump()!r})\n"
        "for x, y in train_image_batches(data.train, batch_size=4, num_steps=2, seed=1,"
        " augment=augment):\n"
        "    print(x.double().sum().item(), y.tolist())\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    expected = [f"{x.double().sum().item()} {y.tolist()}" for x, y in run(data.train, num_steps=2)]
    assert out.splitlines() == expected


def test_an_epoch_holds_every_image_once(data):
    labels = torch.cat([y for _, y in run(data.train, batch_size=5, num_steps=2)])
    assert sorted(labels.tolist()) == sorted(data.train.load(n)[1] for n in range(10))
