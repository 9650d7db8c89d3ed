"""`hrvit-latency` from measurement to prediction, in small."""

import errno
import json

import pytest

from hrvit_nas.cli import search
from hrvit_nas.cli.latency import main
from hrvit_nas.cost.latency import Calibration, Conditions, Estimator
from hrvit_nas.cost.timed_parts import PART_KINDS
from hrvit_nas.evaluation.part_latency import Timer
from hrvit_nas.results import TrialStore
from hrvit_nas.results.latency_table import (
    Fit,
    LatencyTable,
    read_latency_table,
    write_latency_table,
)

TINY = ("--calibrate", 8, "--validate", 4, "--repeats", 1, "--warmup", 0, "--max-parts", 20)
MEASURE = ("measure", "--output", "latency.json", "--image-size", 32, 32, *TINY)


@pytest.fixture
def latency(run_command):
    """Runs `hrvit-latency` in an empty folder: (status, stdout, stderr)."""
    return lambda *arguments: run_command(main, *arguments)


def test_a_table_is_measured_once_and_predicts(latency, tmp_path, monkeypatch):
    timed = []
    most = 66

    def noted(real):
        def time(timer, items, *arguments):
            timed.extend(items)
            if len(timed) > most:
                raise OSError(errno.ENOSPC, "no space left")
            return real(timer, items, *arguments)

        return time

    for name in ("time_parts", "time_networks"):
        monkeypatch.setattr(Timer, name, noted(getattr(Timer, name)))
    assert latency(*MEASURE)[0] == 2
    kept = read_latency_table(tmp_path / "latency.json")
    assert len(kept.parts) == 64
    assert kept.fit is None
    status, _, err = latency("predict", "latency.json", "--arch", "hrvit_b1")
    assert status == 2
    assert "go on with the same hrvit-latency measure" in err

    timed.clear()
    most = 10_000
    status, out, err = latency(*MEASURE)
    assert status == 0, err
    table = read_latency_table(tmp_path / "latency.json")
    assert table.parts.items() >= kept.parts.items()
    assert len(timed) == len(table.parts) - 64 + 12, "what was measured is not measured again"
    assert len(table.of("calibration")) == 8
    assert len(table.of("validation")) == 4
    assert "measuring heterogeneous_branches (laptop): " in out
    assert "of 4 random architectures within 10% of what was measured" in out
    assert "(Spearman)" in out

    timed.clear()
    assert latency(*MEASURE)[0] == 0
    assert not timed

    (tmp_path / "arch.json").write_text(table.of("validation")[0][0].to_json())
    status, out, _ = latency("predict", "latency.json", "--arch", "hrvit_b1,arch.json")
    assert status == 0
    b1, own = out.splitlines()[-2:]
    assert b1.startswith("hrvit_b1: ")
    assert "% of it by work alone" in b1
    predicted = table.model.predict(table.of("validation")[0][0]).ms
    assert own.startswith(f"arch.json: {predicted:.4g} ms (")

    other = json.loads((tmp_path / "latency.json").read_text())
    status, out, err = latency(*MEASURE, "--threads", 2)
    assert (status, out) == (2, "")
    assert "was measured with threads 1, not 2; write to another file" in err
    assert json.loads((tmp_path / "latency.json").read_text()) == other


COEFFICIENTS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06)
TABLE = LatencyTable(
    space="heterogeneous_branches (laptop)",
    date="2026-01-01",
    conditions=Conditions(
        device="a slide rule",
        threads=1,
        precision="float32",
        torch_version="0",
        image_size=(64, 96),
        batch_size=1,
        num_classes=19,
    ),
    warmup=0,
    fit=Fit(
        estimators=tuple(
            Estimator(kind=kind, coefficients_ms=COEFFICIENTS, num_parts=1) for kind in PART_KINDS
        ),
        calibration=Calibration(
            intercept_ms=1, slopes=dict.fromkeys(PART_KINDS, 1.0), num_networks=8
        ),
    ),
)
"""Of no measured part: all are estimated by their work."""
SEARCH = ("--data", "none", "--executor", "inline", "--latency-table", "latency.json")


@pytest.fixture
def table(tmp_path):
    """A table in the folder that commands run in."""
    path = tmp_path / "latency.json"
    write_latency_table(path, TABLE)
    return path


@pytest.mark.parametrize(
    ("sampler", "trials", "references"), [("ehvi", 8, ""), ("nsga2", 3, "hrvit_b1")]
)
def test_a_search_weighs_and_is_held_to_predicted_latency(
    sampler, trials, references, run_command, table, tmp_path
):
    ceiling = 4.0
    asked = ("--cost", "predicted_latency_ms", "--max-latency", ceiling, "--sampler", sampler)
    size = ("--trials", trials, "--references", references, "--output", "run")
    status, _, err = run_command(search.main, *SEARCH, *asked, *size)
    assert status == 0, err
    table.unlink()  # what it says is in the run
    status, _, err = run_command(search.main, "--resume", "run", "--trials", trials + 1)
    assert status == 0, err
    records = TrialStore(tmp_path / "run").records()
    found = [record for record in records if record.purpose == "search"]
    assert len(found) == trials + 1
    for record in records:
        expected = TABLE.model.predict(record.spec).ms
        assert record.predicted_latency_ms == pytest.approx(expected)
    assert max(record.predicted_latency_ms for record in found) <= ceiling
    scaled = [record for record in records if record.purpose == "reference"]
    assert bool(scaled) == bool(references)
    for reference in scaled:
        gaps = [abs(reference.predicted_latency_ms / r.predicted_latency_ms - 1) for r in found]
        assert min(gaps) <= 0.04, "it stands beside one of the frontier"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--max-latency", 0), "--max-latency must be above 0, got 0"),
        (("--max-latency", 0.5), "found no architecture with predicted_latency_ms at most 0.5"),
        (
            ("--cost", "predicted_latency_ms", "--references", "mit_b0"),
            "references must be HRViTs where they are scaled to a predicted latency, got mit_b0",
        ),
        (
            ("--max-latency", 5, "--recipe", "camvid"),
            "the latency table must be of images of 96x128, got images of 64x96; measure another",
        ),
        (
            ("--cost", "predicted_latency_ms", "--data", "scenes"),
            "the latency table must be of 10 classes, got 19 classes; measure another",
        ),
    ],
)
def test_a_table_that_does_not_fit_a_search_is_refused(arguments, expected, run_command, table):
    status, out, err = run_command(search.main, *SEARCH, *arguments)
    assert (status, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1
