"""What the scores of a search decide: findings, by their facts; and their wording."""

import pytest

from hrvit_nas.cli.hints import HINTS
from hrvit_nas.report import frontier_grid, search_verdict
from hrvit_nas.report.render import markdown
from hrvit_nas.report.section import sentences
from hrvit_nas.report.verdict import ROUGH_BELOW
from hrvit_nas.results import Estimate, summarise
from hrvit_nas.search.config_parts import ProxyNoise
from hrvit_nas.search.validity import Validity

A, B, REF = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "dddddddddddd")
MACS = {A: 100_000_000, B: 300_000_000, REF: 200_000_000}


@pytest.fixture
def searched(record):
    return [
        record(arch_id=A, macs=MACS[A], miou=0.30),
        record(arch_id=B, macs=MACS[B], miou=0.40),
        record(arch_id=REF, macs=MACS[REF], miou=0.28, purpose="reference", label="b1 scaled"),
    ]


@pytest.fixture
def confirmed(searched, record):
    """Both architectures and the reference, with the second and third seed."""
    scores = {A: (0.31, 0.33), B: (0.40, 0.42), REF: (0.27, 0.29)}
    return searched + [
        record(arch_id=arch_id, macs=MACS[arch_id], miou=miou, purpose="confirmation", seed=seed)
        for arch_id, pair in scores.items()
        for seed, miou in enumerate(pair, start=1)
    ]


@pytest.fixture
def noise():
    return ProxyNoise(
        run="runs/calibration",
        steps=150,
        num_architectures=10,
        num_seeds=2,
        macs=(10**8, 10**9),
        noise=0.012,
        seed_tau="0.80 [0.60, 0.90]",
        residual_tau="0.70 [0.50, 0.85]",
    )


@pytest.fixture
def validity():
    def tau(value):
        return Estimate(value=value, low=value - 0.1, high=value + 0.1, confidence=0.95)

    return Validity(
        table="scenes",
        space="a_space",
        criterion="cross_entropy",
        step=150,
        steps=600,
        num_architectures=8,
        num_seeds=2,
        tau=tau(0.7),
        ceiling=tau(0.8),
    )


def facts(*arguments, **options):
    return {finding.name: finding.facts for finding in search_verdict(*arguments, **options)}


def test_one_seed_decides_nothing_and_lacks_confirmation(searched):
    said = search_verdict(summarise(searched), 3, None)
    assert [(finding.name, finding.hint) for finding in said] == [
        ("one_seed", "confirm"),
        ("validity_unknown", "measure_validity"),
        ("noise_unknown", "calibrate"),
    ]
    assert said[0].facts == {"seed": 3, "spread_known": False}


def test_architectures_are_counted_by_how_they_fare_beside_a_reference(confirmed):
    said = facts(summarise(confirmed), 0, None)
    assert said["beside_reference"] == {
        "label": "b1 scaled",
        "higher": 2,
        "lower": 0,
        "undecided": 0,
        "cost_gap": 1.0,
        "num_outside": 0,
    }
    assert said["hypervolume_gain"]["verdict"] == "higher"
    outside = facts(summarise(confirmed), 0, None, outside={REF})
    assert outside["beside_reference"]["num_outside"] == 2


def test_what_is_confirmed_in_part_is_told(searched, record):
    again = record(arch_id=B, macs=MACS[B], miou=0.39, purpose="confirmation", seed=1)
    said = facts(summarise([*searched, again]), 0, None)
    assert said["partly_confirmed"] == {"num_confirmed": 1, "num_architectures": 2}
    assert said["one_confirming_seed"] == {"num_architectures": 1}


def test_failed_trials_are_counted(searched, record):
    failed = record(arch_id="ffffffffffff", state="failed")
    assert facts(summarise([*searched, failed]), 0, None)["failed"] == {"num_trials": 1}
    assert "failed" not in facts(summarise(searched), 0, None)


def test_scores_that_scatter_no_more_than_by_noise_tell_nothing(record):
    def said(noise):
        trials = [
            record(arch_id=f"{n:012x}", macs=10 + n, miou=0.3 + 0.01 * n + 0.01 * (n % 2))
            for n in range(8)
        ]
        return {f.name: f for f in search_verdict(summarise(trials, noise=noise), 0, None)}

    told = said(0.02)["no_scatter_beyond_noise"]
    assert told.facts["p_value"] > 0.9
    assert told.hint == "confirm"
    assert "beside what multiply-adds predict" in told.text
    assert "no_scatter_beyond_noise" not in said(0.002)


def test_noise_from_few_degrees_of_freedom_is_rough(searched, noise):
    found = facts(summarise(searched), 0, noise)["noise"]
    assert found["noise"] == noise.noise
    assert found["rough"] == (noise.num_free < ROUGH_BELOW)
    many = noise.model_copy(update={"num_architectures": 40})
    assert not facts(summarise(searched), 0, many)["noise"]["rough"]


def test_the_wording_of_a_search(searched, confirmed, noise, validity, assert_wording):
    lines = []
    for records, options in (
        (searched, {}),
        (confirmed, {"validity": validity, "outside": {REF}}),
    ):
        summary = summarise(records)
        lines += [*markdown(frontier_grid(summary, title="frontier")).splitlines(), ""]
        known = noise if options else None
        lines += [*sentences(search_verdict(summary, 0, known, **options), HINTS), ""]
    assert_wording("search", lines)
