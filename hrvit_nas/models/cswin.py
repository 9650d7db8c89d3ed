"""CSWin Transformer (Dong et al., CVPR 2022, arXiv 2107.00652), written from the paper.

Four stages, one after the other: a 7x7 convolution of stride 4, then 3x3 convolutions of stride 2,
each followed by LayerNorm and blocks of cross-shaped attention with a locally enhanced positional
encoding (LePE), a depth-wise convolution of the values. In the last stage every head attends to the
whole map. Tensor layouts as in `layers`.

Departures: LePE convolves the whole map, not a strip at a time; strips that a map does not fill
are attended at their true size, as in `attention`; a LayerNorm stands before each map that the head
sees.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..arch import PyramidSpec, PyramidStage
from .attention import attend, attend_columns, attend_rows
from .blocks import FFN, Blocks
from .layers import DropPath, TokenConv, check_images, layer_norm
from .symbolic import cropped, fresh_size, is_symbolic


class CrossShapedSelfAttention(nn.Module):
    """Half of the heads in horizontal strips, half in vertical ones, plus LePE."""

    def __init__(self, stage: PyramidStage) -> None:
        super().__init__()
        self.num_heads, self.strip_width = stage.num_heads, stage.strip_width
        self.to_input = nn.Linear(stage.width, 3 * stage.width)
        self.lepe = TokenConv(stage.width, stage.width, 3, groups=stage.width)
        self.to_output = nn.Linear(stage.width, stage.width)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        q, k, v = self.to_input(x_bhwc).chunk(3, -1)
        return self.to_output(self.lepe(v).add_(self._attend(q, k, v)))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.strip_width is None:
            q_nld, k_nld, v_nld = (t.flatten(1, 2) for t in (q, k, v))
            return attend(q_nld, k_nld, v_nld, self.num_heads).view(q.shape)
        (q_rows, q_columns), (k_rows, k_columns), (v_rows, v_columns) = (
            t.chunk(2, -1) for t in (q, k, v)
        )
        heads = self.num_heads // 2
        rows = attend_rows(q_rows, k_rows, v_rows, self.strip_width, heads)
        columns = attend_columns(q_columns, k_columns, v_columns, self.strip_width, heads)
        return torch.cat((rows, columns), -1)


class CSWinBlock(nn.Module):
    """`x + DropPath(Attn(LN(x)))`, then `x + DropPath(FFN(LN(x)))`."""

    def __init__(self, stage: PyramidStage, drop_path_rate: float) -> None:
        super().__init__()
        self.attention_norm = layer_norm(stage.width)
        self.attention = CrossShapedSelfAttention(stage)
        self.feed_forward_norm = layer_norm(stage.width)
        self.feed_forward = FFN(stage.width, stage.width * stage.expansion_ratio)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        x_bhwc = x_bhwc + self.drop_path(self.attention(self.attention_norm(x_bhwc)))
        return x_bhwc + self.drop_path(self.feed_forward(self.feed_forward_norm(x_bhwc)))


class CSWinStage(nn.Module):
    """Strided convolution, LayerNorm, blocks, LayerNorm."""

    def __init__(
        self, inputs: int, stage: PyramidStage, kernel: int, stride: int, rates: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.embedding = TokenConv(inputs, stage.width, kernel, stride=stride)
        self.embedding_norm = layer_norm(stage.width)
        self.blocks = Blocks(*(CSWinBlock(stage, rate) for rate in rates))
        self.norm = layer_norm(stage.width)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        """Tokens before the last norm, from which the next stage goes on."""
        x_bhwc = self.embedding(x_bhwc)
        if is_symbolic(*x_bhwc.shape[1:3]):
            x_bhwc = cropped(x_bhwc, fresh_size(x_bhwc.shape[1:3]))
        return self.blocks(self.embedding_norm(x_bhwc))


class CSWin(nn.Module):
    """CSWin without a head: `(B, 3, H, W)` to four maps, finest first.

    Args:
        spec: The architecture, of family `cswin`.
        drop_path_rate: Stochastic-depth rate of the last block; rates rise linearly from 0.
    """

    def __init__(self, spec: PyramidSpec, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        num_blocks = sum(stage.blocks for stage in spec.stages)
        rates = [drop_path_rate * block / max(1, num_blocks - 1) for block in range(num_blocks)]
        self.stages = nn.ModuleList()
        inputs = 3
        for number, stage in enumerate(spec.stages):
            kernel, stride = (3, 2) if number else (7, 4)
            own, rates = tuple(rates[: stage.blocks]), rates[stage.blocks :]
            self.stages.append(CSWinStage(inputs, stage, kernel, stride, own))
            inputs = stage.width

    def forward_tokens(self, image_bchw: Tensor) -> list[Tensor]:
        """Maps as tokens `(B, ceil(H / stride), ceil(W / stride), C)`, strides 4, 8, 16, 32.

        Raises:
            ValueError: The image is smaller than 32x32 or has not three channels.
        """
        check_images(image_bchw)
        x_bhwc = image_bchw.permute(0, 2, 3, 1).contiguous()
        maps = []
        for stage in self.stages:
            assert isinstance(stage, CSWinStage)
            x_bhwc = stage(x_bhwc)
            maps.append(stage.norm(x_bhwc))
        return maps

    def forward(self, image_bchw: Tensor) -> list[Tensor]:
        """Maps `(B, C, h, w)` in the channels-last memory format."""
        return [x_bhwc.permute(0, 3, 1, 2) for x_bhwc in self.forward_tokens(image_bchw)]
