import numpy as np
import pytest
import torch
from torch import nn

from hrvit_nas.data.transforms import DEVIATION, MEAN
from hrvit_nas.evaluation import evaluate, is_boundary, predict, sliding_logits

IGNORE = 255


class OneHot(nn.Module):
    """Reads the class of a pixel off its first channel."""

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes
        self.dropout = nn.Dropout(0.9)
        self.seen = []

    def forward(self, images):
        self.seen.append((self.training, torch.is_grad_enabled(), tuple(images.shape)))
        logits = (
            nn.functional.one_hot(images[:, 0].long(), self.num_classes).permute(0, 3, 1, 2).float()
        )
        return self.dropout(logits)


def as_images(classes):
    return classes.unsqueeze(1).expand(-1, 3, -1, -1).float()


def random_labels(*shape, num_classes=4):
    return torch.randint(num_classes, shape, generator=torch.Generator().manual_seed(0))


def test_perfect_model_scores_one_over_batches_of_any_size():
    labels = random_labels(5, 6, 8)
    batches = [(as_images(labels[:3]), labels[:3]), (as_images(labels[3:]), labels[3:])]
    evaluation = evaluate(OneHot(4), batches, num_classes=4)
    assert evaluation.miou == evaluation.pixel_accuracy == 1.0
    assert evaluation.confusion.sum() == labels.numel()


def test_cross_entropy_is_the_mean_over_labelled_pixels_whatever_the_batches():
    labels = random_labels(5, 6, 8)
    images = as_images(random_labels(5, 6, 8).flip(0))
    labels[0, 2:] = IGNORE
    logits = OneHot(4).eval()(images)
    expected = nn.functional.cross_entropy(logits, labels, ignore_index=IGNORE).item()
    for cut in (1, 3):
        batches = [(images[:cut], labels[:cut]), (images[cut:], labels[cut:])]
        found = evaluate(OneHot(4), batches, num_classes=4).cross_entropy
        assert found == pytest.approx(expected)


def test_boundary_scores_are_of_the_pixels_near_another_class():
    labels = torch.zeros(1, 6, 12, dtype=torch.int64)
    labels[:, :, 6:] = 1
    near = torch.zeros(1, 6, 12, dtype=torch.bool)
    near[:, :, 4:8] = True
    assert torch.equal(is_boundary(labels, IGNORE, 2), near)
    images = as_images(labels)
    images[:, :, :, 5] = 1.0  # wrong, at the boundary
    images[:, :, 0, 0] = 1.0  # wrong, far from it
    evaluation = evaluate(OneHot(4), [(images, labels)], num_classes=4)
    assert evaluation.boundary.sum() == near.sum()
    assert evaluation.boundary_miou == pytest.approx((6 / 12 + 12 / 18) / 2)


def test_a_class_beside_ignored_pixels_has_no_boundary():
    labels = torch.full((1, 6, 12), 3)
    labels[:, :, 6:] = IGNORE
    assert not is_boundary(labels, IGNORE).any()
    labels[:, :, 8:] = 1
    expected = torch.zeros(1, 6, 12, dtype=torch.bool)
    expected[:, :, 6:8] = True  # ignored, but within two columns of both classes
    assert torch.equal(is_boundary(labels, IGNORE), expected)


def test_ignored_pixels_do_not_count():
    labels = random_labels(2, 6, 8)
    images = as_images((labels + 1) % 4)
    images[:, :, :3] = as_images(labels)[:, :, :3]
    labels[:, 3:] = IGNORE
    assert evaluate(OneHot(4), [(images, labels)], num_classes=4).pixel_accuracy == 1.0


def test_runs_in_eval_mode_without_gradients_and_restores_every_mode():
    model = OneHot(4).train()
    model.dropout.eval()
    labels = random_labels(1, 4, 4)
    evaluate(model, [(as_images(labels), labels)], num_classes=4)
    assert model.seen == [(False, False, (1, 3, 4, 4))]
    assert model.training
    assert not model.dropout.training


def test_mode_is_restored_after_an_error():
    model = OneHot(4).train()
    labels = random_labels(1, 4, 4)
    with pytest.raises(ValueError, match=r"logits of shape \(1, 3, 4, 4\), got \(1, 4, 4, 4\)"):
        evaluate(model, [(as_images(labels), labels)], num_classes=3)
    assert model.training


def test_nothing_labelled_is_an_error():
    labels = torch.full((1, 4, 4), IGNORE)
    with pytest.raises(ValueError, match="no pixel of the validation set is labelled"):
        evaluate(OneHot(4), [(torch.zeros(1, 3, 4, 4), labels)], num_classes=4)


@pytest.mark.parametrize("size", [(7, 9), (4, 4), (3, 11), (8, 12)])
def test_sliding_windows_of_a_pointwise_model_equal_the_whole(size):
    torch.manual_seed(0)
    model = nn.Conv2d(3, 5, 1)
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        found = sliding_logits(model, images, (4, 4), (3, 2))
        torch.testing.assert_close(found, model(images))


def test_sliding_windows_average_where_they_overlap():
    # The logit of a pixel is its column within its window; columns of 6 in windows of 4.
    def column(images):
        batch, _, height, width = images.shape
        return torch.arange(width).float().expand(batch, 1, height, width)

    found = sliding_logits(column, torch.zeros(1, 3, 2, 6), (2, 4), (2, 2))
    assert found[0, 0, 0].tolist() == [0, 1, (2 + 0) / 2, (3 + 1) / 2, 2, 3]


def test_sliding_evaluation_feeds_windows():
    model = OneHot(4)
    labels = random_labels(1, 8, 12)
    evaluation = evaluate(
        model, [(as_images(labels), labels)], num_classes=4, window=(8, 8), stride=(6, 6)
    )
    assert evaluation.miou == 1.0
    assert [shape for _, _, shape in model.seen] == [(1, 3, 8, 8)] * 2


def test_stride_larger_than_the_window_is_refused():
    with pytest.raises(ValueError, match=r"1 to the window's size \(4, 4\), got \(5, 4\)"):
        sliding_logits(nn.Identity(), torch.zeros(1, 3, 8, 8), (4, 4), (5, 4))


class Brightness(nn.Module):
    """Class 1 where the first channel, brought back to 0..255, is above 100."""

    def forward(self, images):
        level = images[:, 0] * DEVIATION[0] + MEAN[0]
        return torch.stack([100.5 - level, level - 100.5], 1)


@pytest.mark.parametrize("window", [None, (4, 5)])
def test_prediction_of_one_image(window):
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image.flags.writeable = False  # as it comes from a cache
    model = Brightness().train()
    found = predict(model, image, window=window)
    assert found.dtype == np.uint8
    assert np.array_equal(found, image[..., 0] > 100)
    assert model.training


@pytest.mark.parametrize(
    ("shape", "kind"), [((6, 8), "uint8"), ((3, 6, 8), "uint8"), ((6, 8, 3), "float32")]
)
def test_what_is_no_image_is_refused(shape, kind):
    with pytest.raises(ValueError, match=r"must be \(H, W, 3\) of uint8, got"):
        predict(Brightness(), np.zeros(shape, kind))
