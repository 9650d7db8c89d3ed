"""Trust as table, CSV, words and figure."""

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from hrvit_nas.report import (
    TRUST_COLUMNS,
    ReportError,
    draw_trust,
    trust_data,
    trust_table,
    trust_verdict,
    write_trust_csv,
)
from hrvit_nas.results import Estimate, trust

NUM = 8
COSTS = np.geomspace(2e8, 1e9, NUM)
_RNG = np.random.default_rng(0)
SCORES = 0.3 + 0.02 * _RNG.standard_normal(NUM)[:, None] + 0.004 * _RNG.standard_normal((NUM, 2))
INHERITED = 0.5 * SCORES.mean(1) + 0.003 * _RNG.standard_normal(NUM)
ARCHES = [f"{n:012x}" for n in range(NUM)]


@pytest.fixture(scope="module")
def found():
    return trust(INHERITED, SCORES, COSTS, seeds=(4, 7))


@pytest.fixture(scope="module")
def constant():
    return trust(np.ones(NUM), SCORES, COSTS, seeds=(4, 7))


def interval(value, low, high):
    return Estimate(value=value, low=low, high=high, confidence=0.95)


def cells(table):
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    return text, [
        [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]
        for line in text.splitlines()
        if line[0] in "┃│"
    ]


def test_table_has_a_column_a_name(found, constant):
    text, rows = cells(trust_table({"mIoU [x]": found, "nothing": constant}, title="of [x]"))
    assert "of [x]" in text
    heading, first, second = zip(*rows, strict=True)
    assert len(heading) == 10
    assert first[:5] == (
        "mIoU [x]",
        found.tau.describe(),
        found.mean_tau.describe(),
        found.rho.describe(),
        found.residual_tau.describe(),
    )
    assert first[5:8] == (
        found.ceiling.describe(),
        found.residual_ceiling.describe(),
        found.size_tau.describe(),
    )
    assert second[1] == second[8] == "undefined"


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
    _, rows = cells(trust_table({"x": changed}))
    assert rows[8][1] == rows[9][1] == words
    assert trust_verdict(changed)[-1].endswith(f"top 5, {words}")


def test_what_is_sure_is_said(found):
    sure = interval(0.5, 0.2, 0.8)
    said = trust_verdict(
        replace(found, tau=sure, residual_tau=sure, size_gain=sure, ceiling_gain=sure)
    )
    head, ranks, beyond, ceiling, above, size, _ = said
    assert head == (
        "8 architectures of 0.2 to 1 GMACs, trained alone with seeds 4, 7 and scored by mIoU;"
        " 95% intervals"
    )
    assert ranks == "inherited scores rank architectures: tau stays above 0: 0.50 [0.20, 0.80]"
    assert beyond.startswith("they rank more than size: without MACs, tau stays above 0")
    assert beyond.endswith("a curve wants 16 architectures")
    assert found.ceiling.describe() in ceiling
    assert above.startswith("inherited scores agree with a seed better than another seed does")
    assert size.startswith("they rank better than MACs alone, which earn")


def test_what_cannot_be_told_is_said(found):
    unsure, weak = interval(0.1, -0.2, 0.4), interval(0.05, -0.3, 0.3)
    said = trust_verdict(
        replace(
            found,
            num_architectures=16,
            tau=unsure,
            residual_tau=unsure,
            ceiling=weak,
            size_gain=unsure,
            ceiling_gain=interval(math.nan, math.nan, math.nan),
        )
    )
    _, ranks, beyond, _, nothing, ceiling, size, _ = said
    assert ranks == (
        "whether inherited scores rank architectures at all cannot be told: the interval of tau"
        " holds 0: 0.10 [-0.20, 0.40]"
    )
    assert beyond == (
        "whether they rank anything but size cannot be told: without MACs, the interval of tau"
        " holds 0: 0.10 [-0.20, 0.40]"
    )
    assert nothing.startswith("whether stand-alone scores rank architectures themselves cannot")
    assert ceiling.endswith("cannot be told: the interval of the difference is unknown")
    assert "cannot be told: the interval of the difference holds 0" in size


def test_the_wrong_way_round_is_said(found):
    below = interval(-0.5, -0.8, -0.2)
    said = trust_verdict(
        replace(found, tau=below, residual_tau=below, size_gain=below, ceiling_gain=below)
    )
    assert "wrong way round: tau stays below 0" in said[1]
    assert "without MACs, tau stays below 0" in said[2]
    assert said[4].startswith("inherited scores fall short of the noise ceiling: -0.50")
    assert said[5].startswith("MACs alone rank better")


def test_scores_that_do_not_differ_end_the_verdict(constant):
    _, last = trust_verdict(constant)
    assert last == "inherited or stand-alone scores do not differ, and rank nothing"


def test_csv_has_the_documented_columns(found, constant, tmp_path):
    write_trust_csv({"mIoU": found, "nothing": constant}, tmp_path / "trust.csv")
    with (tmp_path / "trust.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first) == list(TRUST_COLUMNS)
    assert (first["name"], second["name"], first["criterion"]) == ("mIoU", "nothing", "miou")
    assert (first["num_architectures"], first["num_seeds"]) == ("8", "2")
    assert (int(first["macs_min"]), int(first["macs_max"])) == found.macs
    assert float(first["tau_low"]) == found.tau.low
    assert float(first["size_gain_high"]) == found.size_gain.high
    assert float(first["top_1_regret"]) == found.regret[1].value
    assert float(first["top_5_regret"]) == found.regret[5].value
    assert second["tau"] == second["top_1_regret_high"] == ""
    assert all(column.description for column in TRUST_COLUMNS.values())


def test_figure_shows_every_architecture_in_the_units_of_its_axes(found):
    data = trust_data(found, ARCHES, INHERITED, SCORES, COSTS)
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
    data = trust_data(
        constant, ARCHES, -INHERITED, SCORES, COSTS, inherited_criterion="cross_entropy"
    )
    assert data.x_label == "With inherited weights: negated cross entropy (nats)"
    assert data.points[0].inherited == pytest.approx(-max(INHERITED))
    assert data.caption.endswith("tau undefined")


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_figure_is_written(found, tmp_path, suffix):
    path = tmp_path / f"trust{suffix}"
    draw_trust(trust_data(found, ARCHES, INHERITED, SCORES, COSTS), path)
    assert path.read_bytes()[:4] == {".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix]
    if suffix == ".png":
        with Image.open(path) as image:
            assert image.size == (1050, 930)


def test_architectures_of_one_cost_are_drawn(found, tmp_path):
    data = trust_data(found, ARCHES, INHERITED, SCORES, np.full(NUM, 5e8))
    draw_trust(data, tmp_path / "one.png")
    assert (tmp_path / "one.png").exists()


def test_what_cannot_be_drawn_is_said(found, tmp_path):
    with pytest.raises(ReportError, match=r"needs the 8 architectures and 2 seeds .* \(7,\)"):
        trust_data(found, ARCHES, INHERITED[:7], SCORES, COSTS)
    data = trust_data(found, ARCHES, INHERITED, SCORES, COSTS)
    with pytest.raises(ReportError, match=r"must end in \.png, \.pdf, \.svg; got 'trust\.gif'"):
        draw_trust(data, tmp_path / "trust.gif")
