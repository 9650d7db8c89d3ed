import numpy as np
import pytest
import torch
from torch import nn

from hrvit_nas.evaluation import ClassificationScores, evaluate_classifier
from hrvit_nas.evaluation.classification import hits


class Table(nn.Module):
    """The logits of an image are its first pixels."""

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes

    def forward(self, images):
        assert not self.training
        return images[:, 0, 0, : self.num_classes]


def batches_of(logits, labels, size):
    images = torch.zeros(len(logits), 3, 2, 16)
    images[:, 0, 0, : logits.shape[1]] = logits
    return list(zip(images.split(size), labels.split(size), strict=True))


@pytest.mark.parametrize("num_classes", [3, 9])
@pytest.mark.parametrize("size", [4, 11])
def test_scores_by_hand(num_classes, size):
    generator = torch.Generator().manual_seed(num_classes)
    logits = torch.randn(11, num_classes, generator=generator)
    labels = torch.randint(num_classes, (11,), generator=generator)
    ranks = [
        sorted(row, reverse=True).index(row[label])
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    shares = np.exp(logits.double().numpy())
    shares = shares[range(11), labels] / shares.sum(1)
    model = Table(num_classes).train()
    found = evaluate_classifier(model, batches_of(logits, labels, size), num_classes=num_classes)
    assert found.top1 == pytest.approx(np.mean(np.array(ranks) < 1))
    assert found.top5 == pytest.approx(np.mean(np.array(ranks) < 5))
    assert found.cross_entropy == pytest.approx(-np.log(shares).mean(), rel=1e-5)
    assert model.training
    assert isinstance(found, ClassificationScores)
    expected = [[rank < 1, rank < 5] for rank in ranks]
    assert hits(logits, labels).tolist() == expected


def test_what_cannot_be_scored_is_refused():
    batches = batches_of(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64), 2)
    with pytest.raises(ValueError, match=r"logits of shape \(2, 5\), got \(2, 4\)"):
        evaluate_classifier(Table(4), batches, num_classes=5)
    with pytest.raises(ValueError, match="one image at least"):
        evaluate_classifier(Table(4), [], num_classes=4)
