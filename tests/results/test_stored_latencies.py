"""Tables of latencies on disk, and how far predictions agree with measurements."""

import json

import numpy as np
import pytest
import scipy.stats

from hrvit_nas.arch import get_hrvit
from hrvit_nas.cost.latency import Conditions, LatencyError
from hrvit_nas.results.latency_table import (
    LatencyTable,
    Timed,
    TimedNetwork,
    latency_agreement,
    read_latency_table,
    write_latency_table,
)

TIMES = {"median_ms": 2.0, "p10_ms": 1.0, "p90_ms": 3.0, "repeats": 5}
TABLE = LatencyTable(
    space="tiny",
    date="2026-01-01",
    conditions=Conditions(
        device="a slide rule",
        threads=1,
        precision="float32",
        torch_version="0",
        image_size=(64, 96),
        batch_size=1,
        num_classes=5,
    ),
    warmup=1,
    parts={"stem/0/8/": Timed(**TIMES)},
    networks=(TimedNetwork(arch=get_hrvit("hrvit_b1").to_json(), purpose="validation", **TIMES),),
)


def test_a_table_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "latency.json"
    write_latency_table(path, TABLE)
    assert read_latency_table(path) == TABLE
    assert TABLE.of("calibration") == []
    assert TABLE.of("validation") == [(get_hrvit("hrvit_b1"), 2.0)]
    with pytest.raises(LatencyError, match="not complete; go on"):
        TABLE.model  # noqa: B018
    assert TABLE.agreement() is None


def changed(**changes):
    return json.dumps(TABLE.model_dump(mode="json") | changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no latency table: Expecting value"),
        ("[]", "must hold an object, got a list"),
        ("{}", "is no latency table: space"),
        (changed(schema_version=2), r"schema_version: .*got 2"),
        (changed(surplus=1), "surplus"),
        (changed(parts={"stem/0/8/": {**TIMES, "median_ms": -1}}), "median_ms"),
        (changed(sha256="0"), "not that of its checksum"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_table_is_refused_in_a_line(text, message, tmp_path):
    path = tmp_path / "latency.json"
    path.write_text(text)
    with pytest.raises(LatencyError, match=message) as caught:
        read_latency_table(path)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_there_says_what_makes_one(tmp_path):
    with pytest.raises(LatencyError, match="hrvit-latency measure makes one"):
        read_latency_table(tmp_path / "nothing.json")


def test_conditions_that_differ_are_named():
    at = TABLE.conditions
    assert at.differing(at) is None
    assert at.differing(at.model_copy(update={"threads": 2})) == "threads 2, not 1"
    assert at.differing(at.model_copy(update={"image_size": (32, 64)})) == (
        "image_size 32x64, not 64x96"
    )


def test_agreement_is_what_scipy_says_of_it():
    rng = np.random.default_rng(0)
    measured = rng.uniform(10, 30, 50)
    predicted = measured * rng.normal(1, 0.06, 50)
    found = latency_agreement(predicted, measured)
    errors = predicted / measured - 1
    assert found.close.value == np.mean(np.abs(errors) <= 0.1)
    assert found.spearman.value == pytest.approx(scipy.stats.spearmanr(predicted, measured)[0])
    assert found.tau.value == pytest.approx(scipy.stats.kendalltau(predicted, measured)[0])
    for estimate in (found.close, found.spearman, found.tau):
        assert estimate.low < estimate.value < estimate.high
    assert found.largest_error == errors[np.abs(errors).argmax()]
    assert found.typical_error == np.median(np.abs(errors))
    assert "of 50 random architectures within 10%" in found.lines()[0]
    alike = latency_agreement(measured, measured)
    assert (alike.close.value, alike.spearman.value, alike.tau.value) == (1, 1, 1)
    assert alike.largest_error == 0


def test_predictions_of_other_networks_are_refused():
    with pytest.raises(ValueError, match="two equally long rows"):
        latency_agreement([1.0, 2.0], [1.0, 2.0, 3.0])
