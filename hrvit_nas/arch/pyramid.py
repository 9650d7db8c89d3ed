"""Baselines of HRViT: pyramids of four stages, one resolution after the other.

`mit` is the encoder of SegFormer (Xie et al., NeurIPS 2021), `cswin` CSWin Transformer (Dong et
al., CVPR 2022). Both take HRViT's segmentation head here, on the maps of their four stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final, get_args

from .heads import HEAD_KINDS, HeadKind
from .spec import (
    SCHEMA_VERSION,
    ArchError,
    Identified,
    canonical,
    construct,
    require_choice,
    require_int,
    require_list,
    require_mapping,
    take_version,
)

Family = Literal["mit", "cswin"]
FAMILIES: tuple[Family, ...] = get_args(Family)
NUM_STAGES = 4
COARSEST_REDUCTION = 8
"""Tokens of a side of the first stage's map of the smallest image, 32x32."""


@dataclass(frozen=True, kw_only=True)
class PyramidStage:
    """One stage: a strided convolution, then transformer blocks at one resolution.

    Attributes:
        width: Channels.
        blocks: Number of transformer blocks, at least 1.
        num_heads: Attention heads, all groups of them together.
        expansion_ratio: Hidden channels of the feed-forward over `width`.
        reduction_ratio: Side of the square of tokens that become one key (`mit`); `None` for
            `cswin`.
        strip_width: Rows or columns of a strip, in tokens (`cswin`); `None` for `mit`, and for a
            `cswin` stage whose heads attend to the whole map.
    """

    width: int
    blocks: int
    num_heads: int
    expansion_ratio: int
    reduction_ratio: int | None = None
    strip_width: int | None = None

    def __post_init__(self) -> None:
        for name in ("width", "blocks", "num_heads", "expansion_ratio"):
            require_int(name, getattr(self, name), 1)
        for name in ("reduction_ratio", "strip_width"):
            if getattr(self, name) is not None:
                require_int(name, getattr(self, name), 1)
        if self.width % self.num_heads:
            raise ArchError(
                f"width must be a multiple of num_heads={self.num_heads}, got {self.width}"
            )


@final
@dataclass(frozen=True, kw_only=True)
class PyramidSpec(Identified):
    """One baseline, complete: a network can be built from this and a number of classes.

    Attributes:
        family: `mit` or `cswin`.
        stages: Four stages, at strides 4, 8, 16 and 32.
        head_width: Channels of the segmentation head.
        head_kind: Segmentation head, one of `HEAD_KINDS`.

    Raises:
        ArchError: A rule is broken; the message names the stage.
    """

    family: Family
    stages: tuple[PyramidStage, ...]
    head_width: int
    head_kind: HeadKind = "segformer"

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        require_choice("family", self.family, FAMILIES)
        require_int("head_width", self.head_width, 1)
        require_choice("head_kind", self.head_kind, tuple(HEAD_KINDS))
        if len(self.stages) != NUM_STAGES:
            raise ArchError(f"a pyramid has {NUM_STAGES} stages, got {len(self.stages)}")
        for number, stage in enumerate(self.stages, start=1):
            self._check(f"stage {number}", stage, COARSEST_REDUCTION >> (number - 1))

    def _check(self, where: str, stage: PyramidStage, side: int) -> None:
        if (stage.reduction_ratio is None) == (self.family == "mit"):
            raise ArchError(
                f"{where}: reduction_ratio is of mit, and of it alone;"
                f" got {stage.reduction_ratio} for {self.family}"
            )
        if stage.reduction_ratio is not None and stage.reduction_ratio > side:
            raise ArchError(
                f"{where}: reduction_ratio must be at most {side}, so that a 32x32 image leaves a"
                f" key, got {stage.reduction_ratio}"
            )
        if stage.strip_width is None:
            return
        if self.family == "mit":
            raise ArchError(
                f"{where}: mit has no strips; leave strip_width unset, got {stage.strip_width}"
            )
        if stage.num_heads % 2 or stage.width % 2:
            raise ArchError(
                f"{where}: half of the heads attend to rows and half to columns, so num_heads must"
                f" be even, got {stage.num_heads}"
            )

    @property
    def num_branches(self) -> int:
        """Maps that the backbone returns."""
        return NUM_STAGES

    @property
    def out_widths(self) -> tuple[int, ...]:
        """Channels of the maps that the backbone returns, finest first."""
        return tuple(stage.width for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain data, with its schema version."""
        return {
            "schema_version": SCHEMA_VERSION,
            **canonical(self),
            "stages": [*map(canonical, self.stages)],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PyramidSpec:
        """Rebuilds a spec from `to_dict`.

        Raises:
            ArchError: The schema is newer than this program, a key is unknown or missing, or
                the architecture breaks a rule.
        """
        data = require_mapping("an architecture", data)
        take_version(data)
        stages = tuple(
            construct(PyramidStage, f"stage {number}", require_mapping(f"stage {number}", stage))
            for number, stage in enumerate(require_list("stages", data.pop("stages", None)), 1)
        )
        return construct(cls, "architecture", {**data, "stages": stages})
