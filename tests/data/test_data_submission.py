"""Predictions as the servers of Cityscapes and ADE20K take them."""

from fnmatch import fnmatch

import numpy as np
import pytest

from hrvit_nas.data import DataConfig, DataError, describe
from hrvit_nas.data.layouts import ade20k, camvid, cityscapes
from hrvit_nas.data.submission import submission

FRAME = "leftImg8bit/val/frankfurt/frankfurt_000001_002512_leftImg8bit.png"


def values_of(name, classes):
    return describe(classes, DataConfig(name=name, root=".")).label_values


def test_cityscapes_takes_label_ids_under_the_name_of_the_frame():
    values = values_of("cityscapes", tuple(cityscapes.SCORED.values()))
    for known in (values, ()):
        form = submission("cityscapes", 19, known)
        stored = form.stored(np.array([[0, 1, 13], [18, 10, 5]], np.uint8))
        assert stored.tolist() == [[7, 8, 26], [33, 23, 17]]
        # The pattern that the release's scripts look for.
        assert fnmatch(form.file_name(FRAME), "frankfurt_000001_002512*.png")


def test_ade20k_takes_1_to_150_under_the_name_of_the_image():
    form = submission("ade20k", 150, values_of("ade20k", ade20k.CLASSES))
    assert form.stored(np.array([[0, 149]], np.uint8)).tolist() == [[1, 150]]
    assert form.file_name("images/validation/ADE_val_00000001.jpg") == "ADE_val_00000001.png"


def test_classes_in_another_order_are_stored_as_what_they_are():
    ids = list(cityscapes.SCORED)[::-1]
    form = submission("cityscapes", 19, [(value, label) for label, value in enumerate(ids)])
    assert form.stored(np.array([[0, 18]], np.uint8)).tolist() == [[33, 7]]


@pytest.mark.parametrize(
    ("form", "count", "values", "message"),
    [
        ("cityscapes", 11, (), "must be of 19 classes, and this network tells 11 apart"),
        ("ade20k", 151, (), "must be of 150 classes, and this network tells 151 apart"),
        ("cityscapes", 11, values_of("camvid", camvid.CLASSES), "must be of 19 classes"),
        ("cityscapes", 19, [(n, n) for n in range(19)], "where a class is stored as 0"),
        ("cityscapes", 19, [(7, 0)], "must know the stored value of each class"),
    ],
)
def test_other_classes_are_refused(form, count, values, message):
    with pytest.raises(DataError, match=message):
        submission(form, count, values)


@pytest.mark.parametrize(
    "name", ["photo.png", "frankfurt_1_2_leftImg8bit.png", "a_000000_000000.png"]
)
def test_what_is_no_frame_is_refused(name):
    with pytest.raises(DataError, match=f"CITY_SEQUENCE_FRAME_leftImg8bit.png, got {name}"):
        submission("cityscapes", 19).file_name(name)
