"""A calibration as table, CSV and words."""

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from hrvit_nas.report import (
    CALIBRATION_COLUMNS,
    calibration_table,
    calibration_verdict,
    criteria_table,
    write_calibration_csv,
)
from hrvit_nas.results import Estimate, HistoryPoint, calibrate


@pytest.fixture
def make_calibration(record):
    """A calibration of ten architectures with so much noise, in fractions of mIoU.

    With `long`, each is trained long as well, and its mIoU is that many times the short one.
    """

    def make(noise, long=0.0):
        rng = np.random.default_rng(3)
        records = []
        for arch in range(10):
            for seed in (0, 1):
                score = 0.2 + 0.01 * (arch * 3 % 10) + noise * rng.standard_normal()
                records.append(
                    record(
                        arch_id=f"{arch:012x}",
                        purpose="calibration",
                        seed=seed,
                        macs=10**8 * (1 + arch),
                        history=(HistoryPoint(80, score, seconds=12.0),),
                    )
                )
                if long:
                    last = HistoryPoint(600, 0.5 + long * score, seconds=90.0)
                    records.append(
                        records[-1].model_copy(update={"budget": 600, "history": (last,)})
                    )
        return calibrate(records)

    return make


def test_table_has_a_row_a_fidelity(make_calibration):
    console = Console(width=200, record=True, file=io.StringIO())
    calibration = make_calibration(0.001)
    console.print(calibration_table(calibration, title="of [x]"))
    text = console.export_text()
    assert "of [x]" in text
    row = next(line for line in text.splitlines() if line.startswith("│"))
    spreads = calibration.final.components
    assert spreads.seeds.describe(scale=100) in row
    assert calibration.final.seed_tau.describe() in row
    assert [cell.strip() for cell in row.split("│")[1:3]] == ["80", "12"]


def test_a_good_proxy_is_recommended_with_its_price(make_calibration):
    said = calibration_verdict(make_calibration(0.001), 0.7)
    head, recommended, beyond_size, apart, unknown = said
    assert head.startswith("10 architectures of 0.1 to 1 GMACs, seeds 0, 1, ranked by mIoU")
    assert recommended.startswith("recommended: 80 steps (12 s a trial)")
    assert "without MACs, tau stays above 0" in beyond_size
    assert "points apart cannot be told apart" in apart
    assert unknown.startswith("two seeds that agree are repeatable, not valid")


def test_criteria_stand_beside_what_a_search_ranks_by(make_calibration):
    console = Console(width=200, record=True, file=io.StringIO())
    calm, noisy = make_calibration(0.001), make_calibration(0.05)
    console.print(criteria_table({"miou": noisy, "cross_entropy": calm}))
    heading, miou, loss = (
        [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]
        for line in console.export_text().splitlines()
        if line[0] in "┃│"
    )
    assert heading == [
        "criterion",
        "repeatability: tau of two seeds",
        "without MACs",
        "with mIoU",
    ]
    assert miou[:2] == ["mIoU", noisy.final.seed_tau.describe()]
    assert loss[:2] == ["cross entropy", calm.final.seed_tau.describe()]


def test_noise_is_called_noise(make_calibration):
    _, none, beyond_size, *_ = calibration_verdict(make_calibration(0.2), 0.7)
    assert none.startswith("no fidelity reaches a tau of 0.7 between two seeds; the last has ")
    assert "seeds would" in none
    assert beyond_size.endswith("the interval of tau holds 0")


def test_validity_and_repeatability_stand_apart(make_calibration):
    """Seeds that agree perfectly, and long training that ranks the other way round."""
    calibration = make_calibration(0.0, long=-1.0)
    final = calibration.final
    assert (calibration.long_steps, calibration.num_long) == (600, 10)
    assert final.seed_tau.value == calibration.long_tau.value == 1
    assert final.validity.value == -1
    assert calibration.recommended(0.7) is None
    console = Console(width=250, record=True, file=io.StringIO())
    console.print(calibration_table(calibration))
    text = console.export_text()
    assert "repeatability: tau of two seeds" in text
    assert "validity: tau with mIoU after 600" in text
    said = calibration_verdict(calibration, 0.7)
    assert sum("a search by these scores finds something else" in line for line in said) == 1
    good = make_calibration(0.0, long=1.0)
    assert good.recommended(0.7) == good.final
    assert (
        "at which mIoU after 600 steps agrees to a tau of 0.7" in calibration_verdict(good, 0.7)[2]
    )


def test_a_part_of_a_schedule_is_no_recipe(make_calibration):
    calibration = make_calibration(0.001)
    part = replace(calibration.final, steps=20, seconds=3.0)
    both = replace(calibration, fidelities=(part, calibration.final))
    recommended, warning = calibration_verdict(both, 0.7)[1:3]
    assert recommended.startswith("recommended: 20 steps (3 s a trial)")
    assert warning.startswith("it is a score on the way: `stop_after: 20`")


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (Estimate(value=-0.5, low=-0.8, high=-0.1, confidence=0.95), "tau is below 0"),
        (Estimate(value=1.0, low=math.nan, high=math.nan, confidence=0.95), "tau is unknown"),
    ],
)
def test_a_residual_tau_is_called_what_it_is(make_calibration, estimate, words):
    calibration = make_calibration(0.001)
    final = replace(calibration.final, residual_tau=estimate)
    said = calibration_verdict(replace(calibration, fidelities=(final,)), 0.7)
    assert sum(line.endswith(words) for line in said) == 1


def test_csv_has_the_documented_columns(make_calibration, tmp_path):
    calibration = make_calibration(0.01)
    write_calibration_csv([calibration], tmp_path / "calibration.csv")
    with (tmp_path / "calibration.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == list(CALIBRATION_COLUMNS)
    assert (row["steps"], row["num_architectures"], row["num_seeds"]) == ("80", "10", "2")
    tau = calibration.final.seed_tau
    assert float(row["seed_tau_low"]) == tau.low
    assert float(row["seed_tau"]) == tau.value
    assert float(row["sd_seeds"]) == calibration.final.components.seeds.value
