"""Crops, RandAugment and erasing of images that have one class, beside Pillow and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from pydantic import ValidationError

from hrvit_nas.data import ImageAugmentConfig, RandAugmentConfig
from hrvit_nas.data.image_transforms import augment_image, erase, random_box
from hrvit_nas.data.rand_augment import OPERATIONS, TWO_WAYS, rand_augment
from hrvit_nas.data.transforms import MEAN

FILL = [round(channel) for channel in MEAN]


def photograph(size=(20, 30), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


PHOTOGRAPH = Image.fromarray(photograph())


def done(name, strength, image=PHOTOGRAPH):
    return np.asarray(OPERATIONS[name](image, strength))


# RandAugment

ENHANCERS = {
    "color": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "brightness": ImageEnhance.Brightness,
    "sharpness": ImageEnhance.Sharpness,
}


def test_the_operations_are_the_fourteen_of_the_paper():
    assert len(OPERATIONS) == 14
    assert set(OPERATIONS) > TWO_WAYS


@pytest.mark.parametrize("name", ENHANCERS)
@pytest.mark.parametrize("strength", [-1, -0.3, 0, 1])
def test_enhancements_are_factors_from_a_tenth_to_nearly_two(name, strength):
    expected = ENHANCERS[name](PHOTOGRAPH).enhance(1 + 0.9 * strength)
    np.testing.assert_array_equal(done(name, strength), np.asarray(expected))


def test_operations_on_levels_by_hand():
    image = photograph()
    np.testing.assert_array_equal(done("identity", 1), image)
    np.testing.assert_array_equal(done("solarize", 0.5), np.where(image < 128, image, 255 - image))
    np.testing.assert_array_equal(done("solarize", 1), 255 - image)
    np.testing.assert_array_equal(done("solarize", 0), image)
    np.testing.assert_array_equal(done("posterize", 1), image & 0b11110000)
    np.testing.assert_array_equal(done("posterize", 0.5), image & 0b11111100)
    np.testing.assert_array_equal(done("posterize", 0), image)
    for name, operation in (
        ("equalize", ImageOps.equalize),
        ("auto_contrast", ImageOps.autocontrast),
    ):
        np.testing.assert_array_equal(done(name, 0.7), np.asarray(operation(PHOTOGRAPH)))


def test_warps_by_hand():
    image = photograph((331, 331))
    picture = Image.fromarray(image)
    moved = done("translate_x", 1, picture)  # 150 pixels of 331
    np.testing.assert_array_equal(moved[:, :180], image[:, 150:330])
    assert (moved[:, 182:] == FILL).all()
    moved = done("translate_y", -0.5, picture)
    np.testing.assert_array_equal(moved[75:], image[:-75])
    turned = picture.rotate(30, resample=Image.Resampling.BILINEAR, fillcolor=tuple(FILL))
    np.testing.assert_array_equal(done("rotate", 1, picture), np.asarray(turned))
    # A row further down comes from three tenths of a pixel further right.
    stripes = np.repeat(np.arange(100, 200, dtype=np.uint8)[None, :, None], 101, 0).repeat(3, 2)
    sheared = done("shear_x", 1, Image.fromarray(stripes)).astype(float)
    np.testing.assert_allclose(sheared[100, :60, 0] - sheared[0, :60, 0], 30, atol=1)
    sheared = done("shear_y", 1, Image.fromarray(stripes.swapaxes(0, 1).copy())).astype(float)
    np.testing.assert_allclose(sheared[:60, 100, 0] - sheared[:60, 0, 0], 30, atol=1)


def test_operations_are_drawn_alike_and_as_strong_as_the_magnitude_says(monkeypatch):
    seen = {name: [] for name in OPERATIONS}

    def noting(name):
        return lambda image, strength: seen[name].append(strength) or image

    monkeypatch.setattr(
        "hrvit_nas.data.rand_augment.OPERATIONS", {name: noting(name) for name in OPERATIONS}
    )
    rng = np.random.default_rng(0)
    config = RandAugmentConfig(operations=3, magnitude=6, deviation=0.5)
    for _ in range(1000):
        rand_augment(PHOTOGRAPH, config, rng)
    assert sum(map(len, seen.values())) == 3000
    for name, strengths in seen.items():
        assert 150 < len(strengths) < 290, name  # 214 are expected, with a deviation of 14
        signs = np.mean(np.array(strengths) < 0)
        assert (0.35 < signs < 0.65) if name in TWO_WAYS else signs == 0, name
    sizes = abs(np.concatenate(list(seen.values())))
    assert np.mean(sizes) == pytest.approx(0.6, abs=0.005)
    assert np.std(sizes) == pytest.approx(0.05, abs=0.005)


# Boxes, crops, erasing


@given(height=st.integers(4, 60), width=st.integers(4, 60), seed=st.integers(0, 2**20))
def test_boxes_lie_inside_and_keep_to_their_bounds(height, width, seed):
    rng = np.random.default_rng(seed)
    box = random_box((height, width), (0.1, 0.5), (0.5, 2), rng)
    if box is None:
        assert max(height / width, width / height) > 1.5
        return
    top, left, rows, columns = box
    assert 0 <= top <= top + rows <= height
    assert 0 <= left <= left + columns <= width
    slack_y, slack_x = rows + 0.5, columns + 0.5  # sides are rounded
    assert (rows - 0.5) * (columns - 0.5) <= 0.5 * height * width
    assert slack_y * slack_x >= 0.1 * height * width
    assert (columns - 0.5) / slack_y <= 2
    assert slack_x / max(rows - 0.5, 0.1) >= 0.5


def test_a_crop_of_the_whole_is_the_image():
    image = photograph((24, 24))
    whole = ImageAugmentConfig(crop_size=(24, 24), area=(1, 1), aspect=(1, 1), flip=0)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(augment_image(image, whole, rng), image)
    mirrored = whole.model_copy(update={"flip": 1.0})
    np.testing.assert_array_equal(augment_image(image, mirrored, rng), image[:, ::-1])


def test_an_image_too_long_for_any_part_gives_its_middle():
    image = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 6, 0).repeat(3, 2)
    config = ImageAugmentConfig(crop_size=(6, 8), area=(1, 1), flip=0)
    found = augment_image(image, config, np.random.default_rng(0))
    np.testing.assert_array_equal(found, image[:, 46:54])


def test_erasing_makes_a_rectangle_noise():
    shares = []
    for seed in range(200):
        image = np.zeros((40, 40, 3), np.uint8)
        erase(image, np.random.default_rng(seed))
        rows, columns = np.nonzero(image.any(-1))
        area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        shares.append(area / 1600)
        inside = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert inside.any(-1).mean() > 0.99
    assert 0.015 < min(shares) < max(shares) < 0.42
    assert np.mean(shares) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(("erasing", "share"), [(0.0, 0), (0.25, 0.25), (1.0, 1)])
def test_so_many_images_are_erased(erasing, share):
    config = ImageAugmentConfig(crop_size=(8, 8), flip=0, erasing=erasing)
    flat = np.full((8, 8, 3), 7, np.uint8)
    rng = np.random.default_rng(0)
    erased = [bool((augment_image(flat, config, rng) != 7).any()) for _ in range(400)]
    assert np.mean(erased) == pytest.approx(share, abs=0.07)


def test_bounds_that_are_none_are_refused():
    for fields in ({"area": (0, 1)}, {"area": (0.5, 1.5)}, {"aspect": (2, 1)}):
        with pytest.raises(ValidationError, match="must be two factors above 0"):
            ImageAugmentConfig(crop_size=(8, 8), **fields)
