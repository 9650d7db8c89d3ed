"""Multiply-adds, parameters and peak activation bytes of an architecture, in closed form.

Convention: multiply-adds (MACs) of convolutions, linear maps and attention products, both
products in full, as fvcore counts them; norms, activations and resizing are not among them.
Figures are per image. Published figures for HRViT and CSWin ("FLOPs") count about half of the
attention products, so they are a little lower than `published_macs`; those for MiT count them in
full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from ..arch import Arch, ArchSpec, BranchSpec, PyramidSpec
from . import activations, terms
from .attention import Site, attention
from .heads import HeadSite, auxiliary_head, head, head_floats
from .pyramids import pyramid_floats, pyramid_parts
from .terms import Part

CostedTask = Literal["segmentation", "classification", "backbone"]
DEFAULT_CLASSES: dict[str, int] = {"segmentation": 19, "classification": 1000, "backbone": 0}
FLOAT32_BYTES = 4
MIN_IMAGE_SIDE = 32


@dataclass(frozen=True)
class Entry:
    """Work of one operator: where it is, and its `Term`.

    `module` and `branch` count from 1; both are 0 for stem and head.
    """

    module: int
    branch: int
    part: str
    operator: str
    macs: int
    published_macs: int
    params: int


@dataclass(frozen=True)
class Cost:
    """What an architecture costs at one image size, per image.

    Attributes:
        macs: Multiply-adds that our model executes.
        published_macs: Multiply-adds of the published form, to set beside the literature.
        params: Trainable parameters.
        peak_activation_bytes: Most bytes of float32 activations alive at once in an eval-mode
            forward pass, the image included, weights and kernels' scratch memory excluded.
        spec: The architecture.
        image_size: Height and width in pixels.
        task: What the network is for.
        num_classes: Classes of the head.
    """

    macs: int
    published_macs: int
    params: int
    peak_activation_bytes: int
    spec: Arch
    image_size: tuple[int, int]
    task: CostedTask
    num_classes: int

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The breakdown: one entry an operator of each part of each branch of each module."""
        parts = _parts(self.spec, self.image_size, self.task, self.num_classes)
        return tuple(
            Entry(module, branch, t.part, t.operator, *(n * x for x in t[2:]))
            for module, branch, n, part in parts
            for t in part.terms
        )

    def by(self, key: Literal["module", "branch", "part", "operator"]) -> dict[int | str, int]:
        """Executed multiply-adds by one key, without entries that have none."""
        sums: dict[int | str, int] = {}
        for entry in self.entries:
            if entry.macs:
                name = getattr(entry, key)
                sums[name] = sums.get(name, 0) + entry.macs
        return sums


def branch_sizes(image_size: tuple[int, int], num_branches: int) -> list[tuple[int, int]]:
    """Token rows and columns of each branch, finest first (strides 4, 8, 16, 32, rounded up)."""
    return [
        (-(-image_size[0] // stride), -(-image_size[1] // stride))
        for stride in (4 << b for b in range(num_branches))
    ]


def estimate_cost(
    spec: Arch,
    image_size: tuple[int, int] = (512, 512),
    task: CostedTask = "segmentation",
    num_classes: int | None = None,
) -> Cost:
    """Estimates what an architecture costs.

    Args:
        spec: The architecture.
        image_size: Height and width in pixels, each at least 32.
        task: `segmentation` and `classification` include their head, `backbone` none.
        num_classes: Classes of the head; by default 19 for segmentation, 1000 for classification.

    Returns:
        Multiply-adds, parameters and peak activation bytes for one image.

    Raises:
        ValueError: The size, the task or the number of classes is out of range, or a pyramid is to
            classify.
    """
    if task not in get_args(CostedTask):
        raise ValueError(f"task must be one of {', '.join(get_args(CostedTask))}, got {task!r}")
    if task == "classification" and isinstance(spec, PyramidSpec):
        raise ValueError(
            f"classification is of an HRViT alone, got a {spec.family} pyramid; take segmentation"
            " or backbone"
        )
    height, width = image_size
    if min(height, width) < MIN_IMAGE_SIDE:
        raise ValueError(f"image sides must be at least {MIN_IMAGE_SIDE}, got {height}x{width}")
    classes = DEFAULT_CLASSES[task] if num_classes is None else num_classes
    if classes < 1 and task != "backbone":
        raise ValueError(f"num_classes must be at least 1, got {classes}")
    size = (height, width)
    macs = published = params = 0
    for _, _, times, (_, part_macs, part_published, part_params) in _parts(
        spec, size, task, classes
    ):
        macs += times * part_macs
        published += times * part_published
        params += times * part_params
    peak = FLOAT32_BYTES * _peak_floats(spec, size, task, classes)
    return Cost(macs, published, params, peak, spec, size, task, classes)


def estimate_auxiliary(
    spec: Arch, image_size: tuple[int, int] = (512, 512), num_classes: int | None = None
) -> Part:
    """What an auxiliary head adds while an architecture is trained for segmentation.

    Nothing of it is in an `estimate_cost`, which is of the network as it is used.

    Args:
        spec: The architecture.
        image_size: Height and width in pixels.
        num_classes: Classes of the head; by default 19.

    Returns:
        Its parameters, and the multiply-adds of its forward pass for one image.

    Raises:
        ValueError: The architecture has no third map for it to read.
    """
    classes = DEFAULT_CLASSES["segmentation"] if num_classes is None else num_classes
    return auxiliary_head(spec.out_widths, _tokens(spec, image_size), classes)


def _tokens(spec: Arch, image_size: tuple[int, int]) -> tuple[int, ...]:
    return tuple(h * w for h, w in branch_sizes(image_size, spec.num_branches))


def _parts(
    spec: Arch, image_size: tuple[int, int], task: CostedTask, num_classes: int
) -> Iterator[tuple[int, int, int, Part]]:
    """Yields (module, branch, times, part) in the order of execution."""
    tokens = _tokens(spec, image_size)
    if isinstance(spec, PyramidSpec):
        yield from pyramid_parts(spec, branch_sizes(image_size, spec.num_branches))
    else:
        yield from _backbone(spec, image_size, tokens)
    if task == "segmentation":
        yield 0, 0, 1, head(spec.head_kind, _head_site(spec, num_classes, tokens))
    elif task == "classification":
        yield 0, 0, 1, terms.classification_head(spec.out_widths, num_classes, tokens)


def _head_site(spec: Arch, num_classes: int, tokens: tuple[int, ...]) -> HeadSite:
    return HeadSite(spec.out_widths, tokens, spec.head_width, num_classes)


def _backbone(
    spec: ArchSpec, image_size: tuple[int, int], tokens: tuple[int, ...]
) -> Iterator[tuple[int, int, int, Part]]:
    sizes = branch_sizes(image_size, spec.num_branches)
    yield 0, 0, 1, terms.stem(spec.stem_width, *image_size)
    for m, module in enumerate(spec.modules, start=1):
        incoming, outgoing, edges = spec.fusions[m - 1]
        for out, into in edges:
            if out != into:
                path = terms.fusion_path(
                    incoming[into], outgoing[out], out - into, tokens[into], tokens[out]
                )
                yield m, out + 1, 1, path
        for b, branch in enumerate(module.branches):
            for times, part in _stage(branch, b, outgoing[b], *sizes[b]):
                yield m, b + 1, times, part


def _stage(
    branch: BranchSpec, branch_index: int, inputs: int, h: int, w: int
) -> tuple[tuple[int, Part], ...]:
    """Parts of one branch of one module, and how often each is there."""
    c, n, tokens = branch.width, branch.blocks, h * w
    at = Site(c, h, w, branch.strip_width, branch.kv_sharing, branch.parallel_conv, branch_index)
    return (
        (1, terms.patch_embedding(branch.patch_embedding, inputs, c, tokens)),
        (n, attention(branch.attention, at, branch.extra_nonlinearity)),
        (n, terms.shortcut(branch.shortcut, c, tokens)),
        (n, terms.feed_forward(branch.feed_forward, c, branch.hidden_width, tokens)),
    )


def _peak_floats(
    spec: Arch, image_size: tuple[int, int], task: CostedTask, num_classes: int
) -> int:
    tokens = _tokens(spec, image_size)
    pixels = image_size[0] * image_size[1]
    if isinstance(spec, PyramidSpec):
        peak, maps = pyramid_floats(spec, image_size, tokens)
    else:
        peak, maps = activations.backbone_floats(spec, image_size, tokens)
    with_maps = without_maps = 0
    if task == "segmentation":
        at = _head_site(spec, num_classes, tokens)
        with_maps, without_maps = head_floats(spec.head_kind, at, pixels)
    elif task == "classification":
        with_maps = activations.classification_work(terms.CLASSIFIER_WIDTHS, tokens)
    return max(peak, 3 * pixels + maps + with_maps, 3 * pixels + without_maps)
