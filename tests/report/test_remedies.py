"""Rows of a study of remedies, checked on scores whose noise is known."""

import math

import numpy as np
import pytest

from hrvit_nas.report import (
    ReportError,
    draw_remedies,
    mean_of_last,
    mean_of_seeds,
    remedies_markdown,
    remedy_rows,
)
from hrvit_nas.results import ScoreTable
from hrvit_nas.results.ranking import kendall_tau, seed_tau

NUM = 20
TRUTH = 0.3 + 0.02 * np.random.default_rng(0).standard_normal(NUM)


def table(noise, *, seeds=2, criterion="miou", seed=0, steps=(50, 100)):
    rng = np.random.default_rng(seed)
    return ScoreTable(
        criterion=criterion,
        arch_ids=tuple(f"{n:012x}" for n in range(NUM)),
        seeds=tuple(range(seeds)),
        num_left_out=0,
        macs=np.geomspace(1e7, 1e8, NUM),
        scores={step: TRUTH[:, None] + noise * rng.standard_normal((NUM, seeds)) for step in steps},
        seconds={step: step / 2 for step in steps},
    )


@pytest.fixture
def tables():
    return {
        "plain": table(0.03, seeds=4, seed=1),
        "calm": table(0.004, seed=2),
        "long": table(0.001, seed=3),
    }


def test_a_remedy_that_takes_the_noise_away_gains_and_foretells(tables):
    plain, calm, long = remedy_rows(tables, baseline="plain", target="long")
    assert (plain.name, plain.steps, plain.seconds, plain.num_seeds) == ("plain", 100, 50, 4)
    assert plain.unit == "points"
    assert plain.mean == pytest.approx(30, abs=1)
    assert plain.components.seeds.value == pytest.approx(3, rel=0.3)
    assert plain.gain.value == 0
    assert math.isnan(plain.gain.low)
    assert calm.gain.value == pytest.approx(calm.seed_tau.value - plain.seed_tau.value)
    assert calm.gain.low > 0
    assert calm.target_tau.value > 0.7 > plain.target_tau.value
    assert long.target_tau.value == pytest.approx(long.seed_tau.value)


def test_rows_are_matched_by_architecture_not_by_place(tables):
    order = np.random.default_rng(0).permutation(NUM)
    calm = tables["calm"]
    shuffled = ScoreTable(
        **{
            **vars(calm),
            "arch_ids": tuple(calm.arch_ids[n] for n in order),
            "macs": calm.macs[order],
            "scores": {step: scores[order] for step, scores in calm.scores.items()},
        }
    )
    expected = remedy_rows(tables, baseline="plain", target="long")
    assert remedy_rows(tables | {"calm": shuffled}, baseline="plain", target="long") == expected


def test_a_mean_of_seeds_shares_no_seed_between_its_columns():
    four = table(0.01, seeds=4)
    mean = mean_of_seeds(four, 2)
    scores = four.scores[100]
    np.testing.assert_allclose(
        mean.scores[100], np.column_stack([scores[:, [0, 2]].mean(1), scores[:, [1, 3]].mean(1)])
    )
    assert mean.seconds == {100: 100}
    assert seed_tau(mean.scores[100]).value == pytest.approx(
        kendall_tau(scores[:, [0, 2]].mean(1), scores[:, [1, 3]].mean(1))
    )


def test_a_mean_of_the_last_evaluations_costs_as_much_as_the_last():
    whole = table(0.01)
    mean = mean_of_last(whole, 2)
    np.testing.assert_allclose(mean.scores[100], (whole.scores[50] + whole.scores[100]) / 2)
    assert (mean.last_step, mean.seconds) == (100, {100: 50})


def test_the_table_has_a_row_a_remedy_with_intervals(tables):
    rows = remedy_rows(tables, baseline="plain", target="long")
    heading, _, *lines = remedies_markdown(rows, "long").splitlines()
    assert heading.endswith("| with long |")
    assert len(lines) == 3
    assert f"| {rows[1].seed_tau.describe()} | {rows[1].residual_tau.describe()} |" in lines[1]
    assert {line.count("|") for line in lines} == {heading.count("|")}


def test_the_figure_is_written(tables, tmp_path):
    rows = remedy_rows(tables, baseline="plain", target="long")
    draw_remedies(rows, tmp_path / "a.svg", caption="20 architectures, 2 seeds")
    text = (tmp_path / "a.svg").read_text()
    for words in ("calm (50 s)", "20 architectures, 2 seeds", "the same without MACs"):
        assert words in text


def test_what_cannot_be_compared_is_said(tables):
    with pytest.raises(ReportError, match="no scores of 'more'; there are plain, calm, long"):
        remedy_rows(tables, baseline="plain", target="more")
    other = ScoreTable(
        **{**vars(tables["calm"]), "arch_ids": tuple(f"{n:012x}" for n in range(50, 70))}
    )
    with pytest.raises(ReportError, match="4 architectures that all remedies scored"):
        remedy_rows(tables | {"calm": other}, baseline="plain", target="long")
