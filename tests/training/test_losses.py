"""The loss of a batch, and the weights of classes."""

import math

import numpy as np
import pytest
import torch
from small_trainings import IGNORE, ArraySplit

from hrvit_nas.data import DataError, SegmentationData, class_shares
from hrvit_nas.data.splits import SHARES_FROM
from hrvit_nas.training import class_weights, segmentation_loss


def test_loss_equals_a_sum_by_hand_and_ignores_the_ignored():
    probabilities = torch.tensor([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])
    logits = probabilities.log().T.reshape(1, 2, 1, 3)
    labels = torch.tensor([[[0, 1, IGNORE]]])
    expected = -(math.log(0.5) + math.log(0.8)) / 2
    assert segmentation_loss(logits, labels, IGNORE).item() == pytest.approx(expected)


def test_a_batch_without_labels_has_no_loss_and_no_gradient():
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = segmentation_loss(logits, torch.full((2, 4, 4), IGNORE), IGNORE)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_class_weights_are_inverse_frequencies_of_mean_one_over_pixels():
    labels = np.zeros((4, 5), np.uint8)
    labels[0] = 1
    labels[3] = 255
    split = ArraySplit(np.zeros((2, 4, 5, 3), np.uint8), np.stack([labels, labels]))
    data = SegmentationData(name="x", class_names=("a", "b", "c"), train=split, val=split)
    share = torch.tensor([2 / 3, 1 / 3])
    for power in (0.5, 1.0):
        weights = class_weights(data, power)
        assert weights[2] == 0
        assert weights[1] / weights[0] == pytest.approx(2**power)
        assert float((weights[:2] * share).sum()) == pytest.approx(1)


def test_class_shares_of_a_large_split_are_those_of_evenly_spaced_samples():
    labels = np.zeros((2 * SHARES_FROM, 2, 2), np.uint8)
    labels[::4] = 1
    split = ArraySplit(np.zeros((*labels.shape, 3), np.uint8), labels)
    np.testing.assert_array_equal(class_shares(split, 3), [0.5, 0.5, 0])
    with pytest.raises(DataError, match="no pixel of the training set is labelled"):
        class_shares(ArraySplit(split.images, np.full_like(labels, IGNORE)), 3)


def test_the_weighted_loss_is_torchs_own_mean():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    labels = torch.randint(3, (2, 4, 5), generator=generator)
    labels[0, :2] = 255
    weights = torch.tensor([0.5, 2.0, 1.0])
    torch.testing.assert_close(
        segmentation_loss(logits, labels, 255, weights),
        torch.nn.functional.cross_entropy(logits, labels, weights, ignore_index=255),
    )
    assert segmentation_loss(logits, torch.full_like(labels, 255), 255, weights) == 0
