"""Layers without storage: what the subnets of a supernet are copied from."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..arch import BranchSpec, FusionPlan
from .backbone import Fusion, Stem
from .blocks import Block, DiversityEnhancedShortcut, build_patch_embedding
from .heads import HEAD_MODULES
from .layers import layer_norm

PARTS_KEPT = 256
"""Layers of each sort that are kept."""


class _NoValues(TorchFunctionMode):
    """Leaves the first values out, which a tensor without storage would be given at some cost."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in _FILLERS:
            return args[0]
        return function(*args, **(kwargs or {}))


_FILLERS = {Tensor.uniform_, Tensor.normal_, Tensor.fill_, Tensor.zero_}


def _skeleton(build: Callable[..., nn.Module], *args: Any) -> nn.Module:
    with torch.device("meta"), _NoValues():
        return build(*args)


@lru_cache(PARTS_KEPT)
def stem(width: int) -> nn.Module:
    """A network's stem."""
    return _skeleton(Stem, width)


@lru_cache(PARTS_KEPT)
def fusion(plan: FusionPlan) -> nn.Module:
    """What carries branches into a module."""
    return _skeleton(Fusion, plan)


@lru_cache(PARTS_KEPT)
def embedding(kind: str, inputs: int, width: int) -> nn.Module:
    """The patch embedding of a branch, of some number of input channels."""
    return _skeleton(build_patch_embedding, kind, inputs, width)


@lru_cache(PARTS_KEPT)
def block(branch: BranchSpec, branch_index: int) -> nn.Module:
    """One block of a branch, with a drop-path rate of 0."""
    return _skeleton(Block, branch, branch_index, 0.0)


@lru_cache(PARTS_KEPT)
def shortcut(width: int) -> nn.Module:
    """The diversity-enhanced shortcut of a width."""
    return _skeleton(DiversityEnhancedShortcut, width)


@lru_cache(PARTS_KEPT)
def norm(width: int) -> nn.Module:
    """The norm that ends a branch."""
    return _skeleton(layer_norm, width)


@lru_cache(PARTS_KEPT)
def head(kind: str, widths: tuple[int, ...], head_width: int, num_classes: int) -> nn.Module:
    """A segmentation head."""
    return _skeleton(HEAD_MODULES[kind], widths, head_width, num_classes)
