"""The closing table and frontier.csv."""

import csv
import io

import pytest
from rich.console import Console

from hrvit_nas.arch import ArchSpec, get_arch
from hrvit_nas.report import FRONTIER_COLUMNS, frontier_table, pareto_data, write_frontier_csv
from hrvit_nas.results import HistoryPoint, summarise

A, B, REF = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "dddddddddddd")


@pytest.fixture
def trials(record):
    return [
        record(arch_id=A, macs=100_000_000, params=2_000_000, miou=0.30),
        record(arch_id=B, macs=300_000_000, params=5_000_000, miou=0.20),
        record(arch_id=REF, macs=200_000_000, miou=0.28, purpose="reference", label="[b]b1[/b]"),
    ]


@pytest.fixture
def confirmed(trials, record):
    scores = {A: (0.31, 0.33), REF: (0.27, 0.29)}
    return trials + [
        record(arch_id=arch_id, macs=macs, miou=miou, purpose="confirmation", seed=seed)
        for arch_id, macs in ((A, 100_000_000), (REF, 200_000_000))
        for seed, miou in enumerate(scores[arch_id], start=1)
    ]


def printed(table):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_table_before_confirmation(trials):
    text = printed(frontier_table(summarise(trials), title="frontier [of] x"))
    assert "frontier [of] x" in text
    assert "[b]b1[/b] (dddddddddddd)" in text  # not read as markup
    assert "30.00 (n=1)" in text
    assert "+2.00 (n=1): undecided (reference +100% cost)" in text
    assert "one seed, so the interval is unknown" in text
    assert B not in text  # dominated and unconfirmed


def test_table_after_confirmation(confirmed):
    text = printed(frontier_table(summarise(confirmed)))
    row = next(line for line in text.splitlines() if A in line)
    assert "32.00 [19.29, 44.71] (n=2)" in row
    assert " 30.00 " in row  # its score in the search, beside the mean of the other seeds
    assert "+4.00 [+4.00, +4.00] (n=2): higher" in row
    assert "interval is unknown" not in text


@pytest.mark.parametrize(("macs", "said"), [(96_000_000, "-4% cost"), (100_400_000, "")])
def test_table_says_how_far_the_reference_is_in_cost(record, macs, said):
    member = record(arch_id=A, macs=100_000_000, miou=0.30)
    reference = record(arch_id=REF, macs=macs, miou=0.28, purpose="reference", label="b1 scaled")
    text = printed(frontier_table(summarise([member, reference])))
    row = next(line for line in text.splitlines() if A in line)
    assert row.rstrip("│ ").endswith(f"undecided (reference {said})" if said else "undecided")


def test_table_without_references_or_rows(trials):
    assert "reference" not in printed(frontier_table(summarise(trials[:2])))
    assert frontier_table(summarise([])).row_count == 0


def test_table_shows_latency_where_it_is_the_cost(record):
    text = printed(frontier_table(summarise([record(latency_ms=12.34)], costs=["latency_ms"])))
    assert "latency ms" in text
    assert "12.3" in text


def test_a_search_by_cross_entropy_has_its_frontier_and_shows_it(record):
    """The dearer architecture has the higher mIoU, and the worse cross entropy."""
    cheap, dear = (
        record(
            arch_id=arch_id,
            macs=macs,
            miou=miou,
            history=(HistoryPoint(10, miou, cross_entropy=loss),),
        )
        for arch_id, macs, miou, loss in ((A, 10**8, 0.30, 0.5), (REF, 2 * 10**8, 0.35, 0.7))
    )
    by_miou = summarise([cheap, dear])
    assert [row.arch_id for row in by_miou.frontier] == [A, REF]
    assert "ranked by" not in printed(frontier_table(by_miou))
    by_loss = summarise([cheap, dear], criterion="cross_entropy")
    assert [row.arch_id for row in by_loss.frontier] == [A]
    table = frontier_table(by_loss)
    (column,) = [c for c in table.columns if str(c.header) == "cross entropy, nats: ranked by"]
    assert [str(cell) for cell in column.cells] == ["0.500"]
    data = pareto_data(by_loss, dataset="x")
    assert "frontier by cross entropy" in data.caption
    assert data.y_label == "cross entropy (nats)"
    (panel,) = data.panels
    assert [point.score for point in panel.frontier] == [0.5]
    assert [point.score for point in panel.searched] == [0.5, 0.7]
    assert panel.staircase == ((pytest.approx(0.1), 0.5), (pytest.approx(0.2), 0.5))
    confirming = [
        trial.model_copy(update={"purpose": "confirmation", "seed": 1, "miou": 0.2})
        for trial in (cheap, dear)
    ]
    confirmed = summarise([cheap, dear, *confirming], criterion="cross_entropy")
    data = pareto_data(confirmed)
    assert (data.y_label, data.panels[0].frontier[0].score) == ("mIoU (%)", pytest.approx(20))


def test_a_table_has_a_column_for_each_cost(record):
    trials = [
        record(arch_id=A, macs=10**8, latency_ms=2.0, miou=0.3),
        record(arch_id=B, macs=3 * 10**8, latency_ms=1.5, miou=0.4),
        record(arch_id=REF, macs=10**8, latency_ms=3.0, purpose="reference", label="b1 scaled"),
    ]
    table = frontier_table(summarise(trials, costs=["macs", "latency_ms"]))
    cells = {str(c.header): list(map(str, c.cells)) for c in table.columns}
    assert cells["GMACs"] == ["0.1", "0.1", "0.3"]
    assert cells["latency ms"] == ["2", "3", "1.5"]
    beside = cells["against b1 scaled, nearest in cost"]
    assert beside[0].endswith("(reference +50% latency)")
    assert beside[2].endswith("(reference -67% multiply-adds, +100% latency)")


@pytest.fixture
def with_inherited(trials, record):
    scored = record(arch_id=A, macs=100_000_000, miou=0.90, evaluator="inherited", steps=800)
    other = record(arch_id="ffffffffffff", macs=50_000_000, miou=0.95, evaluator="inherited")
    return [scored, other, *trials]


def test_table_shows_inherited_scores_beside_those_of_training_alone(trials, with_inherited):
    table = frontier_table(summarise(with_inherited))
    text = printed(table)
    headings = [str(column.header) for column in table.columns]
    assert "inherited" in headings
    assert "inherited" not in printed(frontier_table(summarise(trials)))
    cells = dict(zip(headings, [list(column.cells) for column in table.columns], strict=True))
    assert [str(cell) for cell in cells["mIoU %"]] == ["30.00 (n=1)", "28.00 (n=1)"]
    assert [str(cell) for cell in cells["inherited"]] == ["90.00", ""]
    assert "ffffffffffff" not in text


def test_csv_holds_both_scores(with_inherited, tmp_path):
    path = tmp_path / "frontier.csv"
    write_frontier_csv(summarise(with_inherited), path)
    with path.open(newline="", encoding="utf-8") as file:
        scores = {r["arch_id"]: (r["miou"], r["inherited_miou"]) for r in csv.DictReader(file)}
    assert scores == {A: ("0.3", "0.9"), REF: ("0.28", "")}


def test_csv_has_the_documented_columns_and_the_architecture(confirmed, tmp_path):
    path = tmp_path / "frontier.csv"
    write_frontier_csv(summarise(confirmed), path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(FRONTIER_COLUMNS)
    assert [(row["arch_id"], row["role"]) for row in rows] == [(A, "frontier"), (REF, "reference")]
    first = rows[0]
    assert float(first["miou"]) == pytest.approx(0.32)
    assert float(first["search_miou"]) == 0.30
    assert (first["num_seeds"], first["confirmed"], first["macs"]) == ("2", "True", "100000000")
    assert float(first["miou_low"]) == pytest.approx(0.32 - 0.127062, abs=1e-6)
    assert first["latency_ms"] == ""
    assert ArchSpec.from_json(first["arch"]) == get_arch("hrvit_b1")
    assert FRONTIER_COLUMNS["miou"].unit == "fraction"


def test_csv_of_one_seed_leaves_the_interval_empty(trials, tmp_path):
    path = tmp_path / "frontier.csv"
    write_frontier_csv(summarise(trials), path)
    with path.open(newline="", encoding="utf-8") as file:
        assert {(r["miou_low"], r["miou_high"]) for r in csv.DictReader(file)} == {("", "")}


def test_csv_names_the_confirmed_that_fell_behind(confirmed, record, tmp_path):
    fallen = record(arch_id=B, macs=300_000_000, miou=0.1, purpose="confirmation", seed=1)
    path = tmp_path / "frontier.csv"
    write_frontier_csv(summarise([*confirmed, fallen]), path)
    with path.open(newline="", encoding="utf-8") as file:
        roles = {row["arch_id"]: row["role"] for row in csv.DictReader(file)}
    assert roles == {A: "frontier", B: "dominated", REF: "reference"}
