"""The largest form of every layer of a space's subnets."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any, cast

from torch import nn

from ..arch import (
    HEADED_ATTENTIONS,
    STRIP_ATTENTIONS,
    ArchSpec,
    BranchSpec,
    ModuleSpec,
    des_factor,
)
from ..arch.spec import Fusion
from ..space import Space
from ..space.genes import Target
from . import skeletons
from .build import initialise
from .heads import HEAD_MODULES
from .layers import TokenBatchNorm


def largest_parts(space: Space, num_classes: int) -> Iterator[tuple[str, nn.Module]]:
    """Parts, with their paths, that together have every tensor of every subnet at its largest."""
    largest = _Largest(space)
    yield "backbone.stem", skeletons.stem(largest.of("stem_width"))
    widest = largest.spec()
    for m, (module, plan) in enumerate(zip(widest.modules, widest.fusions, strict=True)):
        yield f"backbone.stages.{m}.fusion", skeletons.fusion(plan)
        for b, branch in enumerate(module.branches):
            at = f"backbone.stages.{m}.branches.{b}"
            for kind in largest.values("patch_embedding", m, b):
                embedding = skeletons.embedding(kind, plan.outgoing[b], branch.width)
                yield f"{at}.patch_embedding", embedding
            yield f"{at}.norm", skeletons.norm(branch.width)
            for j in range(branch.blocks):
                for variant in largest.variants(branch, m, b):
                    yield f"{at}.blocks.{j}", skeletons.block(variant, b)
                if "des" in largest.values("shortcut", m, b):
                    for width in largest.values("width", m, b):
                        if width % des_factor(width) == 0:
                            yield f"{at}.blocks.{j}.shortcut", skeletons.shortcut(width)
    for kind in largest.values("head_kind"):
        yield "head", skeletons.head(kind, widest.out_widths, widest.head_width, num_classes)


def joined_layers(space: Space) -> dict[str, int]:
    """Layers of the heads of a space whose input is several maps side by side, and how many."""
    return {
        f"head.{layer}": count
        for kind in _Largest(space).values("head_kind")
        for layer, count in HEAD_MODULES[kind].joined(space.base.num_branches).items()
    }


class _Largest:
    """The largest values that a space has for the fields of an architecture."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def values(self, name: str, module: int | None = None, branch: int | None = None) -> list[Any]:
        return list(self._space.values_at(Target(name, module, branch)))

    def of(self, name: str, module: int | None = None, branch: int | None = None) -> int:
        return max(self.values(name, module, branch))

    def spec(self) -> ArchSpec:
        """Largest widths and depths; heads and shortcut, which bind widths, are left out."""
        modules = []
        for m, module in enumerate(self._space.base.modules):
            branches = tuple(
                BranchSpec(
                    width=self.of("width", m, b),
                    blocks=self.of("blocks", m, b),
                    expansion_ratio=self.of("expansion_ratio", m, b),
                    strip_width=1,
                    head_dim=1,
                    shortcut="identity",
                )
                for b in range(len(module.branches))
            )
            fusion: Fusion = "dense" if "dense" in self.values("fusion", m) else "sparse"
            modules.append(ModuleSpec(branches=branches, fusion=fusion))
        return ArchSpec(
            stem_width=self.of("stem_width"),
            head_width=self.of("head_width"),
            modules=tuple(modules),
        )

    def variants(self, branch: BranchSpec, m: int, b: int) -> Iterator[BranchSpec]:
        """Blocks that between them have every layer that a block of the branch may have."""
        kinds = self.values("attention", m, b)
        extras = self.values("extra_nonlinearity", m, b)
        feed_forwards = self.values("feed_forward", m, b)
        shared_only = False not in self.values("kv_sharing", m, b)
        parallel = True in self.values("parallel_conv", m, b)
        for i in range(max(len(kinds), len(extras), len(feed_forwards))):
            kind = kinds[i % len(kinds)]
            headed = kind in HEADED_ATTENTIONS
            yield replace(
                branch,
                blocks=1,
                attention=kind,
                strip_width=1 if kind in STRIP_ATTENTIONS else None,
                head_dim=1 if headed else None,
                kv_sharing=shared_only or not headed,
                parallel_conv=parallel or not headed,
                extra_nonlinearity=extras[i % len(extras)],
                feed_forward=feed_forwards[i % len(feed_forwards)],
            )


def first_values(name: str, leaf: nn.Module, tensor_name: str) -> nn.Parameter:
    """A shared tensor as a network of its size would start with it."""
    fresh = deepcopy(leaf).to_empty(device="cpu", recurse=False)
    if isinstance(fresh, (TokenBatchNorm, nn.LayerNorm)):
        fresh.reset_parameters()
    initialise(fresh)
    parameter = cast("nn.Parameter", getattr(fresh, tensor_name))
    if name.endswith(".attention.to_output.norm.weight"):
        nn.init.zeros_(parameter)
    return parameter
