"""Ranking consistency as table, CSV, words and figure."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hrvit_nas.cli.hints import HINTS
from hrvit_nas.report import (
    CONSISTENCY_COLUMNS,
    ReportError,
    consistency_data,
    consistency_grid,
    consistency_records,
    consistency_verdict,
    draw_consistency,
)
from hrvit_nas.report.render import markdown, write_csv
from hrvit_nas.report.section import sentences
from hrvit_nas.results import Estimate, ranking_consistency

NUM = 8
COSTS = np.geomspace(2e8, 1e9, NUM)
_RNG = np.random.default_rng(0)
SCORES = 0.3 + 0.02 * _RNG.standard_normal(NUM)[:, None] + 0.004 * _RNG.standard_normal((NUM, 2))
INHERITED = 0.5 * SCORES.mean(1) + 0.003 * _RNG.standard_normal(NUM)
ARCHES = [f"{n:012x}" for n in range(NUM)]


@pytest.fixture(scope="module")
def found():
    return ranking_consistency(INHERITED, SCORES, COSTS, seeds=(4, 7))


@pytest.fixture(scope="module")
def constant():
    return ranking_consistency(np.ones(NUM), SCORES, COSTS, seeds=(4, 7))


def interval(value, low, high):
    return Estimate(value=value, low=low, high=high, confidence=0.95)


def facts(found):
    return {finding.name: finding.facts for finding in consistency_verdict(found)}


def test_table_has_a_column_a_name(found, constant):
    grid = consistency_grid({"mIoU [x]": found, "nothing": constant}, title="of [x]")
    assert grid.title == "of [x]"
    assert grid.headings == ["ranked by", "mIoU [x]", "nothing"]
    assert [column.align for column in grid.columns] == ["left", "right", "right"]
    first = {row["ranked by"]: row["mIoU [x]"] for row in grid.records()}
    assert len(first) == 9
    assert first["tau"] == found.tau.describe()
    assert first["with mean of seeds"] == found.mean_tau.describe()
    assert first["rho"] == found.rho.describe()
    assert first["tau without MACs"] == found.residual_tau.describe()
    assert first["noise ceiling"] == found.ceiling.describe()
    assert first["ceiling without MACs"] == found.residual_ceiling.describe()
    assert first["tau of MACs alone"] == found.size_tau.describe()
    second = {row["ranked by"]: row["nothing"] for row in grid.records()}
    assert second["tau"] == second["top-1 regret"] == "undefined"


@pytest.mark.parametrize(
    ("criterion", "estimate", "words"),
    [
        ("miou", interval(0.0123, 0.0, 0.02), "1.23 points [0.00, 2.00]"),
        ("miou", interval(0.0, math.nan, math.nan), "0.00 points (interval unknown)"),
        ("cross_entropy", interval(0.25, 0.1, 0.3), "0.25 nats [0.10, 0.30]"),
    ],
)
def test_regret_has_a_unit(found, criterion, estimate, words):
    changed = replace(found, criterion=criterion, regret={1: estimate, 3: estimate, 5: estimate})
    rows = {row["ranked by"]: row["x"] for row in consistency_grid({"x": changed}).records()}
    assert rows["top-1 regret"] == rows["top-3 regret"] == words
    assert facts(changed)["regret"] == {"top_1": estimate, "top_3": estimate, "top_5": estimate}
    assert consistency_verdict(changed)[-1].text.endswith(f"top 5, {words}")


JUDGED = ("tau", "beyond_size", "beside_ceiling", "beside_size")


@pytest.mark.parametrize(
    ("estimate", "side"),
    [
        (interval(0.5, 0.2, 0.8), "above"),
        (interval(-0.5, -0.8, -0.2), "below"),
        (interval(0.1, -0.2, 0.4), "both"),
        (interval(0.1, math.nan, math.nan), "unknown"),
    ],
)
def test_each_interval_is_judged_by_its_side_of_zero(found, estimate, side):
    changed = replace(
        found, tau=estimate, residual_tau=estimate, size_gain=estimate, ceiling_gain=estimate
    )
    said = facts(changed)
    assert {name: said[name] for name in JUDGED} == {
        name: {"estimate": estimate, "side": side} for name in JUDGED
    }


def test_a_ceiling_that_is_not_above_zero_is_told(found):
    weak = replace(found, ceiling=interval(0.05, -0.3, 0.3))
    sure = replace(found, ceiling=interval(0.5, 0.3, 0.7))
    assert "ceiling_unknown" in facts(weak)
    assert "ceiling_unknown" not in facts(sure)
    assert facts(sure)["ceiling"]["tau"] == sure.ceiling


def test_scores_that_do_not_differ_end_the_verdict(constant):
    assert list(facts(constant)) == ["compared", "nothing_ranked"]


def test_the_wording_of_a_ranking_consistency_report(found, assert_wording):
    """Each way that a sentence can go, once."""
    sure, below, unsure = interval(0.5, 0.2, 0.8), interval(-0.5, -0.8, -0.2), interval(0, -0.2, 0)
    unknown, regret = interval(math.nan, math.nan, math.nan), interval(0.01, 0.0, 0.02)
    changed = replace(
        found,
        tau=sure,
        residual_tau=unsure,
        ceiling=interval(0.05, -0.3, 0.3),
        residual_ceiling=sure,
        ceiling_gain=unknown,
        size_gain=below,
        size_tau=sure,
        regret={1: regret, 3: regret, 5: regret},
    )
    grid = consistency_grid({"mIoU": changed}, "against mIoU of training alone")
    lines = [*markdown(grid).splitlines(), "", *sentences(consistency_verdict(changed), HINTS)]
    assert_wording("ranking_consistency", lines)


def test_csv_has_the_documented_columns(found, constant, tmp_path):
    write_csv(
        consistency_records({"mIoU": found, "nothing": constant}),
        tmp_path / "ranking_consistency.csv",
    )
    with (tmp_path / "ranking_consistency.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first) == list(CONSISTENCY_COLUMNS)
    assert (first["name"], second["name"], first["criterion"]) == ("mIoU", "nothing", "miou")
    assert (first["num_architectures"], first["num_seeds"]) == ("8", "2")
    assert (int(first["macs_min"]), int(first["macs_max"])) == found.macs
    assert float(first["tau_low"]) == found.tau.low
    assert float(first["size_gain_high"]) == found.size_gain.high
    assert float(first["top_1_regret"]) == found.regret[1].value
    assert float(first["top_5_regret"]) == found.regret[5].value
    assert second["tau"] == second["top_1_regret_high"] == ""
    assert all(column.description for column in CONSISTENCY_COLUMNS.values())


def test_figure_shows_every_architecture_in_the_units_of_its_axes(found):
    data = consistency_data(found, ARCHES, INHERITED, SCORES, COSTS)
    assert [point.inherited for point in data.points] == pytest.approx(sorted(100 * INHERITED))
    assert {point.arch_id for point in data.points} == set(ARCHES)
    point = next(point for point in data.points if point.arch_id == ARCHES[3])
    assert point.score == pytest.approx(100 * SCORES[3].mean())
    assert (point.low, point.high) == pytest.approx(tuple(sorted(100 * SCORES[3])))
    assert point.gmacs == pytest.approx(COSTS[3] / 1e9)
    assert data.x_label == "With inherited weights: mIoU (%)"
    assert data.y_label == "Trained alone: mIoU (%)"
    assert data.caption == f"8 architectures · 2 seeds · tau {found.tau.describe()} (95%)"


def test_a_negated_cross_entropy_is_called_so(constant):
    data = consistency_data(
        constant, ARCHES, -INHERITED, SCORES, COSTS, inherited_criterion="cross_entropy"
    )
    assert data.x_label == "With inherited weights: negated cross entropy (nats)"
    assert data.points[0].inherited == pytest.approx(-max(INHERITED))
    assert data.caption.endswith("tau undefined")


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_figure_is_written(found, tmp_path, suffix):
    path = tmp_path / f"ranking_consistency{suffix}"
    draw_consistency(consistency_data(found, ARCHES, INHERITED, SCORES, COSTS), path)
    assert path.read_bytes()[:4] == {".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix]
    if suffix == ".png":
        with Image.open(path) as image:
            assert image.size == (1050, 930)


def test_architectures_of_one_cost_are_drawn(found, tmp_path):
    data = consistency_data(found, ARCHES, INHERITED, SCORES, np.full(NUM, 5e8))
    draw_consistency(data, tmp_path / "one.png")
    assert (tmp_path / "one.png").exists()


def test_what_cannot_be_drawn_is_said(found, tmp_path):
    with pytest.raises(ReportError, match=r"needs the 8 architectures and 2 seeds .* \(7,\)"):
        consistency_data(found, ARCHES, INHERITED[:7], SCORES, COSTS)
    data = consistency_data(found, ARCHES, INHERITED, SCORES, COSTS)
    with pytest.raises(
        ReportError, match=r"must end in \.png, \.pdf, \.svg; got 'ranking_consistency\.gif'"
    ):
        draw_consistency(data, tmp_path / "ranking_consistency.gif")
