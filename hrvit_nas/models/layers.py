"""Layers on channels-last tokens, shared by the whole network.

Tensor names carry their layout: b batch, h height, w width, c channels, n tokens of one
attention region, e heads, d channels a head. Tokens stay `(B, H, W, C)` from stem to head;
a convolution sees them through a permuted view, which is PyTorch's channels-last memory
format, so that nothing is copied on the way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

NORM_EPS = 1e-5
MIN_IMAGE_SIDE = 32


def conv_tokens(x_bhwc: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1) -> Tensor:
    """Convolves tokens, padded by half the kernel; one group for each slice the kernel reads."""
    groups = x_bhwc.shape[-1] // weight.shape[1]
    x_bchw = x_bhwc.permute(0, 3, 1, 2)
    y_bchw = F.conv2d(x_bchw, weight, bias, stride, weight.shape[-1] // 2, 1, groups)
    return y_bchw.permute(0, 2, 3, 1)


class TokenConv(nn.Conv2d):
    """`nn.Conv2d` on `(B, H, W, C)` tokens, padded by half the kernel size."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(
            inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=bias
        )

    def forward(self, x_bhwc: Tensor) -> Tensor:
        return conv_tokens(x_bhwc, self.weight, self.bias, self.stride[0])


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor of each process, whose gradient is that of what all make of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ARG004
        total = grad.clone()
        distributed.all_reduce(total)
        return total


class TokenBatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` on `(B, H, W, C)` tokens.

    Attributes:
        synchronised: Whether in training the processes of an initialised `torch.distributed`
            normalise by the statistics of all their batches as one; each must have some token.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    synchronised = False

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=NORM_EPS)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        if self.synchronised and self.training and distributed.is_initialized():
            return self._synchronised(x_bhwc)
        return super().forward(x_bhwc.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    def _synchronised(self, x_bhwc: Tensor) -> Tensor:
        """Normalises by all processes' tokens; `nn.SyncBatchNorm` does so on GPUs alone."""
        x = x_bhwc.float()
        sums = torch.cat([x.sum((0, 1, 2)), x.new_tensor([x[..., 0].numel()])])
        sums = _SumOverProcesses.apply(sums)
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = x - mean
        # In a second pass, since a mean of squares less a squared mean cancels.
        variance = _SumOverProcesses.apply(centred.square().sum((0, 1, 2))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance * count / (count - 1), share)
        y = centred * torch.rsqrt(variance + self.eps)
        return torch.addcmul(self.bias, y, self.weight).to(x_bhwc.dtype)

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Weight and bias of the map or convolution before this norm, with the norm inside.

        Uses the running statistics, so it holds in eval mode alone. Computed at each call
        from the parameters themselves: nothing cached that could go stale.
        """
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        shift = self.bias - self.running_mean * scale
        if bias is not None:
            shift = torch.addcmul(shift, bias, scale)
        return weight * scale.view(-1, *[1] * (weight.dim() - 1)), shift


class ConvNorm(nn.Module):
    """A convolution and its BatchNorm, one convolution in eval mode."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.conv = TokenConv(inputs, outputs, kernel, stride=stride, groups=groups, bias=bias)
        self.norm = TokenBatchNorm(outputs)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        if self.training:
            return self.norm(self.conv(x_bhwc))
        weight, bias = self.norm.folded(self.conv.weight, self.conv.bias)
        return conv_tokens(x_bhwc, weight, bias, self.conv.stride[0])


class LinearNorm(nn.Module):
    """A linear map over channels and its BatchNorm, one linear map in eval mode."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=bias)
        self.norm = TokenBatchNorm(outputs)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        if self.training:
            return self.norm(self.linear(x_bhwc))
        return F.linear(x_bhwc, *self.norm.folded(self.linear.weight, self.linear.bias))


class DropPath(nn.Module):
    """Stochastic depth, a sample at a time (Huang et al., ECCV 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x_bhwc: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x_bhwc
        kept = torch.empty(x_bhwc.shape[0], 1, 1, 1, dtype=x_bhwc.dtype, device=x_bhwc.device)
        return x_bhwc * kept.bernoulli_(1 - self.rate).div_(1 - self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


def gelu(x: Tensor) -> Tensor:
    """Exact GELU, written over its argument where no gradient will ask for it.

    Callers pass a tensor that nothing else reads.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return F.gelu(x)
    return torch.ops.aten.gelu_(x)


def layer_norm(channels: int) -> nn.LayerNorm:
    """LayerNorm over the channels of tokens."""
    return nn.LayerNorm(channels, eps=NORM_EPS)


def check_images(image_bchw: Tensor) -> None:
    """Refuses what no backbone takes.

    Raises:
        ValueError: The images are smaller than 32x32 or have not three channels.
    """
    channels, height, width = image_bchw.shape[1:]
    if channels != 3 or height < MIN_IMAGE_SIDE or width < MIN_IMAGE_SIDE:
        raise ValueError(
            f"an image batch must be (B, 3, H, W) with H and W of at least {MIN_IMAGE_SIDE},"
            f" got {tuple(image_bchw.shape)}"
        )
