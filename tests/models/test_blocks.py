"""Parts of a block that are computed in one way while training and in another otherwise."""

import pytest
import torch

from hrvit_nas.models.blocks import MOST_WRITTEN_OUT, DiversityEnhancedShortcut


@pytest.mark.parametrize("width", [4, 6, 8, 12, 24, 32, 48, 64])
def test_the_shortcut_written_out_is_the_shortcut(width):
    """Outputs and gradients of both forms, in double precision."""
    torch.manual_seed(width)
    shortcut = DiversityEnhancedShortcut(width).double()
    torch.nn.init.normal_(shortcut.left.bias)
    torch.nn.init.normal_(shortcut.right.bias)
    x_bhwc = torch.randn(2, 3, 5, width, dtype=torch.float64)
    found = []
    for training in (True, False):
        shortcut.train(training)
        shortcut.zero_grad()
        x = x_bhwc.clone().requires_grad_(True)
        y = shortcut(x).flatten(-2)
        (y * torch.arange(y.numel()).view(y.shape)).sum().backward()
        found.append([y, x.grad, *(parameter.grad.clone() for parameter in shortcut.parameters())])
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-8)
    assert width <= MOST_WRITTEN_OUT or width == 64
