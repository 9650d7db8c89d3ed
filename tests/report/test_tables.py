"""The closing table and frontier.csv."""

import csv

import pytest

from hrvit_nas.arch import ArchSpec, get_arch
from hrvit_nas.report import FRONTIER_COLUMNS, frontier_grid, frontier_records, pareto_data
from hrvit_nas.report.render import write_csv
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


def rows_of(grid):
    return {row["architecture"]: row for row in grid.records()}


AGAINST = "against [b]b1[/b], nearest in cost"


def test_table_before_confirmation(trials):
    grid = frontier_grid(summarise(trials), title="frontier [of] x")
    assert grid.title == "frontier [of] x"
    rows = rows_of(grid)
    assert list(rows) == [A, f"[b]b1[/b] ({REF})"]  # B is dominated and unconfirmed
    assert rows[A] == {
        "architecture": A,
        "GMACs": "0.1",
        "params M": "2",
        "mIoU %": "30.00 (n=1)",
        AGAINST: "+2.00 (n=1): undecided (reference +100% cost)",
    }
    assert len(grid.notes) == 1  # on what n=1 means
    assert grid.dim == {1}


def test_table_after_confirmation(confirmed):
    grid = frontier_grid(summarise(confirmed))
    row = rows_of(grid)[A]
    assert row["mIoU % [95% interval]"] == "32.00 [19.29, 44.71] (n=2)"
    assert row["in search"] == "30.00"  # beside the mean of the other seeds
    assert row[AGAINST].startswith("+4.00 [+4.00, +4.00] (n=2): higher")
    assert grid.notes == []


@pytest.mark.parametrize(
    ("macs", "said"), [(96_000_000, " (reference -4% cost)"), (100_400_000, "")]
)
def test_table_says_how_far_the_reference_is_in_cost(record, macs, said):
    arch = record(arch_id=A, macs=100_000_000, miou=0.30)
    reference = record(arch_id=REF, macs=macs, miou=0.28, purpose="reference", label="b1 scaled")
    row = rows_of(frontier_grid(summarise([arch, reference])))[A]
    assert row["against b1 scaled, nearest in cost"] == f"+2.00 (n=1): undecided{said}"


def test_table_without_references_or_rows(trials):
    headings = frontier_grid(summarise(trials[:2])).headings
    assert headings == ["architecture", "GMACs", "params M", "mIoU %"]
    assert frontier_grid(summarise([])).rows == []


def test_table_shows_latency_where_it_is_the_cost(record):
    (row,) = frontier_grid(summarise([record(latency_ms=12.34)], costs=["latency_ms"])).records()
    assert row["latency ms"] == "12.3"


def test_another_cost_keeps_its_unit_apart_from_its_name(record):
    summary = summarise([record(peak_activation_bytes=3 * 2**20)], costs=["peak_activation_bytes"])
    grid = frontier_grid(summary)
    (column,) = [column for column in grid.columns if column.unit == "MiB"]
    assert column.name == "peak activation memory"
    assert grid.records()[0][column.heading] == "3"


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
    assert not any("ranked by" in heading for heading in frontier_grid(by_miou).headings)
    by_loss = summarise([cheap, dear], criterion="cross_entropy")
    assert [row.arch_id for row in by_loss.frontier] == [A]
    (row,) = frontier_grid(by_loss).records()
    assert row["cross entropy, nats (ranked by)"] == "0.500"
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
    rows = frontier_grid(summarise(trials, costs=["macs", "latency_ms"])).records()
    assert [row["GMACs"] for row in rows] == ["0.1", "0.1", "0.3"]
    assert [row["latency ms"] for row in rows] == ["2", "3", "1.5"]
    beside = [row["against b1 scaled, nearest in cost"] for row in rows]
    assert beside[0].endswith("(reference +50% latency)")
    assert beside[2].endswith("(reference -67% multiply-adds, +100% latency)")


@pytest.fixture
def with_inherited(trials, record):
    scored = record(arch_id=A, macs=100_000_000, miou=0.90, evaluator="inherited", steps=800)
    other = record(arch_id="ffffffffffff", macs=50_000_000, miou=0.95, evaluator="inherited")
    return [scored, other, *trials]


def test_table_shows_inherited_scores_beside_those_of_training_alone(trials, with_inherited):
    assert "inherited" not in frontier_grid(summarise(trials)).headings
    rows = frontier_grid(summarise(with_inherited)).records()
    assert [row["mIoU %"] for row in rows] == ["30.00 (n=1)", "28.00 (n=1)"]
    assert [row["inherited"] for row in rows] == ["90.00", ""]


def test_csv_holds_both_scores(with_inherited, tmp_path):
    path = tmp_path / "frontier.csv"
    write_csv(frontier_records(summarise(with_inherited)), path)
    with path.open(newline="", encoding="utf-8") as file:
        scores = {r["arch_id"]: (r["miou"], r["inherited_miou"]) for r in csv.DictReader(file)}
    assert scores == {A: ("0.3", "0.9"), REF: ("0.28", "")}


def test_csv_has_the_documented_columns_and_the_architecture(confirmed, tmp_path):
    path = tmp_path / "frontier.csv"
    write_csv(frontier_records(summarise(confirmed)), path)
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
    write_csv(frontier_records(summarise(trials)), path)
    with path.open(newline="", encoding="utf-8") as file:
        assert {(r["miou_low"], r["miou_high"]) for r in csv.DictReader(file)} == {("", "")}


def test_csv_names_the_confirmed_that_fell_behind(confirmed, record, tmp_path):
    fallen = record(arch_id=B, macs=300_000_000, miou=0.1, purpose="confirmation", seed=1)
    path = tmp_path / "frontier.csv"
    write_csv(frontier_records(summarise([*confirmed, fallen])), path)
    with path.open(newline="", encoding="utf-8") as file:
        roles = {row["arch_id"]: row["role"] for row in csv.DictReader(file)}
    assert roles == {A: "frontier", B: "dominated", REF: "reference"}
