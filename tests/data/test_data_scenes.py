import subprocess
import sys
import zlib

import numpy as np
import pytest

from hrvit_nas.data import SCENE_CLASSES, DataConfig, draw_scene, load_data
from hrvit_nas.data.splits import SceneSplit

ROAD, CANAL = SCENE_CLASSES.index("road"), SCENE_CLASSES.index("canal")
PAVEMENT = SCENE_CLASSES.index("pavement")


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(0, index) for index in range(60)]


def test_scene_is_a_function_of_seed_and_index():
    image, labels = draw_scene(3, 7)
    again, labels_again = draw_scene(3, 7)
    assert image.shape == (96, 128, 3)
    assert image.dtype == labels.dtype == np.uint8
    assert np.array_equal(image, again)
    assert np.array_equal(labels, labels_again)
    for seed, index in ((3, 8), (4, 7)):
        assert not np.array_equal(image, draw_scene(seed, index)[0])


def test_scene_is_the_same_in_another_process():
    program = (
        "import zlib; from hrvit_nas.data.scenes import draw_scene;"
        "image, labels = draw_scene(1, 2); print(zlib.crc32(image), zlib.crc32(labels))"
    )
    image, labels = draw_scene(1, 2)
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.split() == [str(zlib.crc32(image)), str(zlib.crc32(labels))]


@pytest.mark.parametrize("size", [(32, 32), (60, 200), (192, 256)])
def test_scene_of_any_size(size):
    image, labels = draw_scene(0, 0, size)
    assert image.shape == (*size, 3)
    assert labels.shape == size
    assert labels.max() < len(SCENE_CLASSES)
    assert {ROAD, CANAL} <= set(np.unique(labels))


def test_every_class_occurs_in_most_validation_scenes():
    split = SceneSplit(seed=5, first=1_000_000, count=40, size=(96, 128))
    counts = np.stack([np.bincount(split.load(i)[1].ravel(), minlength=10) for i in range(40)])
    assert ((counts > 0).mean(axis=0) > 0.8).all()
    shares = counts.sum(axis=0) / counts.sum()
    assert shares.min() > 0.002
    assert shares.max() < 0.35


@pytest.mark.parametrize("index", range(8))
def test_only_the_sky_tells_road_from_canal(index):
    """With the sun on the other side, all below the skyline is equal but the two labels swap."""
    image, labels = draw_scene(0, index, sun_on_left=False)
    mirror_image, mirror_labels = draw_scene(0, index, sun_on_left=True)
    swap = np.arange(len(SCENE_CLASSES), dtype=np.uint8)
    swap[[ROAD, CANAL]] = CANAL, ROAD
    assert np.array_equal(swap[labels], mirror_labels)
    surface = (labels == ROAD) | (labels == CANAL)
    assert np.array_equal(image[surface], mirror_image[surface])
    # One row down, edges are still softened with some sky; below it nothing of the sky is left.
    first = np.nonzero((labels == SCENE_CLASSES.index("sky")).any(axis=1))[0].max() + 2
    assert first < 0.5 * len(labels)
    assert np.array_equal(image[first:], mirror_image[first:])
    assert not np.array_equal(image, mirror_image)


def histogram(scenes, label):
    pixels = np.concatenate([image[labels == label] for image, labels in scenes])
    counts = np.histogramdd(pixels, bins=8, range=[(0, 256)] * 3)[0]
    return counts / counts.sum()


def test_road_and_canal_have_one_colour_distribution():
    both_ways = [draw_scene(0, i, sun_on_left=left) for i in range(20) for left in (False, True)]
    assert np.array_equal(histogram(both_ways, ROAD), histogram(both_ways, CANAL))


def test_colour_alone_does_not_tell_pavement_from_road(scenes):
    overlap = np.minimum(histogram(scenes, ROAD), histogram(scenes, PAVEMENT)).sum()
    assert overlap > 0.4


def test_canal_lies_on_the_side_of_the_sun(scenes):
    left = 0
    for image, labels in scenes:
        sky = labels == SCENE_CLASSES.index("sky")
        brightness = np.where(sky, image.astype(int).sum(axis=2), 0)[:20]
        half = brightness.shape[1] // 2
        sun_on_left = np.sort(brightness[:, :half].ravel())[-20:].sum() > (
            np.sort(brightness[:, half:].ravel())[-20:].sum()
        )
        columns = np.nonzero(labels == CANAL)[1]
        left += bool(sun_on_left) == (columns.mean() < half)
    assert left >= 0.9 * len(scenes)


def test_train_and_val_share_no_scene_and_do_not_depend_on_the_other_size(tmp_path):
    few = load_data(DataConfig(num_train=3, num_val=2), tmp_path)
    more = load_data(DataConfig(num_train=5, num_val=4), tmp_path)
    for split, longer in ((few.train, more.train), (few.val, more.val)):
        for index in range(len(split)):
            assert np.array_equal(split.load(index)[0], longer.load(index)[0])
    assert not set(more.train.names) & set(more.val.names)


def test_poles_are_thin_and_most_things_are_small(scenes):
    pole = SCENE_CLASSES.index("pole")
    widths = []
    for _, labels in scenes:
        for row in labels[:40] == pole:
            edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
            widths.extend(edges[1::2] - edges[::2])
    assert np.median(widths) <= 2
