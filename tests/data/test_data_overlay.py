"""Photographs beside what is seen in them."""

import numpy as np
import pytest
from PIL import Image

from hrvit_nas.data.overlay import NARROWEST, WIDEST, label_image, overlay_sheet
from hrvit_nas.data.sheet import GAP

PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
NAMES = ("sky", "road", "canal")


def halves(height, width):
    image = np.full((height, width, 3), 100, np.uint8)
    labels = np.zeros((height, width), np.uint8)
    labels[height // 2 :] = 2
    return image, labels


@pytest.mark.parametrize("opacity", [0.0, 0.4, 1.0])
def test_an_overlay_blends_the_networks_own_colours(opacity):
    image, labels = halves(300, 400)
    sheet = np.asarray(overlay_sheet(image, labels, NAMES, PALETTE, opacity)).astype(int)
    assert (sheet[GAP : GAP + 300, GAP : GAP + 400] == 100).all(), "the photograph"
    overlay = sheet[GAP : GAP + 300, 2 * GAP + 400 : 2 * GAP + 800]
    for rows, colour in ((slice(0, 150), PALETTE[0]), (slice(150, 300), PALETTE[2])):
        blended = np.array(colour) * opacity + 100 * (1 - opacity)
        assert np.abs(overlay[rows] - blended).max() <= 1


def test_the_legend_has_the_classes_that_occur_alone():
    image, labels = halves(300, 400)
    sheet = np.asarray(overlay_sheet(image, labels, NAMES, PALETTE, 0.5))
    below = {tuple(pixel) for pixel in sheet[300 + 2 * GAP :].reshape(-1, 3).tolist()}
    assert {PALETTE[0], PALETTE[2]} <= below
    assert PALETTE[1] not in below


@pytest.mark.parametrize(
    ("size", "width"), [((30, 40), NARROWEST), ((900, 1200), 1200), ((20, 4000), WIDEST)]
)
def test_pictures_are_neither_tiny_nor_huge(size, width):
    image, labels = halves(*size)
    sheet = overlay_sheet(image, labels, ("two\nlines", "x" * 500, "y"), PALETTE, 0.5)
    assert sheet.width == 2 * width + 3 * GAP


def test_a_label_image_holds_labels_and_their_colours(tmp_path):
    labels = np.array([[0, 1], [2, 2]], np.uint8)
    label_image(labels, PALETTE).save(tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), labels)
        assert np.array_equal(np.asarray(image.convert("RGB")), np.array(PALETTE)[labels])
