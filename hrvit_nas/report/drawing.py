"""An architecture drawn: what is shown (tested data) and how (matplotlib, on demand).

Branches are rows and modules columns. A bar is as thick as its branch is wide, is cut into its
blocks, and is as dark as its share of the multiply-adds; words beside it say the same, so that
nothing hangs on colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hrvit_nas.arch import (
    ATTENTION_KINDS,
    HEAD_KINDS,
    Arch,
    ArchSpec,
    BranchSpec,
    PyramidSpec,
    PyramidStage,
)
from hrvit_nas.cost import Cost, estimate_cost

from .figures import BLUE, FAINT, GREY, INK, VERMILION, figure_bytes, one_line, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SWITCHES: dict[str, tuple[object, str]] = {
    "kv_sharing": (True, "no kv sharing"),
    "parallel_conv": (True, "no conv path"),
    "extra_nonlinearity": (True, "no extra nonlin."),
    "feed_forward": ("mix_cfn", "plain FFN"),
    "patch_embedding": ("efficient", "conv embedding"),
    "shortcut": ("des", "no DES"),
}
"""The published choice of a switch, and what to write where it is not taken."""

_LEGENDS = {
    "hrvit": "ch: channels; cross 7: cross-shaped attention, strips of 7 tokens; exp.: expansion"
    " ratio",
    "pyramid": "ch: channels; reduction: side of the square of tokens that becomes one key; strip:"
    " in tokens",
}


@dataclass(frozen=True, kw_only=True)
class DrawnCell:
    """One branch in one module.

    Attributes:
        row: Branch, from 0 (the finest).
        column: Module, from 0.
        width: Channels.
        blocks: Transformer blocks.
        share: Of the multiply-adds, a fraction; of a difference, the change of that share.
        lines: What is written below the bar.
        changed: Whether this cell differs from its counterpart, in a difference.
    """

    row: int
    column: int
    width: int
    blocks: int
    share: float
    lines: tuple[str, ...]
    changed: bool = False


@dataclass(frozen=True, kw_only=True)
class DrawingData:
    """Everything that one panel shows.

    Attributes:
        title: Name, size and cost.
        cells: Branches in modules; in a difference, those of the second architecture and, where it
            lacks one, of the first.
        edges: (column, row of origin, row of destination) of what a module's fusion joins.
        num_rows: Branches.
        num_columns: Modules.
        column_name: What a column is.
        caption: Image size, convention, and what stem and head take.
        difference: Whether shares are changes.
    """

    title: str
    cells: tuple[DrawnCell, ...]
    edges: tuple[tuple[int, int, int], ...]
    num_rows: int
    num_columns: int
    column_name: str
    caption: str
    difference: bool = False


def drawing_data(
    spec: Arch,
    name: str,
    *,
    image_size: tuple[int, int] = (512, 512),
    num_classes: int | None = None,
) -> DrawingData:
    """Turns an architecture into what a drawing shows.

    Args:
        spec: The architecture.
        name: What to call it.
        image_size: Height and width that multiply-adds are counted at.
        num_classes: Classes of the segmentation head; by default 19.
    """
    cost = estimate_cost(spec, image_size, num_classes=num_classes)
    shares = _shares(cost)
    parts = _parts(spec)
    edges = [
        (column, into, out)
        for column, plan in enumerate(spec.fusions if isinstance(spec, ArchSpec) else ())
        if column
        for out, into in plan.edges
    ]
    height, width = image_size
    return DrawingData(
        title=f"{_name(name)}\n{cost.macs / 1e9:.3g} GMACs, {cost.params / 1e6:.3g} M parameters",
        cells=tuple(
            DrawnCell(
                row=row,
                column=column,
                width=part.width,
                blocks=part.blocks,
                share=shares.get((column, row), 0.0),
                lines=_words(part, shares.get((column, row), 0.0)),
            )
            for (column, row), part in parts.items()
        ),
        edges=tuple(edges),
        num_rows=1 + max(row for _, row in parts),
        num_columns=1 + max(column for column, _ in parts),
        column_name="module" if isinstance(spec, ArchSpec) else "stage",
        caption=f"multiply-adds per image at {height}\N{MULTIPLICATION SIGN}{width},"
        f" {cost.num_classes} classes; stem {_part_share(cost, 'stem'):.0%},"
        f" {_head(spec)} {_part_share(cost, 'head'):.0%}\nthickness: square root of the width;"
        " cuts: blocks; shade: share of the multiply-adds\n"
        + _LEGENDS["hrvit" if isinstance(spec, ArchSpec) else "pyramid"],
    )


def difference_data(
    first: ArchSpec,
    second: ArchSpec,
    names: tuple[str, str],
    *,
    image_size: tuple[int, int] = (512, 512),
    num_classes: int | None = None,
) -> DrawingData:
    """What the second architecture has other than the first, cell by cell.

    Args:
        first: The architecture to start from.
        second: The one that is compared with it.
        names: What to call them.
        image_size: Height and width that multiply-adds are counted at.
        num_classes: Classes of the segmentation head; by default 19.
    """
    costs = [estimate_cost(spec, image_size, num_classes=num_classes) for spec in (first, second)]
    shares = [_shares(cost) for cost in costs]
    before, after = _parts(first), _parts(second)
    cells = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        part = new or old
        assert part is not None
        column, row = key
        change = shares[1].get(key, 0.0) - shares[0].get(key, 0.0)
        lines = _changes(old, new)
        cells.append(
            DrawnCell(
                row=row,
                column=column,
                width=part.width,
                blocks=part.blocks,
                share=change,
                lines=(*(lines or ("the same",)), f"{100 * change:+.1f} points"),
                changed=bool(lines),
            )
        )
    ratio = costs[1].macs / costs[0].macs - 1
    params = costs[1].params / costs[0].params - 1
    return DrawingData(
        title=f"{_name(names[1])} less {_name(names[0])}\n{ratio:+.1%} multiply-adds,"
        f" {params:+.1%} parameters",
        cells=tuple(cells),
        edges=(),
        num_rows=1 + max(cell.row for cell in cells),
        num_columns=1 + max(cell.column for cell in cells),
        column_name="module",
        caption=f"points: change of the share of the multiply-adds at {image_size[0]}"
        f"\N{MULTIPLICATION SIGN}{image_size[1]}, {costs[0].num_classes} classes, in points of a"
        " percentage\n"
        "shade: how large it is, blue for more; outlined: changed; stem "
        f"{_changed_word(first.stem_width, second.stem_width)},"
        f" {_changed_word(_head(first), _head(second))}"
        f" {_changed_word(first.head_width, second.head_width)} channels\n"
        f"{_fusion_changes(first, second)}",
        difference=True,
    )


def draw_architectures(panels: Sequence[DrawingData], path: str | Path) -> None:
    """Draws panels side by side.

    Args:
        panels: From `drawing_data` and `difference_data`.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.

    Raises:
        ReportError: The suffix is none of these.
        OSError: The file cannot be written.
    """
    save_figure(lambda figure: _draw(figure, panels), path, _size(panels))


def drawing_svg(data: DrawingData) -> str:
    """One panel as SVG, for a page."""
    return figure_bytes(lambda figure: _draw(figure, [data]), "svg", _size([data])).decode()


def _parts(spec: Arch) -> dict[tuple[int, int], BranchSpec | PyramidStage]:
    """What stands in (column, row)."""
    if isinstance(spec, PyramidSpec):
        return {(number, number): stage for number, stage in enumerate(spec.stages)}
    return {(module, branch): part for module, branch, part in spec.walk()}


def _shares(cost: Cost) -> dict[tuple[int, int], float]:
    sums: dict[tuple[int, int], float] = {}
    for entry in cost.entries:
        key = entry.module - 1, entry.branch - 1
        sums[key] = sums.get(key, 0.0) + entry.macs / cost.macs
    return sums


def _part_share(cost: Cost, part: str) -> float:
    return cost.by("part").get(part, 0) / cost.macs


def _head(spec: Arch) -> str:
    """The head by name, which the published one needs not."""
    return "head" if spec.head_kind == "segformer" else f"{HEAD_KINDS[spec.head_kind].label} head"


def _words(part: BranchSpec | PyramidStage, share: float) -> tuple[str, ...]:
    blocks = f"{part.blocks} block" + ("" if part.blocks == 1 else "s")
    return (f"{part.width} ch, {blocks}", *_detail(part), f"{share:.1%}")


def _detail(part: BranchSpec | PyramidStage) -> tuple[str, ...]:
    if isinstance(part, PyramidStage):
        heads = f"{part.num_heads} head" + ("" if part.num_heads == 1 else "s")
        what = (
            f"{heads}, reduction {part.reduction_ratio}"
            if part.reduction_ratio is not None
            else f"{heads}, "
            + ("whole map" if part.strip_width is None else f"strip {part.strip_width}")
        )
        return (what,)
    kind = ATTENTION_KINDS[part.attention].short_name
    strip = "" if part.strip_width is None else f" {part.strip_width}"
    other = [text for name, (usual, text) in _SWITCHES.items() if getattr(part, name) != usual]
    return (f"{kind}{strip}, exp. {part.expansion_ratio}", *other)


def _changes(
    old: BranchSpec | PyramidStage | None, new: BranchSpec | PyramidStage | None
) -> tuple[str, ...]:
    if old is None:
        return ("added",)
    if new is None:
        return ("removed",)
    named = {"width": "ch", "blocks": "blocks", "strip_width": "strip", "expansion_ratio": "exp."}
    found = [
        f"{label} {_changed_word(getattr(old, name), getattr(new, name))}"
        for name, label in named.items()
        if getattr(old, name) != getattr(new, name)
    ]
    rest = [
        f"{name.replace('_', ' ')} {_changed_word(getattr(old, name), getattr(new, name))}"
        for name in vars(old)
        if name not in named and getattr(old, name) != getattr(new, name)
    ]
    return (*found, *rest)


def _fusion_changes(first: ArchSpec, second: ArchSpec) -> str:
    changed = [
        f"module {number} {_changed_word(old.fusion, new.fusion)}"
        for number, (old, new) in enumerate(zip(first.modules, second.modules, strict=False), 1)
        if old.fusion != new.fusion
    ]
    return f"fusion: {', '.join(changed) or 'the same'}"


def _changed_word(old: object, new: object) -> str:
    return str(new) if old == new else f"{old}\N{RIGHTWARDS ARROW}{new}"


def _name(name: str) -> str:
    return one_line(name, 40)


_CELL_W, _CELL_H = 1.12, 0.86
"""Inches a cell."""
_BAR = 0.86
"""Share of a cell's width that a bar takes."""
_LINE_H = 0.13
_THICKEST = 0.34
_TITLE_H, _HEADER_H, _CAPTION_H, _LABEL_W = 0.42, 0.24, 0.5, 0.62


def _size(panels: Sequence[DrawingData]) -> tuple[float, float]:
    heights = [panel.num_rows * _row_height(panel) for panel in panels]
    height = _TITLE_H + _HEADER_H + max(heights) + _CAPTION_H
    return sum(_panel_width(panel) for panel in panels), height


def _panel_width(panel: DrawingData) -> float:
    # Captions and titles want this much, however few columns there are.
    return max(5.2, panel.num_columns * _CELL_W + _LABEL_W + 0.2)


def _row_height(panel: DrawingData) -> float:
    lines = max(len(cell.lines) for cell in panel.cells)
    return max(_CELL_H, _THICKEST + 0.14 + lines * _LINE_H)


def _draw(figure: Figure, panels: Sequence[DrawingData]) -> None:
    # All sizes are known, so that no layout has to be found, which would take half of the time.
    figure.set_layout_engine("none")
    width, height = figure.get_size_inches()
    widest = max(cell.width for panel in panels for cell in panel.cells)
    left = 0.0
    for panel in panels:
        inner_w, inner_h = _panel_width(panel), panel.num_rows * _row_height(panel) + _HEADER_H
        bottom = height - _TITLE_H - inner_h
        axes = figure.add_axes(
            ((left + 0.08) / width, bottom / height, (inner_w - 0.16) / width, inner_h / height)
        )
        _draw_panel(axes, panel, widest)
        left += inner_w


def _draw_panel(axes: Axes, panel: DrawingData, widest: int) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Rectangle

    height = _row_height(panel)
    at = {(cell.column, cell.row): cell for cell in panel.cells}
    top = {row: -row * height - _THICKEST / 2 - 0.07 for row in range(panel.num_rows)}
    edges = [
        (
            ((column - 1 + (1 + _BAR) / 2) * _CELL_W, top[into]),
            ((column + (1 - _BAR) / 2) * _CELL_W, top[out]),
        )
        for column, into, out in panel.edges
    ]
    axes.add_collection(LineCollection(edges, colors=FAINT, linewidths=0.6, zorder=0))
    cuts = []
    darkest = max(abs(cell.share) for cell in panel.cells) or 1.0
    for (column, number), cell in at.items():
        thick = max(0.05, _THICKEST * (cell.width / widest) ** 0.5)
        left, bottom = (column + (1 - _BAR) / 2) * _CELL_W, top[number] - thick / 2
        axes.add_patch(
            Rectangle(
                (left, bottom),
                _BAR * _CELL_W,
                thick,
                facecolor=_shade(cell, panel, darkest),
                edgecolor=INK if cell.changed or not panel.difference else FAINT,
                linewidth=1.0 if cell.changed else 0.6,
            )
        )
        for cut in range(1, cell.blocks):
            x = left + _BAR * _CELL_W * cut / cell.blocks
            cuts.append(((x, bottom), (x, bottom + thick)))
        axes.text(
            (column + 0.5) * _CELL_W,
            top[number] - _THICKEST / 2 - 0.05,
            "\n".join(cell.lines),
            ha="center",
            va="top",
            fontsize=6.2,
            linespacing=1.15,
            color=INK if cell.changed or not panel.difference else GREY,
            parse_math=False,
        )
    axes.add_collection(LineCollection(cuts, colors=INK, linewidths=0.5))
    for number in range(panel.num_rows):
        label = f"branch {number + 1}\nstride {4 << number}"
        axes.text(-0.06, top[number], label, ha="right", va="center", fontsize=6.5, color=GREY)
    for column in range(panel.num_columns):
        x = (column + 0.5) * _CELL_W
        name = f"{panel.column_name} {column + 1}"
        axes.text(x, 0.06, name, ha="center", va="bottom", fontsize=6.5, color=GREY)
    axes.set_xlim(-_LABEL_W, _panel_width(panel) - 0.16 - _LABEL_W)
    axes.set_ylim(-panel.num_rows * height, _HEADER_H)
    axes.set_title(panel.title, loc="left", fontsize=8, color=INK, parse_math=False)
    axes.set_xlabel(panel.caption, loc="left", fontsize=6.2, color=GREY)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_frame_on(False)


def _shade(cell: DrawnCell, panel: DrawingData, darkest: float) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    color = VERMILION if panel.difference and cell.share < 0 else BLUE
    share = 0.06 + 0.8 * abs(cell.share) / darkest
    return tuple(share * part + (1 - share) for part in to_rgb(color))
