"""Architectures drawn: what is shown, and that it is legible in every format."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from PIL import Image

from hrvit_nas.arch import get_arch, get_hrvit
from hrvit_nas.report.drawing import (
    difference_data,
    draw_architectures,
    drawing_data,
    drawing_svg,
)

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_every_branch_of_every_module_is_a_cell_and_shares_add_up():
    spec = get_hrvit("hrvit_b1")
    data = drawing_data(spec, "hrvit_b1")
    assert {(cell.column, cell.row) for cell in data.cells} == {(m, b) for m, b, _ in spec.walk()}
    assert (data.num_rows, data.num_columns) == (4, 6)
    # Stem and head take the rest: 3% each.
    assert sum(cell.share for cell in data.cells) == pytest.approx(0.933, abs=0.002)
    assert "stem 3%, head 3%" in data.caption
    deepest = max(data.cells, key=lambda cell: cell.blocks)
    assert deepest.lines == ("128 ch, 6 blocks", "cross 7, exp. 4", f"{deepest.share:.1%}")


def test_what_departs_from_the_published_block_is_written():
    spec = get_hrvit("hrvit_b1")
    branch = replace(spec.modules[0].branches[0], feed_forward="ffn", shortcut="identity")
    changed = replace(
        spec, modules=(replace(spec.modules[0], branches=(branch,)), *spec.modules[1:])
    )
    (cell,) = [c for c in drawing_data(changed, "x").cells if (c.column, c.row) == (0, 0)]
    assert {"plain FFN", "no DES"} <= set(cell.lines)


def test_a_head_other_than_the_published_one_is_named():
    b1 = get_hrvit("hrvit_b1")
    other = replace(b1, head_kind="upernet", head_width=512)
    assert "stem 0%, UperNet head 9" in drawing_data(other, "x").caption
    caption = difference_data(b1, other, ("b1", "other")).caption
    assert "head→UperNet head 256→512 channels" in caption


def test_a_dense_fusion_joins_all_branches_and_a_sparse_one_neighbours():
    spec = get_hrvit("hrvit_b1")
    edges = drawing_data(spec, "dense").edges
    assert sum(column == 5 for column, _, _ in edges) == 16
    sparse = replace(spec, modules=(*spec.modules[:5], replace(spec.modules[5], fusion="sparse")))
    edges = drawing_data(sparse, "sparse").edges
    assert sum(column == 5 for column, _, _ in edges) == 10


def test_a_difference_names_what_changed_and_only_that():
    b1 = get_hrvit("hrvit_b1")
    wider = replace(b1.modules[0].branches[0], width=64)
    other = replace(b1, modules=(replace(b1.modules[0], branches=(wider,)), *b1.modules[1:]))
    data = difference_data(b1, other, ("b1", "wider"))
    changed = [cell for cell in data.cells if cell.changed]
    assert [(c.column, c.row, c.lines[0]) for c in changed] == [(0, 0, "ch 32→64")]
    assert changed[0].lines[-1].startswith("+")
    assert all(cell.lines[0] == "the same" for cell in data.cells if not cell.changed)
    same = difference_data(b1, b1, ("b1", "b1"))
    assert {cell.share for cell in same.cells} == {0.0}


def test_modules_that_one_lacks_are_added_or_removed():
    b1 = get_hrvit("hrvit_b1")
    shorter = replace(b1, modules=b1.modules[:5])
    removed = difference_data(b1, shorter, ("b1", "shorter")).cells
    assert {cell.column for cell in removed if cell.lines[0] == "removed"} == {5}
    added = difference_data(shorter, b1, ("shorter", "b1")).cells
    assert {cell.column for cell in added if cell.lines[0] == "added"} == {5}


@pytest.mark.parametrize("name", ["hrvit_b1", "hrvit_b3", "mit_b0", "cswin_ti"])
def test_an_svg_holds_its_texts_as_text(name):
    found = texts(drawing_svg(drawing_data(get_arch(name), name)))
    assert name in found
    assert any(text.endswith("M parameters") for text in found)
    stages = "stage 4" if name[0] in "mc" else "module 6"
    assert stages in found


@pytest.mark.parametrize("name", ["<b>&amp;</b>", "$x$ \\alpha", "名前 имя", "x" * 500, "a\nb"])
def test_any_name_is_shown_as_text(name):
    title = texts(drawing_svg(drawing_data(get_arch("hrvit_b1"), name)))[-2:]
    shown = " ".join(name.split())
    assert any(text in (shown, shown[:39] + "…") for text in title)


def test_panels_stand_side_by_side(tmp_path):
    b1, b2 = get_hrvit("hrvit_b1"), get_hrvit("hrvit_b2")
    one, three = tmp_path / "one.png", tmp_path / "three.png"
    panels = [drawing_data(b1, "b1"), drawing_data(b2, "b2"), difference_data(b1, b2, ("b1", "b2"))]
    draw_architectures(panels[:1], one)
    draw_architectures(panels, three)
    with Image.open(one) as first, Image.open(three) as all_three:
        assert all_three.width == pytest.approx(3 * first.width, abs=3)
        assert len(first.convert("L").getcolors()) > 10  # shades, in greyscale too
