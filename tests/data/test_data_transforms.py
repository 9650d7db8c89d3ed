import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from hrvit_nas.data import AugmentConfig
from hrvit_nas.data.transforms import (
    augment,
    class_pixel,
    class_share,
    distort,
    pad,
    scale_and_crop,
)

IDENTITY = AugmentConfig(scale=(1, 1), max_class_share=1, flip=0, photometric=0)
FACTOR = 20
"""Colour a label: the images of `blocks` encode their labels."""


def blocks(height, width, seed=0):
    """Labels in large blocks, and an image whose red channel encodes them."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 12, (-(-height // 16), -(-width // 16)))
    labels = np.kron(cells, np.ones((16, 16), int))[:height, :width].astype(np.uint8)
    image = np.stack([labels * FACTOR, 255 - labels * FACTOR, labels * 0 + 90], axis=-1)
    return image.astype(np.uint8), labels


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    size=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    crop=st.tuples(st.integers(8, 80), st.integers(8, 80)),
    low=st.floats(0.5, 1),
    high=st.floats(1, 2),
)
def test_labels_stay_aligned_with_the_image(seed, size, crop, low, high):
    image, labels = blocks(*size, seed=seed)
    config = AugmentConfig(scale=(low, high), crop_size=crop, photometric=0)
    image, labels = augment(image, labels, config, np.random.default_rng(seed))
    assert image.shape == (*crop, 3)
    assert labels.shape == crop
    known = labels != 255
    assert known.any()
    # Away from the edges of blocks, where resampling mixes colours, colour and label agree.
    inner = np.zeros_like(known)
    centre = labels[2:-2, 2:-2]
    inner[2:-2, 2:-2] = np.logical_and.reduce(
        [
            labels[2 + dy : crop[0] - 2 + dy, 2 + dx : crop[1] - 2 + dx] == centre
            for dy in (-2, 0, 2)
            for dx in (-2, 0, 2)
        ]
    )
    inner &= known
    assert (
        np.abs(image[..., 0].astype(int) - labels.astype(int) * FACTOR)[inner].max(initial=0) <= 1
    )
    assert (image[~known] == (124, 116, 104)).all()


def test_crop_equals_resizing_everything_first():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 60, 3), np.uint8)
    labels = rng.integers(0, 11, (40, 60), np.uint8)
    cropped, cropped_labels = scale_and_crop(
        image, labels, 1.4, (32, 48), 1.0, np.random.default_rng(3)
    )
    draws = np.random.default_rng(3)
    top, left = int(draws.integers(56 - 32 + 1)), int(draws.integers(84 - 48 + 1))
    window = (slice(top, top + 32), slice(left, left + 48))
    resized = np.asarray(Image.fromarray(image).resize((84, 56), Image.Resampling.BILINEAR))
    assert np.abs(resized[window].astype(int) - cropped).max() <= 1
    nearest = np.asarray(Image.fromarray(labels).resize((84, 56), Image.Resampling.NEAREST))
    assert np.array_equal(nearest[window], cropped_labels)


def test_no_transform_is_the_identity():
    image, labels = blocks(40, 56)
    same_image, same_labels = augment(image, labels, IDENTITY, np.random.default_rng(0))
    assert np.array_equal(image, same_image)
    assert np.array_equal(labels, same_labels)


def test_flip_is_a_mirror():
    image, labels = blocks(40, 56)
    config = IDENTITY.model_copy(update={"flip": 1.0})
    flipped_image, flipped_labels = augment(image, labels, config, np.random.default_rng(0))
    assert np.array_equal(flipped_image, image[:, ::-1])
    assert np.array_equal(flipped_labels, labels[:, ::-1])


def test_inputs_are_not_written_to():
    image, labels = blocks(40, 56)
    for array in (image, labels):
        array.flags.writeable = False
    before = image.copy()
    for seed in range(20):
        augment(image, labels, AugmentConfig(crop_size=(32, 32)), np.random.default_rng(seed))
    assert np.array_equal(image, before)


def test_crop_avoids_one_class_filling_it():
    labels = np.zeros((64, 256), np.uint8)
    labels[:, 224::2] = 1  # only the far right holds a second class
    image = np.zeros((64, 256, 3), np.uint8)

    def shares(limit):
        crops = (
            scale_and_crop(image, labels, 1.0, (64, 64), limit, np.random.default_rng(seed))[1]
            for seed in range(100)
        )
        return np.array([class_share(crop) for crop in crops])

    assert (shares(1.0) >= 0.9).mean() > 0.7
    # A crop is good with probability p = 17 / 193 or so; ten draws miss with (1 - p) ** 10.
    missed = (shares(0.9) >= 0.9).mean()
    good = np.mean([class_share(labels[:, left : left + 64]) < 0.9 for left in range(193)])
    assert missed == pytest.approx((1 - good) ** 10, abs=0.15)


def test_a_balanced_crop_holds_a_rare_class_as_often_as_a_common_one():
    labels = np.zeros((64, 256), np.uint8)
    labels[3, 250] = 1
    labels[40:44, 5:9] = 2
    labels[:, 100:110] = 255
    image = np.zeros((64, 256, 3), np.uint8)

    def held(balance):
        config = AugmentConfig(scale=(1.5, 1.5), crop_size=(40, 60), class_balance=balance)
        crops = (augment(image, labels, config, np.random.default_rng(s))[1] for s in range(300))
        return np.mean([[(crop == rare).any() for rare in (1, 2)] for crop in crops], axis=0)

    # A third of the crops is made to hold each; those made to hold the common class rarely do.
    assert (held(0.0) < 0.15).all()
    assert held(1.0) == pytest.approx([1 / 3, 1 / 3], abs=0.1)


@given(
    size=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    crop=st.tuples(st.integers(8, 120), st.integers(8, 120)),
    scale=st.floats(1, 2),
    place=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
)
def test_every_crop_holds_its_anchor(size, crop, scale, place):
    anchor = (int(place[0] * size[0]), int(place[1] * size[1]))
    labels = np.zeros(size, np.uint8)
    labels[anchor] = 1
    image = np.zeros((*size, 3), np.uint8)
    rng = np.random.default_rng(0)
    _, cropped = scale_and_crop(image, labels, scale, crop, 1.0, rng, anchor)
    assert (cropped == 1).any()


def test_an_unlabelled_image_has_no_anchor():
    assert class_pixel(np.full((4, 4), 255, np.uint8), np.random.default_rng(0)) is None


def test_class_share_leaves_ignored_pixels_out():
    assert class_share(np.array([[0, 0, 1, 255, 255]], np.uint8)) == pytest.approx(2 / 3)
    assert class_share(np.full((2, 2), 255, np.uint8)) == 1


def test_pad_keeps_the_image_in_the_upper_left():
    image, labels = blocks(20, 30)
    padded_image, padded_labels = pad(image, labels, (24, 40))
    assert np.array_equal(padded_image[:20, :30], image)
    assert np.array_equal(padded_labels[:20, :30], labels)
    assert (padded_labels[20:] == 255).all()
    assert (padded_labels[:, 30:] == 255).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_distortion_stays_within_its_deltas(seed):
    """Against colorsys: brightness, contrast and saturation bounds hold for one colour."""
    colour = (120, 80, 60)
    image = np.full((4, 4, 3), colour, np.uint8)
    out = distort(image, 1.0, np.random.default_rng(seed))
    assert (out == out[0, 0]).all()
    red, green, blue = (int(channel) for channel in out[0, 0])
    hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    assert (120 - 32) * 0.5 - 2 <= 255 * value <= (120 + 32) * 1.5 + 2
    before = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))[0]
    turn = abs((hue - before + 0.5) % 1 - 0.5)
    if value > 0.15 and saturation > 0.15:
        assert turn <= 18 / 180 + 0.03


def test_distortion_draws_each_kind_about_half_of_the_time():
    image = np.full((2, 2, 3), (120, 80, 60), np.uint8)
    outs = [distort(image, 1.0, np.random.default_rng(seed))[0, 0].tolist() for seed in range(400)]
    unchanged = np.mean([np.abs(np.array(out) - image[0, 0]).max() <= 1 for out in outs])
    assert 0.03 < unchanged < 0.13  # 1/16, and small deltas
    assert np.mean([max(out) for out in outs]) == pytest.approx(120, abs=6)


def test_distortion_of_zero_strength_changes_nothing():
    image, _ = blocks(16, 16)
    assert np.array_equal(distort(image, 0.0, np.random.default_rng(0)), image)


@pytest.mark.parametrize(
    "fields",
    [
        {"scale": (2, 1)},
        {"scale": (0, 1)},
        {"crop_size": (0, 4)},
        {"max_class_share": 0},
        {"flip": 1.5},
        {"photometric": -1},
        {"photo": 1},
    ],
)
def test_faulty_config_is_refused(fields):
    with pytest.raises(ValidationError):
        AugmentConfig(**fields)
