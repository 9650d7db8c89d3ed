"""The multi-branch backbone: stem, then modules of cross-resolution fusion and branch stages.

Source: Gu et al., CVPR 2022. Departure from the published network: a map brought to a higher
resolution takes the size of the map it joins, so that sizes which 32 does not divide work;
where it divides, nothing changes. Tensor layouts as in `layers`.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..arch import ArchSpec, FusionPlan
from .blocks import BranchStage
from .layers import ConvNorm, LinearNorm, check_images, gelu
from .symbolic import cropped, fresh_size, is_symbolic, nearest


class Stem(nn.Module):
    """Two 3x3 stride-2 convolutions: `(B, H, W, 3)` to stride 4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, width // 2, 3, stride=2)
        self.conv2 = ConvNorm(width // 2, width, 3, stride=2)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        return F.relu_(self.conv2(F.relu_(self.conv1(x_bhwc))))


class Downsample(nn.Module):
    """Brings a map to a lower resolution by 2**steps: strided depth-wise, then 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, steps: int) -> None:
        super().__init__()
        self.depthwise = ConvNorm(
            inputs, inputs, 2**steps + 1, stride=2**steps, groups=inputs, bias=False
        )
        self.pointwise = LinearNorm(inputs, outputs)

    def forward(self, x_bhwc: Tensor, size: tuple[int, int]) -> Tensor:
        y_bhwc = self.pointwise(self.depthwise(x_bhwc))
        return cropped(y_bhwc, size) if is_symbolic(*size) else y_bhwc


class Upsample(nn.Module):
    """Brings a map to a higher resolution: 1x1 convolution, then nearest neighbour to `size`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pointwise = LinearNorm(inputs, outputs)

    def forward(self, x_bhwc: Tensor, size: tuple[int, int]) -> Tensor:
        y_bhwc = self.pointwise(x_bhwc)
        if is_symbolic(*size):
            return nearest(y_bhwc, size)
        y_bchw = y_bhwc.permute(0, 3, 1, 2)
        return F.interpolate(y_bchw, size=size, mode="nearest").permute(0, 2, 3, 1)


class Fusion(nn.Module):
    """Sums every branch's map, brought to each resolution, then GELU; may open one branch."""

    def __init__(self, plan: FusionPlan) -> None:
        super().__init__()
        incoming, outgoing, self.edges = plan
        self.paths = nn.ModuleDict()
        path: Downsample | Upsample
        for out, into in self.edges:
            if out > into:
                path = Downsample(incoming[into], outgoing[out], out - into)
            elif out < into:
                path = Upsample(incoming[into], outgoing[out])
            else:
                continue
            self.paths[f"{into}_to_{out}"] = path
        self.num_outputs = len(outgoing)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        sizes = [tuple(x.shape[1:3]) for x in maps]
        height, width = sizes[-1]
        if len(sizes) < self.num_outputs:
            opened = ((height + 1) // 2, (width + 1) // 2)
            sizes.append(fresh_size(opened) if is_symbolic(*opened) else opened)
        sums: list[Tensor | None] = [None] * self.num_outputs
        for out, into in self.edges:
            x = maps[into]
            before = sums[out]
            if out != into:
                y = self.paths[f"{into}_to_{out}"](x, sizes[out])
                sums[out] = y if before is None else y.add_(before)
            else:
                sums[out] = x if before is None else before.add_(x)
        return [gelu(x) for x in sums if x is not None]


class Module(nn.Module):
    """One module: a fusion, then one stage a branch."""

    def __init__(
        self, spec: ArchSpec, module_index: int, drop_path_rates: tuple[float, ...]
    ) -> None:
        super().__init__()
        plan = spec.fusions[module_index]
        self.fusion = Fusion(plan)
        self.branches = nn.ModuleList(
            BranchStage(plan.outgoing[b], branch, b, drop_path_rates)
            for b, branch in enumerate(spec.modules[module_index].branches)
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [stage(x) for stage, x in zip(self.branches, self.fusion(maps), strict=True)]


def drop_path_schedule(spec: ArchSpec, rate: float) -> list[tuple[float, ...]]:
    """Drop-path rates of each module, rising linearly from 0 to `rate` over the whole depth."""
    depths = [module.depth for module in spec.modules]
    last = max(1, sum(depths) - 1)
    starts = [sum(depths[:m]) for m in range(len(depths))]
    return [
        tuple(rate * (start + j) / last for j in range(depth))
        for start, depth in zip(starts, depths, strict=True)
    ]


class Backbone(nn.Module):
    """HRViT without a head: `(B, 3, H, W)` to one map a branch, finest first.

    Args:
        spec: The architecture.
        drop_path_rate: Stochastic-depth rate of the last block.
    """

    def __init__(self, spec: ArchSpec, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        self.stem = Stem(spec.stem_width)
        rates = drop_path_schedule(spec, drop_path_rate)
        self.stages = nn.ModuleList(Module(spec, m, rates[m]) for m in range(len(spec.modules)))

    def forward_tokens(self, image_bchw: Tensor) -> list[Tensor]:
        """Maps as tokens `(B, H / stride, W / stride, C)`, strides 4, 8, 16, 32.

        Raises:
            ValueError: The image is smaller than 32x32 or has not three channels.
        """
        check_images(image_bchw)
        maps = [self.stem(image_bchw.permute(0, 2, 3, 1).contiguous())]
        if is_symbolic(*maps[0].shape[1:3]):
            maps = [cropped(maps[0], fresh_size(maps[0].shape[1:3]))]
        for module in self.stages:
            maps = module(maps)
        return maps

    def forward(self, image_bchw: Tensor) -> list[Tensor]:
        """Maps `(B, C, H / stride, W / stride)` in the channels-last memory format."""
        return [x_bhwc.permute(0, 3, 1, 2) for x_bhwc in self.forward_tokens(image_bchw)]
