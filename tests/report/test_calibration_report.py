"""A calibration as table, CSV and words."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from hrvit_nas.cli.hints import HINTS
from hrvit_nas.report import (
    CALIBRATION_COLUMNS,
    calibration_grid,
    calibration_records,
    calibration_verdict,
    criteria_grid,
)
from hrvit_nas.report.render import markdown, write_csv
from hrvit_nas.report.section import sentences
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


def facts(findings):
    return {finding.name: finding.facts for finding in findings}


def test_table_has_a_row_a_fidelity(make_calibration):
    calibration = make_calibration(0.001)
    grid = calibration_grid(calibration, title="of [x]")
    assert grid.title == "of [x]"
    (row,) = grid.records()
    spreads = calibration.final.components
    assert (row["steps"], row["s/trial"]) == ("80", "12")
    assert row["sd seeds, points"] == spreads.seeds.describe(scale=100)
    assert row["repeatability: tau of two seeds"] == calibration.final.seed_tau.describe()


def test_a_good_proxy_is_recommended_with_its_price(make_calibration):
    calibration = make_calibration(0.001)
    said = calibration_verdict(calibration, 0.7)
    found = facts(said)
    final = calibration.final
    assert list(found) == [
        "compared",
        "recommended",
        "beyond_size",
        "resolution",
        "validity_unknown",
    ]
    assert found["compared"] == {
        "num_architectures": 10,
        "seeds": (0, 1),
        "macs": (10**8, 10**9),
    }
    assert found["recommended"] == {
        "steps": 80,
        "seconds": 12.0,
        "tau": final.seed_tau,
        "sure": final.seed_tau.low >= 0.7,
    }
    assert found["beyond_size"] == {"tau": final.residual_tau, "side": "above"}
    assert found["resolution"]["difference"] == pytest.approx(
        1.96 * 2**0.5 * final.components.seeds.value
    )
    assert said[-1].hint == "measure_long"


def test_the_wording_of_a_calibration(make_calibration, assert_wording):
    lines = []
    for noise, long in ((0.001, 0.0), (0.2, 0.0), (0.0, -1.0), (0.0, 1.0)):
        calibration = make_calibration(noise, long)
        lines += [*markdown(calibration_grid(calibration)).splitlines(), ""]
        lines += [*sentences(calibration_verdict(calibration, 0.7), HINTS), ""]
    assert_wording("calibration", lines)


def test_criteria_stand_beside_what_a_search_ranks_by(make_calibration):
    calm, noisy = make_calibration(0.001), make_calibration(0.05)
    grid = criteria_grid({"miou": noisy, "cross_entropy": calm})
    assert grid.headings == [
        "criterion",
        "repeatability: tau of two seeds",
        "without MACs",
        "with mIoU",
    ]
    miou, loss = grid.rows
    assert miou[:2] == ["mIoU", noisy.final.seed_tau.describe()]
    assert loss[:2] == ["cross entropy", calm.final.seed_tau.describe()]


def test_noise_is_called_noise(make_calibration):
    calibration = make_calibration(0.2)
    found = facts(calibration_verdict(calibration, 0.7))
    assert "recommended" not in found
    final = calibration.final
    assert found["none_recommended"] == {"tau": final.seed_tau, "seeds": final.seeds_for(0.7)}
    assert found["beyond_size"]["side"] == "both"


def test_validity_and_repeatability_stand_apart(make_calibration):
    """Seeds that agree perfectly, and long training that ranks the other way round."""
    calibration = make_calibration(0.0, long=-1.0)
    final = calibration.final
    assert (calibration.long_steps, calibration.num_long) == (600, 10)
    assert final.seed_tau.value == calibration.long_tau.value == 1
    assert final.validity.value == -1
    assert calibration.recommended(0.7) is None
    (row,) = calibration_grid(calibration).records()
    assert row["repeatability: tau of two seeds"] == final.seed_tau.describe()
    assert row["validity: tau with mIoU after 600"] == final.validity.describe()
    found = facts(calibration_verdict(calibration, 0.7))
    assert found["none_recommended"] == {"tau": final.validity, "seeds": None}
    assert found["ceiling"]["tau"] == calibration.long_tau
    assert "validity_unknown" not in found
    good = make_calibration(0.0, long=1.0)
    assert good.recommended(0.7) == good.final
    assert facts(calibration_verdict(good, 0.7))["recommended"]["tau"] == good.final.validity


def test_a_part_of_a_schedule_is_no_recipe(make_calibration):
    calibration = make_calibration(0.001)
    part = replace(calibration.final, steps=20, seconds=3.0)
    both = replace(calibration, fidelities=(part, calibration.final))
    said = calibration_verdict(both, 0.7)
    assert facts(said)["recommended"]["steps"] == 20
    (warning,) = [finding for finding in said if finding.name == "part_of_schedule"]
    assert (warning.facts, warning.hint) == ({"steps": 20}, "shorter_schedule")


@pytest.mark.parametrize(
    ("estimate", "side"),
    [
        (Estimate(value=-0.5, low=-0.8, high=-0.1, confidence=0.95), "below"),
        (Estimate(value=1.0, low=math.nan, high=math.nan, confidence=0.95), "unknown"),
    ],
)
def test_a_residual_tau_is_called_what_it_is(make_calibration, estimate, side):
    calibration = make_calibration(0.001)
    final = replace(calibration.final, residual_tau=estimate)
    found = facts(calibration_verdict(replace(calibration, fidelities=(final,)), 0.7))
    assert found["beyond_size"] == {"tau": estimate, "side": side}


def test_csv_has_the_documented_columns(make_calibration, tmp_path):
    calibration = make_calibration(0.01)
    write_csv(calibration_records([calibration]), tmp_path / "calibration.csv")
    with (tmp_path / "calibration.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == list(CALIBRATION_COLUMNS)
    assert (row["steps"], row["num_architectures"], row["num_seeds"]) == ("80", "10", "2")
    tau = calibration.final.seed_tau
    assert float(row["seed_tau_low"]) == tau.low
    assert float(row["seed_tau"]) == tau.value
    assert float(row["sd_seeds"]) == calibration.final.components.seeds.value
