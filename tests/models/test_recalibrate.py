"""Batch statistics estimated anew, against averages by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from hrvit_nas.models import recalibrate
from hrvit_nas.models.layers import NORM_EPS, DropPath, TokenBatchNorm


class Small(nn.Module):
    """Two norms with whatever is random between them."""

    def __init__(self):
        super().__init__()
        self.first = TokenBatchNorm(3)
        self.dropout = nn.Dropout(0.5)
        self.drop_path = DropPath(0.5)
        self.mix = nn.Linear(3, 4)
        self.second = TokenBatchNorm(4)

    def forward(self, x_bchw):
        y_bhwc = self.first(x_bchw.permute(0, 2, 3, 1))
        return self.second(self.mix(self.drop_path(self.dropout(y_bhwc))))


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = Small()
    for norm in (model.first, model.second):
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias)
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    return model


def images(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [
        n + n * torch.randn(b, 3, 4, 5, generator=generator) for n, b in enumerate(sizes, start=1)
    ]


def tokens(tensor):
    return tensor.detach().numpy().astype(np.float64)


def by_hand(model, batches):
    """Means over batches of each norm's batch mean and unbiased variance."""
    found = {"first": [], "second": []}
    for batch in batches:
        x = tokens(batch.permute(0, 2, 3, 1)).reshape(-1, 3)
        found["first"].append((x.mean(0), x.var(0, ddof=1)))
        y = (x - x.mean(0)) / np.sqrt(x.var(0) + NORM_EPS)
        y = y * tokens(model.first.weight) + tokens(model.first.bias)
        z = y @ tokens(model.mix.weight).T + tokens(model.mix.bias)
        found["second"].append((z.mean(0), z.var(0, ddof=1)))
    return {name: np.mean(values, 0) for name, values in found.items()}


@pytest.mark.parametrize("paired", [False, True])
def test_statistics_are_the_plain_average_over_batches(model, paired):
    batches = images(2, 5, 1)  # each counts alike
    recalibrate(model, ((batch, None) for batch in batches) if paired else batches)
    for name, (mean, variance) in by_hand(model, batches).items():
        norm = getattr(model, name)
        np.testing.assert_allclose(norm.running_mean.numpy(), mean, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(norm.running_var.numpy(), variance, rtol=1e-5, atol=1e-5)
        assert norm.num_batches_tracked == len(batches)


def broken():
    yield images(2)[0]
    raise OSError("disk gone")


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [(images(2), None, ""), ((), ValueError, "at least one batch"), (broken(), OSError, "gone")],
    ids=["well", "empty", "broken"],
)
@pytest.mark.parametrize("training", [False, True])
def test_modes_momenta_and_weights_are_left_as_they_were(model, training, batches, error, message):
    batches = broken() if error is OSError else batches
    model.train(training)
    model.mix.train(not training)
    model.second.momentum = 0.3
    modes = [module.training for module in model.modules()]
    weights = [parameter.clone() for parameter in model.parameters()]
    if error is None:
        recalibrate(model, batches)
    else:
        with pytest.raises(error, match=message):
            recalibrate(model, batches)
    assert [module.training for module in model.modules()] == modes
    assert (model.first.momentum, model.second.momentum) == (0.1, 0.3)
    assert all(map(torch.equal, model.parameters(), weights))
    assert all(parameter.grad is None for parameter in model.parameters())
