"""What is told of one network's scores."""

import math

import numpy as np
import pytest
from PIL import Image

from hrvit_nas.data.layouts import ade20k, cityscapes
from hrvit_nas.evaluation import Evaluation
from hrvit_nas.report.evaluation import (
    CLASS_COLUMNS,
    class_records,
    confusion_data,
    evaluation_grid,
    largest_confusions,
    score_facts,
)
from hrvit_nas.report.plots import draw_figure

CONFUSION = np.array([[6, 2, 0, 0], [1, 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
NAMES = ("sky", "road", "canal", "car")


@pytest.fixture
def evaluation():
    confusion = CONFUSION.copy()
    confusion[0, 2] = 2  # predicted, and nowhere true
    return Evaluation(confusion, CONFUSION // 2, 0.5)


def test_shares_of_a_row_add_up_and_absent_classes_have_none(evaluation):
    data = confusion_data(evaluation.confusion, NAMES, "x on y")
    np.testing.assert_allclose(data.shares[:2].sum(1), 1)
    assert data.shares[0].tolist() == [0.6, 0.2, 0.2, 0]
    assert np.isnan(data.shares[2:]).all()
    assert data.caption == "x on y; 14 labelled pixels, each row adds up to 100%"


def test_the_largest_confusions_come_first(evaluation):
    data = confusion_data(evaluation.confusion, NAMES, "")
    lines = largest_confusions(data)
    assert lines[0] == "25.0% of road is called sky"
    assert set(lines[1:]) == {"20.0% of sky is called road", "20.0% of sky is called canal"}


def test_the_table_has_a_row_a_class(evaluation):
    grid = evaluation_grid(evaluation, NAMES)
    assert grid.rows[1] == ["1", "road", "50.00", "75.00", "50.00", "28.57"]
    assert grid.rows[2] == ["2", "canal", "0.00", "-", "-", "none"]
    assert grid.rows[3] == ["3", "car", "-", "-", "-", "none"]
    miou = (6 / 11 + 3 / 6 + 0) / 3
    assert grid.notes[0].startswith(f"mIoU {100 * miou:.2f}%, pixel accuracy {900 / 14:.2f}%,")


def test_records_leave_out_what_there_is_not(evaluation):
    records = class_records(evaluation, NAMES)
    assert list(records.columns) == list(CLASS_COLUMNS)
    assert records.rows[0] == {
        "label": 0,
        "class": "sky",
        "iou": pytest.approx(6 / 11),
        "accuracy": 0.6,
        "boundary_iou": pytest.approx(3 / 4),
        "true_pixels": 10,
        "predicted_pixels": 7,
    }
    assert records.rows[3]["iou"] == records.rows[2]["accuracy"] == ""


def test_scores_that_there_are_not_are_none(evaluation):
    nothing = Evaluation(evaluation.confusion, np.zeros((4, 4), np.int64), math.nan)
    facts = score_facts(nothing)
    assert facts["boundary_miou"] is facts["cross_entropy"] is None
    assert facts["miou"] == pytest.approx((6 / 11 + 3 / 6) / 3)


@pytest.mark.parametrize(
    ("names", "inches"),
    [
        (("one",), 3),
        (tuple(cityscapes.SCORED.values()), 8),
        pytest.param(ade20k.CLASSES, 18, marks=pytest.mark.slow),
    ],
)
def test_the_figure_is_as_large_as_its_names_need(names, inches, tmp_path):
    confusion = np.eye(len(names), dtype=np.int64) * 9 + 1
    confusion[0] = 0
    draw_figure(confusion_data(confusion, names, "x"), tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as figure:
        height = figure.height
        pixels = np.asarray(figure.convert("RGB"))
    assert inches * 300 < height < (inches + 3) * 300
    assert (pixels == 0xDD).all(-1).sum() > 100, "the row of a class that truth lacks"
