"""Tables as data, and the renderers that know nothing of what they show."""

import csv
import io
from collections import Counter

import pytest
from rich.console import Console

from hrvit_nas.report.grid import Grid, GridColumn, named
from hrvit_nas.report.render import (
    latex,
    markdown,
    print_csv,
    print_grid,
    print_section,
    rich_table,
)
from hrvit_nas.report.section import Finding, Records, Section
from hrvit_nas.results import Column

HOSTILE = "a|b [red]x[/red] 100% $c_d$ <script>"


def printed(*renderables, width=200):
    out = io.StringIO()
    Console(file=out, width=width).print(*renderables)
    return out.getvalue()


@pytest.mark.parametrize(
    ("column", "heading"),
    [
        (GridColumn(name="steps"), "steps"),
        (GridColumn(name="params", unit="M"), "params M"),
        (GridColumn(name="sd seeds", unit="points"), "sd seeds, points"),
        (GridColumn(name="mIoU", unit="%", detail="[95% interval]"), "mIoU % [95% interval]"),
        (GridColumn(name="in search", detail="(one seed)"), "in search (one seed)"),
        (GridColumn(name=""), ""),
    ],
)
def test_a_heading_says_name_unit_and_detail(column, heading):
    assert column.heading == heading


def test_rows_are_found_by_their_headings():
    columns = [GridColumn(name="arm", align="left"), GridColumn(name="params", unit="M")]
    grid = Grid(title="", columns=columns, rows=[["base", "8.1"], ["des", "8.2"]])
    assert grid.records()[1] == {"arm": "des", "params M": "8.2"}


def test_hostile_text_is_shown_as_text():
    grid = Grid(title=HOSTILE, columns=named("h", "i"), rows=[[HOSTILE, "1"]], notes=[HOSTILE])
    assert HOSTILE in printed(rich_table(grid))
    row = markdown(grid).splitlines()[4]
    assert row == r"| a\|b [red]x[/red] 100% $c_d$ &lt;script> | 1 |"
    table = latex(grid, ["more"])
    shown = r"a|b [red]x[/red] 100\% \$c\_d\$ <script>"
    assert rf"\caption{{{shown}. {shown}. more}}" in table
    assert rf"{shown} & 1 \\" in table


def test_latex_is_a_booktabs_table():
    table = latex(Grid(title="t", columns=named("a", "b"), rows=[["x", "1"], ["y", "2"]]))
    for part in (
        r"\caption{t}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"a & b \\",
        r"y & 2 \\",
        r"\bottomrule",
    ):
        assert part in table


def test_markdown_aligns_columns_and_lists_notes():
    columns = [*named("a", "b"), GridColumn(name="c", align="left")]
    grid = Grid(title="", columns=columns, rows=[["x", "1", "y"]], notes=["first"])
    assert markdown(grid, ["second"]).splitlines() == [
        "| a | b | c |",
        "|---|---:|---|",
        "| x | 1 | y |",
        "",
        "- first",
        "- second",
    ]


def test_a_name_is_not_broken_where_there_is_little_room():
    grid = Grid(
        title="",
        columns=named("architecture", *[f"a long heading {n}" for n in range(6)]),
        rows=[["0123456789ab", *["1.0"] * 6]],
    )
    assert "0123456789ab" in printed(rich_table(grid), width=80)


def test_nothing_of_a_cell_is_lost_where_there_is_little_room():
    cell = "38.13 [30.77, 45.50]"
    grid = Grid(title="", columns=named("a", *"bcdefgh"), rows=[["x", *[cell] * 7]])
    for terminal in (True, False):
        out = io.StringIO()
        print_grid(Console(file=out, width=60, force_terminal=terminal, color_system=None), grid)
        shown = out.getvalue()
        parts = Counter(part for part in shown if part in "[],." or part.isdigit())
        assert parts == Counter(cell.replace(" ", "") * 7)
        assert (max(map(len, shown.splitlines())) <= 60) is terminal, "a file has no width"


def test_rows_that_step_back_are_dim():
    grid = Grid(title="", columns=named("a"), rows=[["x"], ["y"]], dim=frozenset({1}))
    assert [str(row.style) for row in rich_table(grid).rows] == ["", "dim"]


def test_a_section_is_printed_with_what_the_front_end_adds():
    section = Section(
        name="s",
        title="S",
        grids=[Grid(title="t", columns=named("a"), rows=[["x"]], notes=["note [b]"])],
        findings=[
            Finding(name="one", text="one seed", hint="confirm"),
            Finding(name="part", text="a part", facts={"steps": 20}, hint="shorter_schedule"),
            Finding(name="long", text="long " * 40),
        ],
    )
    out = io.StringIO()
    hints = {"shorter_schedule": "ask for {steps}"}
    print_section(Console(file=out, width=60), section, hints)
    *_, note, one, part, long = out.getvalue().splitlines()
    assert (note, one, part) == ("note [b]", "one seed", "a part; ask for 20")
    assert long.rstrip() == ("long " * 40).rstrip()


def test_records_are_printed_with_their_columns():
    columns = {"name": Column("", "of it"), "ms": Column("ms", "time")}
    records = Records(name="r", columns=columns, rows=[{"name": "a,b", "ms": 1.5}, {"name": "c"}])
    out = io.StringIO()
    print_csv(records, out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert rows == [{"name": "a,b", "ms": "1.5"}, {"name": "c", "ms": ""}]
