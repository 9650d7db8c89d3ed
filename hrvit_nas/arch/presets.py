"""The published architectures, their baselines, and an allocation brought to another size.

HRViT's widths, block counts, strip widths, ratios and head dims are those of Gu et al. (CVPR 2022),
table of configurations; MiT's those of Xie et al. (NeurIPS 2021), CSWin's those of Dong et al.
(CVPR 2022). Baselines have the head widths of the HRViT that they are published beside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, product
from math import lcm
from typing import Any, TypeVar

from .._messages import close_to
from .pyramid import PyramidSpec, PyramidStage
from .spec import (
    ArchError,
    ArchSpec,
    BranchSpec,
    ModuleSpec,
    des_factor,
    read_json,
    require_mapping,
)

Arch = ArchSpec | PyramidSpec
A = TypeVar("A", ArchSpec, PyramidSpec, ArchSpec | PyramidSpec)

CLOSE = 0.01
"""Share of a target cost within which it counts as met."""
LEEWAY, MOST_MIXTURES = 0.2, 729
"""How far, in logarithm, a part's width may be from proportional, and how many are looked at."""
_STRIP_WIDTHS = (1, 2, 7, 7)
_STEM_WIDTH = 64


def _hrvit(
    *,
    widths: tuple[int, ...],
    blocks: tuple[tuple[int, ...], ...],
    expansion_ratios: tuple[int, ...],
    head_dim: int,
    head_width: int,
) -> ArchSpec:
    modules = tuple(
        ModuleSpec(
            branches=tuple(
                BranchSpec(
                    width=widths[b],
                    blocks=count,
                    strip_width=_STRIP_WIDTHS[b],
                    expansion_ratio=expansion_ratios[b],
                    head_dim=head_dim,
                )
                for b, count in enumerate(counts)
            )
        )
        for counts in blocks
    )
    return ArchSpec(stem_width=_STEM_WIDTH, head_width=head_width, modules=modules)


_PRESETS: dict[str, ArchSpec] = {
    "hrvit_b1": _hrvit(
        widths=(32, 64, 128, 256),
        blocks=((1,), (1, 1), (1, 1, 6), (1, 1, 6), (1, 1, 6, 2), (1, 1, 2, 2)),
        expansion_ratios=(4, 4, 4, 4),
        head_dim=32,
        head_width=256,
    ),
    "hrvit_b2": _hrvit(
        widths=(48, 96, 240, 384),
        blocks=((1,), (1, 1), (1, 1, 6), (1, 1, 6), (1, 1, 6, 2), (1, 1, 6, 2)),
        expansion_ratios=(2, 3, 3, 3),
        head_dim=24,
        head_width=256,
    ),
    "hrvit_b3": _hrvit(
        widths=(64, 128, 256, 512),
        blocks=((1,), (1, 1), (1, 1, 6), (1, 1, 6), (1, 1, 6, 3), (1, 1, 6, 3)),
        expansion_ratios=(2, 2, 2, 2),
        head_dim=32,
        head_width=768,
    ),
}


def _mit(*, widths: tuple[int, ...], blocks: tuple[int, ...], head_width: int) -> PyramidSpec:
    stages = zip(widths, blocks, (1, 2, 5, 8), (8, 4, 2, 1), strict=True)
    return PyramidSpec(
        family="mit",
        stages=tuple(
            PyramidStage(
                width=width,
                blocks=count,
                num_heads=heads,
                expansion_ratio=4,
                reduction_ratio=reduction,
            )
            for width, count, heads, reduction in stages
        ),
        head_width=head_width,
    )


def _cswin(*, width: int, blocks: tuple[int, ...], head_dim: int, head_width: int) -> PyramidSpec:
    return PyramidSpec(
        family="cswin",
        stages=tuple(
            PyramidStage(
                width=width << i,
                blocks=count,
                num_heads=(width << i) // head_dim,
                expansion_ratio=4,
                strip_width=strip,
            )
            for i, (count, strip) in enumerate(zip(blocks, (1, 2, 7, None), strict=True))
        ),
        head_width=head_width,
    )


_EVEN = BranchSpec(
    width=32,
    blocks=2,
    expansion_ratio=4,
    strip_width=7,
    head_dim=32,
    kv_sharing=False,
    extra_nonlinearity=False,
    feed_forward="ffn",
    patch_embedding="convolution",
    shortcut="identity",
)
"""A CSWin block as HRNet would hold it; the parallel convolution stands for CSWin's LePE."""

_WIDE = (64, 128, 320, 512)

_REFERENCES: dict[str, Arch] = {
    # The naive baseline of Gu et al.: HRNet's even allocation, with CSWin blocks for its residual
    # ones. Their configuration is not known here. Ours has b1's modules and widths, with two blocks
    # and strips of 7 tokens on every branch, and 3x3 convolutions where widths change.
    "hrnet_cswin": ArchSpec(
        stem_width=_STEM_WIDTH,
        head_width=256,
        modules=tuple(
            ModuleSpec(branches=tuple(replace(_EVEN, width=32 << b) for b in range(count)))
            for count in (1, 2, 3, 3, 4, 4)
        ),
    ),
    "mit_b0": _mit(widths=(32, 64, 160, 256), blocks=(2, 2, 2, 2), head_width=256),
    "mit_b1": _mit(widths=_WIDE, blocks=(2, 2, 2, 2), head_width=256),
    "mit_b2": _mit(widths=_WIDE, blocks=(3, 4, 6, 3), head_width=768),
    "mit_b3": _mit(widths=_WIDE, blocks=(3, 4, 18, 3), head_width=768),
    "mit_b4": _mit(widths=_WIDE, blocks=(3, 8, 27, 3), head_width=768),
    # CSWin-Ti is the reduction of Gu et al., of unpublished configuration: half of CSWin-T's widths
    # comes to the parameters and multiply-adds that they print.
    "cswin_ti": _cswin(width=32, blocks=(1, 2, 21, 1), head_dim=16, head_width=256),
    "cswin_t": _cswin(width=64, blocks=(1, 2, 21, 1), head_dim=32, head_width=256),
    "cswin_s": _cswin(width=64, blocks=(2, 4, 32, 2), head_dim=32, head_width=768),
}

PRESETS: tuple[str, ...] = tuple(_PRESETS)
"""Names of the published HRViT."""
REFERENCES: tuple[str, ...] = tuple(_REFERENCES)
"""Names of what HRViT is compared with."""


def get_arch(name: str) -> Arch:
    """Returns a preset or a baseline by name.

    Raises:
        ArchError: None has that name.
    """
    known: dict[str, Arch] = {**_PRESETS, **_REFERENCES}
    if name not in known:
        hint = close_to(name, known)
        raise ArchError(f"no architecture is called {name!r}; known: {', '.join(known)}{hint}")
    return known[name]


def get_hrvit(name: str) -> ArchSpec:
    """Returns an architecture of branches by name, such as a space can have as its base.

    Raises:
        ArchError: None has that name, or it is a pyramid.
    """
    spec = get_arch(name)
    if not isinstance(spec, ArchSpec):
        raise ArchError(f"the base must be an HRViT, got {name!r}, a pyramid of stages")
    return spec


def parse_arch(text: str) -> Arch:
    """Rebuilds an architecture of either kind from its canonical JSON.

    Raises:
        ArchError: It is none.
    """
    data = require_mapping("an architecture", read_json(text))
    return PyramidSpec.from_dict(data) if "family" in data else ArchSpec.from_dict(data)


def scale_widths(spec: A, factor: float) -> A:
    """Multiplies every width by a factor, with blocks, ratios, strips and numbers of heads kept.

    Widths are rounded to what heads and the diversity-enhanced shortcut can split.

    Raises:
        ArchError: The factor is not positive.
    """
    if factor <= 0:
        raise ArchError(f"a width factor must be positive, got {factor}")
    head_width = max(1, round(spec.head_width * factor))
    if isinstance(spec, PyramidSpec):
        stages = tuple(_scale_stage(stage, factor) for stage in spec.stages)
        return replace(spec, head_width=head_width, stages=stages)
    modules = tuple(
        replace(module, branches=tuple(_scale_branch(branch, factor) for branch in module.branches))
        for module in spec.modules
    )
    stem_width = max(2, 2 * round(spec.stem_width * factor / 2))
    return replace(spec, head_width=head_width, stem_width=stem_width, modules=modules)


def _scale_stage(stage: PyramidStage, factor: float) -> PyramidStage:
    width = stage.num_heads * max(1, round(stage.width * factor / stage.num_heads))
    return replace(stage, width=width)


def _scale_branch(branch: BranchSpec, factor: float) -> BranchSpec:
    target = branch.width * factor
    groups = branch.width // branch.group_width
    step = lcm(2, groups * max(1, branch.num_heads))
    width = step * max(1, round(target / step))
    if branch.shortcut == "des":
        above = next(w for w in count(width, step) if not w % des_factor(w))
        below = (w for w in range(width - step, 0, -step) if not w % des_factor(w))
        width = min(next(below, above), above, key=lambda w: abs(w - target))
    if width == branch.width:
        return branch
    head_dim = None if branch.head_dim is None else width // groups // branch.num_heads
    return replace(branch, width=width, head_dim=head_dim)


def scale_to_cost(spec: A, cost: Callable[[A], float], target: float, *, steps: int = 193) -> A:
    """Finds the multiple of an allocation's widths that costs a target.

    Widths come in steps, so that few factors fit. About the factor that comes closest, stem, head
    and each branch or stage may therefore round their own way: of what lies within 1% of the target
    the one whose widths are most nearly proportional, else what lies closest.

    Args:
        spec: The allocation to keep.
        cost: Cost of a spec, rising with its widths (for example its multiply-adds).
        target: Cost wanted, in the unit of `cost`.
        steps: Factors tried, evenly spaced in logarithm between 1/16 and 4; with 193, 1 is among
            them.

    Raises:
        ArchError: The target is not positive.
    """
    if target <= 0:
        raise ArchError(f"a target cost must be positive, got {target}")
    factors = [2.0 ** (-4 + 6 * step / (steps - 1)) for step in range(steps)]
    scaled = [scale_widths(spec, factor) for factor in factors]
    gaps = [abs(cost(candidate) / target - 1) for candidate in scaled]
    closest = gaps.index(min(gaps))
    if gaps[closest] <= CLOSE or closest in (0, steps - 1):
        return scaled[closest]
    middle = factors[closest]
    near = sorted((abs(math.log(factor / middle)), number) for number, factor in enumerate(factors))
    donors = [scaled[number] for distance, number in near if distance <= LEEWAY]
    widths = _parts(spec)

    def badness(candidate: A) -> tuple[float, float]:
        own = zip(_parts(candidate), widths, strict=True)
        uneven = sum(math.log(now / (before * middle)) ** 2 for now, before in own)
        return max(abs(cost(candidate) / target - 1), CLOSE), uneven

    return min(_mixtures(donors, _tied(spec)), key=badness)


def _parts(spec: ArchSpec | PyramidSpec) -> tuple[int, ...]:
    """Widths of what may round its own way: head, then stem and branches, or stages."""
    if isinstance(spec, PyramidSpec):
        return (spec.head_width, *spec.out_widths)
    return (spec.head_width, spec.stem_width, *spec.out_widths)


def _tied(spec: ArchSpec | PyramidSpec) -> tuple[int, ...]:
    """For each part the first one that it is to stay as wide as: an even allocation stays even."""
    parts = _parts(spec)
    first = len(parts) - spec.num_branches
    return (*range(first), *(first + parts[first:].index(width) for width in parts[first:]))


def _mixtures(donors: list[A], tied: tuple[int, ...]) -> Iterator[A]:
    """Every way to take each part from one of several scalings of one spec, nearest first."""
    free = sorted(set(tied))
    most = round(MOST_MIXTURES ** (1 / len(free)))
    options: list[list[Any]] = []  # mypy cannot follow which of both kinds A is
    for column in zip(*map(_parts, donors), strict=True):
        firsts: dict[int, A] = {}  # of donors that agree in a part one is enough
        for width, donor in zip(column, donors, strict=True):
            firsts.setdefault(width, donor)
        options.append(list(firsts.values())[:most])
    for choice in product(*(options[part] for part in free)):
        head, *rest = (choice[free.index(part)] for part in tied)
        if isinstance(head, PyramidSpec):
            stages = tuple(donor.stages[i] for i, donor in enumerate(rest))
            yield replace(head, stages=stages)  # type: ignore[misc]
            continue
        stem, *branches = rest
        modules = tuple(
            replace(
                module,
                branches=tuple(
                    branches[b].modules[m].branches[b] for b in range(len(module.branches))
                ),
            )
            for m, module in enumerate(head.modules)
        )
        yield replace(head, stem_width=stem.stem_width, modules=modules)
