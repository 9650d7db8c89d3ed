"""Strategies compared: what counts of a run, the area, Markdown, figure, the script's report."""

import math
import runpy
from pathlib import Path

import pytest
import yaml

from hrvit_nas.report import ReportError

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "analysis" / "strategy_study.py"))
StrategyRun, draw_strategies, strategies_markdown, strategy_differences, strategy_run = (
    SCRIPT[name]
    for name in (
        *("StrategyRun", "draw_strategies", "strategies_markdown", "strategy_differences"),
        "strategy_run",
    )
)
STUDY = yaml.safe_load(SCRIPT["STUDY"].read_text())


def scored(record, purpose, miou, macs, entropy=1.0, **fields):
    history = ((100, miou, None, None, None, entropy, 1.0),)
    return record(purpose=purpose, miou=miou, macs=macs, history=history, **fields)


def run(strategy, seed, miou, entropy=1.0):
    return StrategyRun(
        strategy=strategy,
        seed=seed,
        normalised_hypervolume={"miou": miou, "cross_entropy": entropy},
        num_retrained=3,
        seconds=100.0,
    )


def test_of_trials_the_confirming_scores_count_and_their_area_is_the_mean_over_ceilings(record):
    rows = [
        scored(record, "search", 0.9, 10),
        scored(record, "confirmation", 0.2, 20, entropy=1.5, seed=1),
        scored(record, "confirmation", 0.4, 60, entropy=0.5, seed=1),
        record(purpose="search", state="failed", macs=1),
    ]
    found = strategy_run("trials", 3, rows, corner_macs=100, num_classes=10)
    # Of 100 ceilings the first 20 leave nothing, the next 40 the first and the rest the second.
    assert found.normalised_hypervolume["miou"] == pytest.approx((40 * 0.2 + 40 * 0.4) / 100)
    worst = math.log(10)
    assert found.normalised_hypervolume["cross_entropy"] == pytest.approx(
        (20 * worst + 40 * 1.5 + 20) / 100
    )
    assert (found.seed, found.num_retrained, found.seconds) == (3, 2, 1.5 * 3)


def test_of_a_supernet_what_was_trained_alone_counts(record):
    rows = [
        scored(record, "search", 0.9, 10, evaluator="inherited"),
        scored(record, "search", 0.3, 50),
    ]
    found = strategy_run(
        "supernet", 0, rows, corner_macs=100, num_classes=10, supernet_seconds=40.0
    )
    assert found.normalised_hypervolume["miou"] == pytest.approx(0.15)
    assert found.seconds == 43.0


def test_a_run_without_anything_trained_anew_is_refused(record):
    with pytest.raises(ReportError, match="trials, seed 2: no frontier architecture"):
        strategy_run("trials", 2, [record()], corner_macs=100, num_classes=10)


def test_differences_are_paired_by_seed():
    runs = [run("a", 0, 0.2), run("a", 1, 0.3), run("b", 0, 0.1), run("b", 1, 0.2), run("c", 7, 1)]
    found = strategy_differences(runs, "miou")
    assert list(found) == [("a", "b")]
    assert found["a", "b"].interval.mean == pytest.approx(0.1)
    assert found["a", "b"].verdict == "higher"


def test_markdown_has_a_row_a_strategy_and_says_what_is_undecided():
    text = strategies_markdown([run("a", 0, 0.2), run("a", 1, 0.3), run("b", 0, 0.1)])
    assert "| a | 0, 1 | 100, 100 | 3, 3 | 25.00 [" in text
    assert "| b | 0 | 100 | 3 | 10.00 (n=1) |" in text
    assert "- a less b, points of mIoU: +10.00 (n=1): undecided" in text


def test_the_figure_says_what_it_shows(tmp_path):
    path = tmp_path / "figure.svg"
    draw_strategies([run("a", 0, 0.2), run("a", 1, 0.3)], path, caption="CamVid")
    text = path.read_text()
    assert "mean of 2 seeds, 95% interval" in text
    assert "normalised hypervolume: mIoU (%)" in text
    with pytest.raises(ReportError, match="nothing to draw"):
        draw_strategies([], path, caption="")


@pytest.mark.parametrize("name", STUDY["strategies"])
def test_every_strategy_of_the_study_is_a_search(name, tmp_path):
    config = SCRIPT["configured"](STUDY, STUDY["strategies"][name], 5, tmp_path)
    assert config.seed == 5
    assert config.references == ()
    assert config.recipe.stop_after == STUDY["base"]["stop_after"]
    assert config.kind == ("supernet_search" if name == "supernet" else "search")
