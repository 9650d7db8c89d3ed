"""Searches with a supernet: what is scored, what is trained alone, nothing twice."""

import csv
import shutil
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import pytest
from pydantic import ValidationError

from hrvit_nas._messages import first_fault
from hrvit_nas.execution import ExecutionError
from hrvit_nas.report import frontier_records
from hrvit_nas.report.render import write_csv
from hrvit_nas.results import gather_consistency
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.layout import RunLayout
from hrvit_nas.search.plan import calibration_archs
from hrvit_nas.search.run import continue_run, create_run, open_run
from hrvit_nas.search.selection import best_inherited
from hrvit_nas.search.supernet import CURVE_COLUMNS
from hrvit_nas.training import CheckpointError

SEED, TRIALS, RETRAIN, CHECKED, STEPS = 3, 7, 3, 6, 6


@dataclass
class Watcher:
    """Notes what a run tells."""

    trials: list = field(default_factory=list)
    records: list = field(default_factory=list)
    steps: list = field(default_factory=list)

    def started(self, trial):
        self.trials.append(trial)

    def ended(self, record, summary):
        self.records.append(record)

    def supernet(self, step):
        if step is not None:
            self.steps.append(step)


def finish(run):
    """Continues a run to its end; returns what it told."""
    watcher = Watcher()
    try:
        assert continue_run(run, watcher) == []
    finally:
        run.close()
    return watcher


@pytest.fixture(scope="module")
def supernet_config(make_config):
    def make(**changes):
        values = {"seed": SEED, "trials": TRIALS, "retrain": RETRAIN}
        return make_config("supernet_search", **{**values, **changes})

    return make


@pytest.fixture(scope="module")
def finished(supernet_config, tmp_path_factory):
    """A finished run and what it told; tests that go on copy its directory."""
    run = create_run(
        supernet_config(ranking_check=CHECKED),
        tmp_path_factory.mktemp("supernet-runs") / "finished",
    )
    return run, finish(run)


@pytest.fixture
def copied(finished, tmp_path):
    return Path(shutil.copytree(finished[0].directory, tmp_path / "run"))


def test_stages_come_in_order_and_nothing_is_done_twice(finished):
    run, watcher = finished
    records = run.store.records()
    assert watcher.records == records
    assert [stage for stage, _ in groupby(record.stage for record in records)] == [
        ("search", "inherited"),
        ("search", "trained"),
        ("reference", "trained"),
        ("ranking_check", "inherited"),
        ("ranking_check", "trained"),
    ]
    keys = [trial.key for trial in watcher.trials]
    assert len(set(keys)) == len(keys)
    assert set(keys) == {record.key for record in records}
    assert {record.state for record in records} == {"complete"}
    assert Counter(r.stage for r in records)["search", "inherited"] == TRIALS


def test_the_supernet_is_trained_before_anything_is_scored(finished):
    run, watcher = finished
    assert watcher.steps[-1].done <= watcher.steps[-1].steps == STEPS
    assert (run.layout.supernet).stat().st_size
    assert not (run.layout.training).exists()
    with (run.layout.supernet_curve).open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CURVE_COLUMNS
    assert [int(row["step"]) for row in rows] == list(range(1, STEPS + 1))
    assert all(float(row["largest_loss"]) > 0 for row in rows)
    assert rows[-1]["largest_miou"]


def test_the_best_of_the_scored_are_trained_alone(finished):
    run, _ = finished
    records, config = run.store.records(), run.config
    best = best_inherited(records, config.costs, RETRAIN, config.searched_by)
    trained = {record.spec for record in records if record.stage == ("search", "trained")}
    assert trained == set(best)
    assert 1 <= len(best) <= RETRAIN
    kept = {path.name.split("-s")[0] for path in (run.layout.weights).iterdir()}
    shown = run.summary()
    assert kept == {row.arch_id for row in (*shown.frontier, *shown.references)}


def test_an_inherited_score_says_what_it_comes_from(finished):
    scored = [record for record in finished[0].store.records() if record.evaluator == "inherited"]
    assert {(record.seed, record.steps) for record in scored} == {(SEED, STEPS)}
    assert all(record.uncalibrated_miou is not None for record in scored)
    assert any(record.uncalibrated_miou != record.miou for record in scored)
    assert all(record.history[-1][:2] == (STEPS, record.miou) for record in scored)
    assert all(record.history[-1].cross_entropy > 0 for record in scored)


def test_both_scores_stand_side_by_side(finished, tmp_path):
    run, _ = finished
    records = run.store.records()
    inherited = {r.arch_id: r.miou for r in records if r.evaluator == "inherited"}
    alone = {r.arch_id: r.miou for r in records if r.stage == ("search", "trained")}
    summary = run.summary()
    searched = {row.arch_id: row for row in summary.rows if row.searched}
    assert searched.keys() == alone.keys()
    for arch_id, row in searched.items():
        assert (row.inherited_miou, row.search_miou) == (inherited[arch_id], alone[arch_id])
    assert {row.arch_id for row in summary.frontier} <= alone.keys()
    write_csv(frontier_records(summary), tmp_path / "frontier.csv")
    with (tmp_path / "frontier.csv").open() as file:
        rows = {row["arch_id"]: row for row in csv.DictReader(file)}
    for row in summary.frontier:
        shown = rows[row.arch_id]
        assert float(shown["inherited_miou"]) == inherited[row.arch_id]
        assert float(shown["miou"]) == alone[row.arch_id]


def test_a_ranking_check_has_both_scores_of_architectures_of_all_costs(finished):
    run, _ = finished
    arch_ids = [spec.id for spec in calibration_archs(run.space, run.config, CHECKED)]
    scores = gather_consistency(run.store.records(), arch_ids, (SEED, SEED + 1))
    assert scores.arch_ids == tuple(arch_ids)
    assert scores.ranking_consistency().num_architectures == CHECKED
    assert scores.inherited.keys() == {"miou", "cross_entropy"}


def test_resuming_a_finished_run_does_nothing(copied, finished):
    run = open_run(copied, {}, {})
    before = (RunLayout(copied).supernet).read_bytes()
    watcher = finish(run)
    assert (watcher.trials, watcher.steps) == ([], [])
    assert run.store.records() == finished[0].store.records()
    assert (RunLayout(copied).supernet).read_bytes() == before


def test_a_longer_search_scores_more_and_trains_what_is_best_now(copied, finished):
    before = finished[0].store.records()
    run = open_run(copied, {"trials": TRIALS + 3}, {})
    watcher = finish(run)
    records = run.store.records()
    assert watcher.steps == []
    assert records == before + watcher.records
    assert len({record.key for record in records}) == len(records)
    counts = Counter(record.stage for record in watcher.records)
    assert counts["search", "inherited"] == 3
    assert counts["ranking_check", "trained"] == 0
    best = best_inherited(records, run.config.costs, RETRAIN, run.config.searched_by)
    assert {spec.id for spec in best} <= {r.arch_id for r in records if r.evaluator == "trained"}


def test_a_supernet_that_is_gone_is_trained_again_to_the_same_curve(copied):
    before = (RunLayout(copied).supernet_curve).read_bytes()
    for path in (RunLayout(copied).supernet, RunLayout(copied).supernet_curve):
        path.unlink()
    watcher = finish(open_run(copied, {}, {}))
    assert watcher.trials == []
    assert (RunLayout(copied).supernet).exists()
    assert (RunLayout(copied).supernet_curve).read_bytes() == before


def test_a_training_that_was_stopped_at_its_very_end_is_tidied_up(copied):
    before = (RunLayout(copied).supernet_curve).read_bytes()
    (RunLayout(copied).supernet_curve).unlink()
    (RunLayout(copied).training).mkdir()
    for path in (RunLayout(copied).supernet_training, RunLayout(copied).supernet_steps):
        path.write_bytes(b"left")
    watcher = finish(open_run(copied, {}, {}))
    assert (watcher.trials, watcher.steps) == ([], [])
    assert (RunLayout(copied).supernet_curve).read_bytes() == before
    assert not (RunLayout(copied).training).exists()


def test_another_run_uses_a_trained_supernet(finished, supernet_config, tmp_path):
    first = finished[0]
    given = first.layout.supernet
    run = create_run(supernet_config(trials=3, retrain=1), tmp_path / "run", supernet=given)
    assert (run.layout.supernet).read_bytes() == given.read_bytes()
    watcher = finish(run)
    assert watcher.steps == []
    known = {r.arch_id: r.miou for r in first.store.records() if r.evaluator == "inherited"}
    scores = {r.arch_id: r.miou for r in run.store.records() if r.evaluator == "inherited"}
    assert len(scores) == 3
    assert known.keys() & scores.keys()
    for arch_id in known.keys() & scores.keys():
        assert scores[arch_id] == pytest.approx(known[arch_id])


def test_a_supernet_of_another_space_is_refused(finished, supernet_config, tmp_path):
    config = supernet_config()
    narrow = {**config.narrowing.choices, "width_1": (8,)}
    other = supernet_config(narrowing=config.narrowing.model_copy(update={"choices": narrow}))
    with pytest.raises(CheckpointError, match=r"supernet\.pt"):
        create_run(other, tmp_path / "run", supernet=finished[0].layout.supernet)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"cut off"])
def test_a_supernet_that_cannot_be_read_is_refused(supernet_config, tmp_path, content):
    path = tmp_path / "mine.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((ConfigError, CheckpointError), match=r"mine\.pt"):
        create_run(supernet_config(), tmp_path / "run", supernet=path)
    assert not (tmp_path / "run").exists()


@pytest.mark.ray
@pytest.mark.usefixtures("ray_runtime")
@pytest.mark.parametrize("resources", [{"workers": 4096}, {"cpus_per_trial": 4096}])
def test_a_group_that_no_machine_holds_leaves_nothing_behind(supernet_config, tmp_path, resources):
    run = create_run(supernet_config(resources=resources), tmp_path / "run")
    with pytest.raises(ExecutionError):
        finish(run)
    run.discard_if_unused()
    assert not run.directory.exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ranking_check": 5}, "ranking_check must compare at least 6 subnets, or 0 for none"),
        ({"retrain": 0}, "retrain: Input should be greater than or equal"),
        ({"ranking_check": -1}, "ranking_check: Input should be greater than or equal"),
        ({"architectures": 6}, "architectures: unknown key"),
        ({"supernet": {"steps": 0}}, "supernet.steps: Input should be greater than or equal"),
        ({"supernet": {"stepz": 9}}, "supernet.stepz: unknown key"),
    ],
)
def test_a_fault_of_a_supernet_search_is_one_line(make_config, changes, expected):
    with pytest.raises(ValidationError) as caught:
        make_config("supernet_search", **changes)
    assert first_fault(caught.value).startswith(expected)


def test_the_first_stage_is_that_of_the_strategy(make_config):
    assert make_config().first_stage == ("search", "trained")
    assert make_config("supernet_search").first_stage == ("search", "inherited")
    assert make_config("calibration").first_stage == ("calibration", "trained")
