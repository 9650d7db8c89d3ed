"""Peak activation memory of the eval-mode forward pass, in closed form.

Follows the order in which `hrvit_nas.models` makes and drops tensors: each candidate below is a
moment when much is alive at once, and the peak is the largest of them. Folded weights and the
scratch memory of kernels are left out. Counts are float32 elements of one image.
"""

from __future__ import annotations

from ..arch import ArchSpec, BranchSpec
from .attention import ATTENTION_COSTS, Site


def stage_work(branch: BranchSpec, tokens: int) -> int:
    """Most elements that one branch's stage holds beyond its own input map."""
    maps = branch.width * tokens
    kind, strip = branch.attention, branch.strip_width
    at = Site(branch.width, tokens, 1, strip, branch.kv_sharing, branch.parallel_conv, 0)
    attention = ATTENTION_COSTS[kind].floats(at)
    through_attention = 2 + attention
    through_feed_forward = 4 + branch.expansion_ratio
    first_input = branch.blocks > 1
    return maps * (first_input + max(through_attention, through_feed_forward))


def fusion_work(spec: ArchSpec, module_index: int, tokens: tuple[int, ...]) -> tuple[int, int]:
    """Most elements alive in a fusion beyond its inputs, and those of its outputs."""
    incoming, outgoing, edges = spec.fusions[module_index]
    if len(outgoing) == 1:
        return 0, 0  # identity, with GELU written over the input
    alive = peak = 0
    before = -1
    for out, into in edges:
        result = outgoing[out] * tokens[out]
        if out != into:
            way = (incoming[into] * tokens[out]) if out > into else (outgoing[out] * tokens[into])
            peak = max(peak, alive + way + result)
        if out != before:
            alive += result
            before = out
    return peak, alive


def backbone_floats(
    spec: ArchSpec, image_size: tuple[int, int], tokens: tuple[int, ...]
) -> tuple[int, int]:
    """Most elements alive at once in the backbone, and those of its output maps.

    Args:
        spec: The architecture.
        image_size: Height and width in pixels.
        tokens: Tokens of each branch's map, finest first.
    """
    height, width = image_size
    image = 3 * height * width
    half = -(-height // 2) * -(-width // 2)
    maps = spec.stem_width * tokens[0]
    peak = 2 * image + spec.stem_width // 2 * half + maps
    for m, module in enumerate(spec.modules):
        work, fused = fusion_work(spec, m, tokens)
        alive = image + maps + fused
        peak = max(peak, image + maps + work)
        maps = 0
        for branch, count in zip(module.branches, tokens, strict=False):
            peak = max(peak, alive + maps + stage_work(branch, count))
            maps += branch.width * count
    return peak, maps


def classification_work(outputs: tuple[int, ...], tokens: tuple[int, ...]) -> int:
    """Elements of the classification head beside the backbone's maps.

    A bottleneck holds its last inner map, its result and its shortcut's beside what came from
    the finer branch.
    """
    carried = peak = 0
    for out, count in zip(outputs, tokens, strict=False):
        peak = max(peak, carried + (out // 4 + 2 * out) * count, carried + 3 * out * count)
        carried = out * count
    return peak
