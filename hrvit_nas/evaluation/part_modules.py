"""The parts of a network as modules of their own, each with the maps that it runs on."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from ..arch import BranchSpec, HeadKind, attention_group_width
from ..cost.estimate import branch_sizes
from ..cost.timed_parts import TimedPart
from ..models.backbone import Downsample, Stem, Upsample
from ..models.blocks import Block, build_patch_embedding
from ..models.build import resized_planes
from ..models.heads import HEAD_MODULES
from ..models.layers import gelu, layer_norm


class _FromImage(nn.Module):
    """A stem, and the copy of the image that it reads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = Stem(width)

    def forward(self, image_bchw: Tensor) -> Tensor:
        x_bhwc: Tensor = self.stem(image_bchw.permute(0, 2, 3, 1).contiguous())
        return x_bhwc


class _Path(nn.Module):
    """A path of a fusion, added to what is there."""

    def __init__(self, path: Downsample | Upsample) -> None:
        super().__init__()
        self.path = path

    def forward(self, x_bhwc: Tensor, before_bhwc: Tensor) -> Tensor:
        y_bhwc: Tensor = self.path(x_bhwc, tuple(before_bhwc.shape[1:3]))
        return y_bhwc.add_(before_bhwc)


class _Activation(nn.Module):
    """What a fusion ends with, written over its argument."""

    def forward(self, x_bhwc: Tensor) -> Tensor:
        return gelu(x_bhwc)


class _Half(nn.Module):
    """Half of a block."""

    def __init__(self, branch: BranchSpec, branch_index: int, half: str) -> None:
        super().__init__()
        self.block = Block(branch, branch_index, 0.0)
        self.run = self.block.mix_tokens if half == "attention" else self.block.mix_channels

    def forward(self, x_bhwc: Tensor) -> Tensor:
        y_bhwc: Tensor = self.run(x_bhwc)
        return y_bhwc


class _ToPixels(nn.Module):
    """A head, its logits resized to the image."""

    def __init__(self, head: nn.Module, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.head = head
        self.image_size = image_size

    def forward(self, *maps: Tensor) -> Tensor:
        return resized_planes(self.head(maps), self.image_size)


def part_module(part: TimedPart, image_size: tuple[int, int], num_classes: int) -> nn.Module:
    """A part as a module, with weights as torch draws them."""
    b, widths, settings = part.branches[0], part.widths, part.settings
    match part.kind:
        case "stem":
            return _FromImage(*widths)
        case "fusion":
            into, out = part.branches
            inputs, outputs = widths
            steps = out - into
            return _Path(
                Downsample(inputs, outputs, steps) if steps > 0 else Upsample(inputs, outputs)
            )
        case "activation":
            return _Activation()
        case "patch_embedding":
            embedding = build_patch_embedding(str(settings[0]), *widths)
            return nn.Sequential(embedding, layer_norm(widths[-1]))
        case "attention":
            return _Half(_attending(part), b, "attention")
        case "feed_forward":
            width, hidden = widths
            fields: dict[str, Any] = {"feed_forward": settings[0], "shortcut": "identity"}
            ratio = hidden // width
            branch = BranchSpec(
                width=width, blocks=1, expansion_ratio=ratio, attention="convolution", **fields
            )
            return _Half(branch, b, "feed_forward")
        case "head":
            kind = cast("HeadKind", settings[0])
            return _ToPixels(HEAD_MODULES[kind](widths[:-1], widths[-1], num_classes), image_size)


def _attending(part: TimedPart) -> BranchSpec:
    """A branch with the attention of a part."""
    kind, strip, heads, sharing, parallel, nonlinearity, shortcut = cast("Any", part.settings)
    (width,) = part.widths
    return BranchSpec(
        width=width,
        blocks=1,
        expansion_ratio=1,
        attention=kind,
        strip_width=strip or None,
        head_dim=attention_group_width(kind, width) // heads if heads else None,
        kv_sharing=bool(sharing),
        parallel_conv=bool(parallel),
        extra_nonlinearity=bool(nonlinearity),
        shortcut=shortcut,
    )


def part_inputs(
    part: TimedPart, image_size: tuple[int, int], *, batch_size: int, device: torch.device
) -> tuple[Tensor, ...]:
    """Noise of the shapes that a part reads: tokens `(B, H, W, C)`, of a stem an image."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(batch_size, *shape, generator=generator).to(device)

    if part.kind == "stem":
        return (noise(3, *image_size).to(memory_format=torch.channels_last),)
    sizes = branch_sizes(image_size, max(part.branches) + 1)
    count = {"fusion": 2, "head": len(part.branches)}.get(part.kind, 1)
    return tuple(
        noise(*sizes[b], width)
        for b, width in zip(part.branches[:count], part.widths, strict=False)
    )
