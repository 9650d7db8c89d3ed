"""Patch embeddings, feed-forwards, the diversity-enhanced shortcut, and the block around them.

Source: Gu et al., CVPR 2022, section 3. Tensor layouts as in `layers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ..arch import BranchSpec, des_factor
from .attention import build_attention
from .layers import DropPath, TokenBatchNorm, TokenConv, gelu, layer_norm

MOST_WRITTEN_OUT = 48
"""Channels up to which the shortcut's factors are written out while training."""


class EfficientPatchEmbedding(nn.Module):
    """1x1 convolution to the branch's width, 3x3 depth-wise convolution, LayerNorm."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.pointwise = nn.Linear(inputs, width)
        self.depthwise = TokenConv(width, width, 3, groups=width)
        self.norm = layer_norm(width)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        return self.norm(self.depthwise(self.pointwise(x_bhwc)))


class ConvolutionPatchEmbedding(nn.Module):
    """Full 3x3 convolution, LayerNorm: what the efficient patch embedding replaces."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.convolution = TokenConv(inputs, width, 3)
        self.norm = layer_norm(width)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        return self.norm(self.convolution(x_bhwc))


def build_patch_embedding(kind: str, inputs: int, width: int) -> nn.Module:
    """The patch embedding that a branch asks for."""
    if kind == "efficient":
        return EfficientPatchEmbedding(inputs, width)
    return ConvolutionPatchEmbedding(inputs, width)


class MixCFN(nn.Module):
    """Feed-forward whose hidden channels pass 3x3 (first half) and 5x5 depth-wise convolutions.

    Each half has its own slice of both linear maps, so that neither has to be split off or
    joined by a copy.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        half = hidden // 2
        self.expand = nn.Linear(width, hidden)
        self.conv3 = TokenConv(half, half, 3, groups=half)
        self.conv5 = TokenConv(half, half, 5, groups=half)
        self.reduce = nn.Linear(hidden, width)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        expand3, expand5 = self.expand.weight.chunk(2)
        bias3, bias5 = self.expand.bias.chunk(2)
        reduce3, reduce5 = self.reduce.weight.chunk(2, 1)
        y_bhwc = F.linear(
            gelu(self.conv3(F.linear(x_bhwc, expand3, bias3))), reduce3, self.reduce.bias
        )
        return y_bhwc.add_(F.linear(gelu(self.conv5(F.linear(x_bhwc, expand5, bias5))), reduce5))


class FFN(nn.Module):
    """Plain feed-forward: two linear maps around a GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, hidden)
        self.reduce = nn.Linear(hidden, width)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        return self.reduce(gelu(self.expand(x_bhwc)))


class DiversityEnhancedShortcut(nn.Module):
    """Kronecker-factorised C x C map with a GELU between its factors.

    C channels are a (k, p) matrix: the right factor maps its rows, the left one its columns. While
    training, factors of few channels are written out as C x C maps: more multiply-adds, but each is
    one matrix product without a transposed copy, which for narrow branches is faster.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.p = des_factor(width)
        self.k = width // self.p
        self.right = nn.Linear(self.p, self.p)
        self.left = nn.Linear(self.k, self.k)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        """Returns `(B, H, W, k, p)`, whose flattened last two dimensions are the C channels."""
        if self.training and self.k * self.p <= MOST_WRITTEN_OUT:
            return self._written_out(x_bhwc).unflatten(-1, (self.k, self.p))
        y_kp = gelu(self.right(x_bhwc.unflatten(-1, (self.k, self.p))))
        return self.left(y_kp.transpose(-1, -2)).transpose(-1, -2)

    def _written_out(self, x_bhwc: Tensor) -> Tensor:
        """The same map as `(B, H, W, C)`, by the Kronecker products with identities."""
        k, p = self.k, self.p
        right, left = self.right.weight, self.left.weight
        eye_k = torch.eye(k, dtype=right.dtype, device=right.device)
        eye_p = torch.eye(p, dtype=left.dtype, device=left.device)
        right_cc = (eye_k[:, None, :, None] * right[None, :, None, :]).view(k * p, k * p)
        left_cc = (left[:, None, :, None] * eye_p[None, :, None, :]).view(k * p, k * p)
        y_bhwc = gelu(F.linear(x_bhwc, right_cc, self.right.bias.repeat(k)))
        return F.linear(y_bhwc, left_cc, self.left.bias.repeat_interleave(p))


class Block(nn.Module):
    """`x + DropPath(Attn(LN(x)) + DES(x))`, then `x + DropPath(FFN(LN(x)))`."""

    def __init__(self, branch: BranchSpec, branch_index: int, drop_path_rate: float) -> None:
        super().__init__()
        feed_forward = MixCFN if branch.feed_forward == "mix_cfn" else FFN
        self.attention_norm = layer_norm(branch.width)
        self.attention = build_attention(branch, branch_index)
        self.shortcut = (
            DiversityEnhancedShortcut(branch.width) if branch.shortcut == "des" else None
        )
        self.feed_forward_norm = layer_norm(branch.width)
        self.feed_forward = feed_forward(branch.width, branch.hidden_width)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        x_bhwc = self.mix_tokens(x_bhwc)  # what came in is let go
        return self.mix_channels(x_bhwc)

    def mix_tokens(self, x_bhwc: Tensor) -> Tensor:
        """The first half: attention and shortcut."""
        return self.drop_path(self._mix(x_bhwc)).add_(x_bhwc)

    def mix_channels(self, x_bhwc: Tensor) -> Tensor:
        """The second half: the feed-forward."""
        y_bhwc = self.feed_forward(self.feed_forward_norm(x_bhwc))
        return self.drop_path(y_bhwc).add_(x_bhwc)

    def _mix(self, x_bhwc: Tensor) -> Tensor:
        y_bhwc = self.attention(self.attention_norm(x_bhwc))
        if self.shortcut is None:
            return y_bhwc
        y_kp = self.shortcut(x_bhwc)
        return y_bhwc.view(y_kp.shape).add_(y_kp).view(x_bhwc.shape)


class Blocks(nn.Sequential):
    """Blocks, one after the other.

    Attributes:
        gradient_checkpointing: Whether in training each keeps its input alone, and is passed again
            for the backward pass (Chen et al., 2016): less memory for a forward pass more.
    """

    gradient_checkpointing = False

    def forward(self, x_bhwc: Tensor) -> Tensor:
        for block in self:
            if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
                contexts = partial(_contexts, block)
                x_bhwc = checkpoint(block, x_bhwc, use_reentrant=False, context_fn=contexts)
            else:
                x_bhwc = block(x_bhwc)
        return x_bhwc


def _contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Of the forward pass, and of its repetition, which batch norms must not count once more."""
    return nullcontext(), _untracked(block)


@contextmanager
def _untracked(block: nn.Module) -> Iterator[None]:
    norms = [module for module in block.modules() if isinstance(module, TokenBatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # of what is new; untracked, a norm would keep other tensors
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)


class BranchStage(nn.Module):
    """Patch embedding, blocks, LayerNorm: one branch of one module."""

    def __init__(
        self, inputs: int, branch: BranchSpec, branch_index: int, drop_path_rates: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.patch_embedding = build_patch_embedding(branch.patch_embedding, inputs, branch.width)
        self.blocks = Blocks(
            *(Block(branch, branch_index, rate) for rate in drop_path_rates[: branch.blocks])
        )
        self.norm = layer_norm(branch.width)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        return self.norm(self.blocks(self.patch_embedding(x_bhwc)))
