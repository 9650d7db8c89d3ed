"""The published architectures, and a published allocation brought to another size.

Widths, block counts, strip widths, ratios and head dims are those of Gu et al. (CVPR 2022),
table of configurations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, product
from math import lcm

from .spec import ArchError, ArchSpec, BranchSpec, ModuleSpec, des_factor

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

PRESETS: tuple[str, ...] = tuple(_PRESETS)


def get_arch(name: str) -> ArchSpec:
    """Returns a preset architecture by name.

    Raises:
        ArchError: No preset has that name.
    """
    try:
        return _PRESETS[name]
    except KeyError:
        raise ArchError(
            f"no architecture is called {name!r}; known: {', '.join(PRESETS)}"
        ) from None


def scale_widths(spec: ArchSpec, factor: float) -> ArchSpec:
    """Multiplies every width by a factor, with blocks, ratios, strips and numbers of heads kept.

    Widths are rounded to what heads and the diversity-enhanced shortcut can split.

    Raises:
        ArchError: The factor is not positive.
    """
    if factor <= 0:
        raise ArchError(f"a width factor must be positive, got {factor}")
    modules = tuple(
        replace(module, branches=tuple(_scale_branch(branch, factor) for branch in module.branches))
        for module in spec.modules
    )
    return ArchSpec(
        stem_width=max(2, 2 * round(spec.stem_width * factor / 2)),
        head_width=max(1, round(spec.head_width * factor)),
        modules=modules,
    )


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


def scale_to_cost(
    spec: ArchSpec, cost: Callable[[ArchSpec], float], target: float, *, steps: int = 193
) -> ArchSpec:
    """Finds the multiple of an allocation's widths that costs closest to a target.

    Widths come in steps, so that few factors fit. Between the two factors whose costs enclose
    the target, each of stem, head and branches may therefore round its own way.

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
    factors = (2.0 ** (-4 + 6 * step / (steps - 1)) for step in range(steps))
    scaled = {candidate: cost(candidate) for candidate in (scale_widths(spec, f) for f in factors)}
    below = [candidate for candidate, value in scaled.items() if value <= target]
    above = [candidate for candidate, value in scaled.items() if value >= target]
    if not below or not above:
        return min(scaled, key=lambda candidate: abs(scaled[candidate] - target))
    ends = max(below, key=scaled.__getitem__), min(above, key=scaled.__getitem__)
    return min(_mixtures(*ends), key=lambda candidate: abs(cost(candidate) - target))


def _mixtures(low: ArchSpec, high: ArchSpec) -> Iterator[ArchSpec]:
    """Every way to take the stem, the head and each branch from one of two scaled specs."""
    for stem, head, *donors in product((low, high), repeat=2 + low.num_branches):
        modules = tuple(
            replace(
                module,
                branches=tuple(
                    donors[b].modules[m].branches[b] for b in range(len(module.branches))
                ),
            )
            for m, module in enumerate(low.modules)
        )
        yield ArchSpec(stem_width=stem.stem_width, head_width=head.head_width, modules=modules)
