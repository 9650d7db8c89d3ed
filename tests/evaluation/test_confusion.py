import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchmetrics import functional as torchmetrics

from hrvit_nas.evaluation import (
    Evaluation,
    confusion_matrix,
    frequency_weighted_iou,
    iou_from_confusion,
    mean_iou,
    pixel_accuracy,
)

IGNORE = 255


def scores_from_pixel_sets(prediction, labels, num_classes):
    """IoU a class and accuracy from Python sets of pixels, straight from the definition."""
    pixels = [p for p in product(*map(range, labels.shape)) if labels[p] != IGNORE]
    ious = []
    for c in range(num_classes):
        found = {p for p in pixels if prediction[p] == c}
        truth = {p for p in pixels if labels[p] == c}
        union = found | truth
        ious.append(len(found & truth) / len(union) if union else math.nan)
    right = sum(prediction[p] == labels[p] for p in pixels)
    return ious, right / len(pixels) if pixels else math.nan


@st.composite
def segmentations(draw):
    num_classes = draw(st.integers(1, 5))
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=5))
    classes = st.integers(0, num_classes - 1)
    prediction = draw(hnp.arrays(np.int64, shape, elements=classes))
    labels = draw(hnp.arrays(np.int64, shape, elements=classes | st.just(IGNORE)))
    return prediction, labels, num_classes


def count(prediction, labels, num_classes):
    tensors = torch.from_numpy(prediction), torch.from_numpy(labels)
    return confusion_matrix(*tensors, num_classes, IGNORE).numpy()


@given(segmentations())
def test_scores_equal_those_of_pixel_sets(case):
    prediction, labels, num_classes = case
    confusion = count(prediction, labels, num_classes)
    evaluation = Evaluation(confusion, confusion, 0.0)
    ious, accuracy = scores_from_pixel_sets(prediction, labels, num_classes)
    present = [iou for iou in ious if not math.isnan(iou)]
    np.testing.assert_allclose(evaluation.class_iou, ious)
    np.testing.assert_allclose(evaluation.pixel_accuracy, accuracy)
    np.testing.assert_allclose(
        evaluation.miou, sum(present) / len(present) if present else math.nan
    )


@given(segmentations())
def test_frequency_weighted_iou_is_the_mean_over_true_pixels_of_their_class_iou(case):
    prediction, labels, num_classes = case
    ious, _ = scores_from_pixel_sets(prediction, labels, num_classes)
    over_pixels = [ious[label] for label in labels.ravel() if label != IGNORE]
    np.testing.assert_allclose(
        frequency_weighted_iou(count(prediction, labels, num_classes)),
        sum(over_pixels) / len(over_pixels) if over_pixels else math.nan,
    )


@given(segmentations())
def test_confusion_is_additive_over_images(case):
    prediction, labels, num_classes = case
    parts = [count(p, y, num_classes) for p, y in zip(prediction, labels, strict=True)]
    whole = count(prediction, labels, num_classes)
    assert whole.dtype == np.int64
    np.testing.assert_array_equal(sum(parts), whole)


@given(segmentations())
def test_scores_equal_those_of_torchmetrics(case):
    prediction, labels, num_classes = case
    if num_classes == 1 or (labels == IGNORE).all():
        return  # torchmetrics knows neither
    confusion = count(prediction, labels, num_classes)
    evaluation = Evaluation(confusion, confusion, 0.0)
    tensors = torch.from_numpy(prediction), torch.from_numpy(labels)
    asked = {"num_classes": num_classes, "ignore_index": IGNORE}
    theirs = torchmetrics.confusion_matrix(*tensors, task="multiclass", **asked)
    np.testing.assert_array_equal(confusion, theirs)
    miou = torchmetrics.jaccard_index(*tensors, task="multiclass", **asked)
    np.testing.assert_allclose(evaluation.miou, miou, rtol=1e-6)
    ious = torchmetrics.jaccard_index(*tensors, task="multiclass", average="none", **asked)
    present = ~np.isnan(evaluation.class_iou)
    np.testing.assert_allclose(np.array(evaluation.class_iou)[present], ious[present], rtol=1e-6)
    accuracy = torchmetrics.accuracy(*tensors, task="multiclass", average="micro", **asked)
    np.testing.assert_allclose(evaluation.pixel_accuracy, accuracy, rtol=1e-6)
    by_class = torchmetrics.recall(*tensors, task="multiclass", average="none", **asked)
    true = ~np.isnan(evaluation.class_accuracy)
    np.testing.assert_allclose(np.array(evaluation.class_accuracy)[true], by_class[true], rtol=1e-6)
    np.testing.assert_allclose(evaluation.mean_accuracy, by_class[true].mean(), rtol=1e-6)


@pytest.mark.parametrize(
    ("prediction", "labels", "miou", "accuracy", "mean_accuracy"),
    [
        ([[0, 0], [1, 1]], [[0, 0], [1, 1]], 1, 1, 1),
        ([[0, 0], [0, 0]], [[0, 0], [1, 1]], (2 / 4 + 0) / 2, 2 / 4, (1 + 0) / 2),
        ([[0, 1], [1, 1]], [[0, 0], [1, 1]], (1 / 2 + 2 / 3) / 2, 3 / 4, (1 / 2 + 1) / 2),
        ([[0, 2], [1, 1]], [[0, 0], [1, 1]], (1 / 2 + 1 + 0) / 3, 3 / 4, (1 / 2 + 1) / 2),
        ([[0, 2], [1, 1]], [[0, IGNORE], [1, 1]], 1, 1, 1),
        ([[1, 0], [0, 1]], [[0, 1], [1, 0]], 0, 0, 0),
    ],
)
def test_four_pixels_by_hand(prediction, labels, miou, accuracy, mean_accuracy):
    confusion = count(np.array(prediction), np.array(labels), 3)
    evaluation = Evaluation(confusion, confusion, 0.0)
    assert evaluation.miou == pytest.approx(miou)
    assert evaluation.pixel_accuracy == pytest.approx(accuracy)
    assert evaluation.mean_accuracy == pytest.approx(mean_accuracy)
    assert evaluation.class_boundary_iou == pytest.approx(evaluation.class_iou, nan_ok=True)


def test_hand_worked_case():
    labels = np.array([[0, 0, 1, IGNORE], [1, 1, 0, IGNORE]])
    prediction = np.array([[0, 1, 1, 0], [1, 2, 0, 3]])
    confusion = count(prediction, labels, 5)
    np.testing.assert_array_equal(confusion[:2, :3], [[2, 1, 0], [0, 2, 1]])
    # Class 2 is only predicted: 0, and in the mean. Classes 3 and 4 are nowhere: left out.
    np.testing.assert_allclose(iou_from_confusion(confusion), [2 / 3, 2 / 4, 0, np.nan, np.nan])
    assert mean_iou(confusion) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert pixel_accuracy(confusion) == pytest.approx(4 / 6)


def test_miou_is_of_the_data_set_not_of_its_images():
    # Image 1: all 3 pixels right. Image 2: 1 pixel of class 0, called 1.
    labels = torch.tensor([[0, 0, 1], [0, IGNORE, IGNORE]])
    prediction = torch.tensor([[0, 0, 1], [1, 0, 0]])
    confusion = confusion_matrix(prediction, labels, 2).numpy()
    evaluation = Evaluation(confusion, confusion, 0.0)
    mean_over_images = (1.0 + 0.0) / 2
    assert evaluation.miou == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert evaluation.miou != pytest.approx(mean_over_images)


@pytest.mark.parametrize(
    ("prediction", "labels", "message"),
    [
        ([0, 1], [0, 3], r"labels must be in 0 to 2 \(or 255, ignored\), got 3"),
        ([0, 1], [-1, 0], "labels must be in 0 to 2 .*, got -1"),
        ([0, 7], [0, 0], "predictions must be in 0 to 2 .*, got 7"),
        ([0], [0, 0], r"one shape, got \(1,\) and \(2,\)"),
    ],
)
def test_bad_classes_are_named(prediction, labels, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(torch.tensor(prediction), torch.tensor(labels), 3)


def test_ignored_pixels_may_hold_any_prediction():
    confusion = confusion_matrix(torch.tensor([9, 1]), torch.tensor([IGNORE, 1]), 2)
    assert confusion.tolist() == [[0, 0], [0, 1]]


def test_nothing_counted_gives_nan():
    empty = np.zeros((3, 3), np.int64)
    assert math.isnan(mean_iou(empty))
    assert math.isnan(pixel_accuracy(empty))


def test_counts_beyond_float32_stay_exact():
    confusion = np.array([[2**24, 1], [0, 0]])
    assert pixel_accuracy(confusion) == 2**24 / (2**24 + 1) < 1
