"""Runs, end to end: what lies in the run directory, and that nothing is done twice."""

import csv
import json
import os
import shutil
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState
from PIL import Image
from pyarrow import parquet

from hrvit_nas.arch import ArchSpec
from hrvit_nas.cost import estimate_cost
from hrvit_nas.data import load_data, val_batches
from hrvit_nas.evaluation import evaluate
from hrvit_nas.execution import ExecutionError, Resources
from hrvit_nas.models import build_segmentor
from hrvit_nas.report import frontier_records
from hrvit_nas.report.render import write_csv
from hrvit_nas.results import SCHEMA, StoreError, TrialStore, pareto_front, summarise
from hrvit_nas.search.config import SearchConfig
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.layout import RunLayout
from hrvit_nas.search.plan import calibration_archs
from hrvit_nas.search.run import continue_run, create_run, open_run
from hrvit_nas.search.selection import objective_values
from hrvit_nas.search.stored import read_config
from hrvit_nas.training import load_trained


@dataclass
class Watcher:
    """Notes what a run tells."""

    trials: list = field(default_factory=list)
    records: list = field(default_factory=list)

    def started(self, trial):
        self.trials.append(trial)

    def ended(self, record, summary):
        if summary is not None and record.miou is not None and record.purpose != "rung":
            assert record.arch_id in {row.arch_id for row in summary.rows}
        self.records.append(record)


def finish(run, watcher=None):
    """Continues a run to its end; returns its records and notes."""
    try:
        notes = continue_run(run, watcher or Watcher())
    finally:
        run.close()
    return run.store.records(), notes


def weights(directory):
    return sorted(path.name for path in RunLayout(directory).weights.glob("*"))


@pytest.fixture(scope="module")
def finished(make_config, tmp_path_factory):
    """Directory, configuration and records of a finished run; tests that go on copy it."""
    directory = tmp_path_factory.mktemp("runs") / "finished"
    config = make_config(trials=5, sampler="random", seed=3)
    run = create_run(config, directory)
    watcher = Watcher()
    records, notes = finish(run, watcher)
    assert notes == []
    assert {trial.key for trial in watcher.trials} == {record.key for record in watcher.records}
    assert watcher.records == records
    return directory, run.config, records


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run's directory, to go on with."""
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


def test_a_run_trains_what_was_asked_and_nothing_twice(finished):
    _, config, records = finished
    counts = Counter(record.purpose for record in records)
    assert counts["search"] == 5
    assert 1 <= counts["reference"] <= 5
    assert len({record.key for record in records}) == len(records)
    assert {record.seed for record in records} == {3}
    assert {record.state for record in records} == {"complete"}
    space = config.load_space()
    assert all(space.contains(record.spec) for record in records if record.purpose == "search")
    assert all(record.steps == 1 and record.seconds > 0 for record in records)
    assert all(record.history[-1][:3] == (1, record.miou, None) for record in records)
    assert all(0 < record.history[-1].cross_entropy < 10 for record in records)
    host = os.uname().nodename
    assert {record.worker.split("/")[0] for record in records} == {host}


def test_the_directory_says_what_was_done_and_where(finished):
    directory, config, _ = finished
    content = json.loads((directory / "config.json").read_text())
    settled = config.with_num_classes(10)
    assert content["config"] == settled.model_dump(mode="json", exclude={"as_started"})
    assert content["image_size"] == list(config.image_size)
    assert content["space"]["name"] == "heterogeneous_branches"
    assert {record["gene"] for record in content["space"]["narrowing"]} == set(
        config.narrowing.choices
    )
    (sitting,) = json.loads((directory / "provenance.json").read_text())
    assert sitting["seeds"] == [3]
    assert sitting["versions"]["torch"] == torch.__version__
    assert {"git", "machine", "device", "command", "started_at"} <= set(sitting)
    assert not (RunLayout(directory).training).exists()


def test_costs_are_those_of_the_data_sets_network(finished):
    _, config, records = finished
    for record in records:
        cost = estimate_cost(record.spec, config.image_size, num_classes=10)
        assert (record.macs, record.params) == (cost.macs, cost.params)


def test_the_table_holds_every_trial_with_units(finished):
    directory, _, records = finished
    table = parquet.read_table(directory / "trials.parquet")
    assert table.column_names == list(SCHEMA)
    assert table.column("arch_id").to_pylist() == [record.arch_id for record in records]
    assert table.column("miou").to_pylist() == [record.miou for record in records]
    for field_ in table.schema:
        assert field_.metadata[b"unit"].decode() == SCHEMA[field_.name].unit


def test_the_study_holds_the_search(finished):
    directory, config, records = finished
    study = optuna.load_study(study_name=config.study, storage=f"sqlite:///{directory}/study.db")
    told = {
        trial.user_attrs["arch_id"]: tuple(trial.values)
        for trial in study.get_trials(states=(TrialState.COMPLETE,))
    }
    assert told == {
        record.arch_id: objective_values(record, ("macs",))
        for record in records
        if record.purpose == "search"
    }


def test_checkpoints_are_those_of_the_frontier_and_the_references(finished):
    directory, config, records = finished
    with TrialStore(directory) as store:
        run_summary = create_summary(store, config)
    kept = {row.arch_id for row in (*run_summary.frontier, *run_summary.references)}
    assert weights(directory) == sorted(f"{arch_id}-s3-1.pt" for arch_id in kept)
    assert len(kept) < len(records), "the run was made so that something is dominated"


def create_summary(store, config):
    from hrvit_nas.results import summarise

    return summarise(store.records(), costs=config.costs)


def test_a_checkpoint_scores_again_what_was_recorded(finished):
    directory, config, records = finished
    data = load_data(config.data)
    scores = {record.arch_id: record.miou for record in records}
    for name in weights(directory):
        content = torch.load(RunLayout(directory).weights / name, weights_only=True)
        spec = ArchSpec.from_json(content["arch"])
        assert name == f"{spec.id}-s{content['seed']}-1.pt"
        assert content["class_names"] == list(data.class_names)
        model = build_segmentor(spec, data.num_classes)
        model.load_state_dict(content["model"])
        batches = val_batches(data.val, batch_size=4)
        again = evaluate(
            model, batches, num_classes=10, ignore_index=data.ignore_index, device="cpu"
        )
        assert again.miou == pytest.approx(scores[spec.id], abs=1e-3)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_runtime")
def test_scores_do_not_depend_on_the_executor(finished, tmp_path):
    _, config, records = finished
    on_ray = config.model_copy(update={"resources": Resources()})
    beside_each_other, _ = finish(create_run(on_ray, tmp_path / "run"))

    def scores(rows):
        return {record.key: record.miou for record in rows}

    assert scores(beside_each_other) == scores(records)
    assert len({record.worker for record in (*beside_each_other, *records)}) > 1


@pytest.mark.ray
@pytest.mark.usefixtures("ray_runtime")
def test_a_search_by_halving_scores_the_same_on_other_workers(make_config, tmp_path):
    halving = {"scheduler": {"grace_period": 1, "reduction_factor": 2}, "references": []}
    recipe = {"steps": 4, "batch_size": 2, "warmup_steps": 0, "augment": {"crop_size": [32, 48]}}
    config = make_config(**halving, recipe={**recipe, "stop_after": 2}, trials=4)
    here, _ = finish(create_run(config, tmp_path / "here"))
    on_ray = config.model_copy(update={"resources": Resources()})
    there, _ = finish(create_run(on_ray, tmp_path / "there"))
    # Which go on hangs on which ended first; of each that did, the score does not.
    scores = [{record.key: record.miou for record in rows} for rows in (here, there)]
    shared = scores[0].keys() & scores[1].keys()
    assert {key.budget for key in shared} == {1, 2}
    assert [scores[0][key] for key in shared] == [scores[1][key] for key in shared]


def test_resuming_a_finished_run_trains_nothing(copied, finished):
    watcher = Watcher()
    records, _ = finish(open_run(copied, {}, {}), watcher)
    assert watcher.trials == []
    assert records == finished[2]
    assert len(json.loads((copied / "provenance.json").read_text())) == 2


def test_a_finished_run_is_extended_and_confirmed(copied, finished):
    _, _, before = finished
    records, _ = finish(open_run(copied, {"trials": 7, "confirm": 2}, {"workers": 1}))
    assert records[: len(before)] == before
    assert len({record.key for record in records}) == len(records)
    assert Counter(record.purpose for record in records)["search"] == 7

    run = open_run(copied, {}, {})
    summary = run.summary()
    run.close()
    assert run.config.trials == 7
    assert run.config.resources.workers == 1
    searched = create_summary_of_search(records)
    confirmed = {row.arch_id for row in summary.rows if row.confirmed}
    assert {row.arch_id for row in searched} <= confirmed
    for row in summary.rows:
        if row.confirmed:
            assert set(row.scores) == {4, 5}
            assert row.interval.known
    assert summary.confirmed
    # Whatever the table shows can be loaded, whichever way the confirming seeds went.
    shown = {row.arch_id for row in summary.rows if row.confirmed or row.reference}
    assert {name.split("-s")[0] for name in weights(copied)} == shown
    assert {f"{row.arch_id}-s{seed}-1.pt" for row in summary.frontier for seed in (3, 4, 5)} <= set(
        weights(copied)
    )
    write_csv(frontier_records(summary), copied / "frontier.csv")
    rows = list(csv.DictReader((copied / "frontier.csv").open()))
    assert {row["num_seeds"] for row in rows if row["confirmed"] == "True"} == {"2"}


def create_summary_of_search(records):
    from hrvit_nas.results import summarise

    return summarise(record for record in records if record.purpose == "search").frontier


def test_a_run_that_lost_its_last_outcome_does_not_train_it_again(copied, finished):
    # The weights were written, but the driver ended before the record was, and so before the table.
    _, _, records = finished
    (copied / "trials.parquet").unlink()
    journal = copied / "trials.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))
    lost = records[-1]
    again, _ = finish(open_run(copied, {}, {}))
    assert [record.key for record in again] == [record.key for record in records]
    assert again[-1].miou == lost.miou


def test_training_that_diverges_is_recorded_and_the_run_goes_on(make_config, tmp_path):
    recipe = {**make_config().recipe.model_dump(), "steps": 3, "learning_rate": 1e30}
    config = make_config(trials=3, recipe=recipe)
    records, notes = finish(create_run(config, tmp_path / "run"))
    assert len(records) == 3
    assert {record.state for record in records} == {"failed"}
    assert all("must be finite" in record.error for record in records)
    assert notes == ["no trial was completed, so there is no frontier"]
    assert weights(tmp_path / "run") == []
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path}/run/study.db")
    assert [trial.state for trial in study.trials] == [TrialState.FAIL] * 3


def test_a_damaged_training_state_is_trained_from_the_beginning(make_config, tmp_path, finished):
    _, config, before = finished
    run = create_run(config, tmp_path / "run")
    folder = run.layout.training
    folder.mkdir()
    for record in before:
        (folder / f"{record.key.name}.pt").write_bytes(b"cut off")
    records, _ = finish(run)
    assert {r.key: r.miou for r in records} == {r.key: r.miou for r in before}
    assert not folder.exists()


@pytest.mark.ray
@pytest.mark.usefixtures("ray_runtime")
def test_a_killed_worker_is_replaced_and_its_trial_tried_again(make_config, tmp_path):
    recipe = {**make_config().recipe.model_dump(), "steps": 10}
    config = make_config(trials=2, recipe=recipe, resources={})
    run = create_run(config, tmp_path / "run")
    killed = []

    def kill_one():
        deadline = time.monotonic() + 120
        while not killed and time.monotonic() < deadline:
            for pid in training_workers():
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                return
            time.sleep(0.02)

    thread = threading.Thread(target=kill_one)
    thread.start()
    records, _ = finish(run)
    thread.join()
    assert len(killed) == 1
    assert Counter(record.purpose for record in records)["search"] == 2
    assert {record.state for record in records} == {"complete"}
    assert {record.steps for record in records} == {10}


def training_workers():
    """Ray workers of this process that are inside a trial."""
    parents, training = {}, []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                command = (folder / "cmdline").read_bytes()
                status = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(folder.name)] = int(status[1])
            if command.startswith(b"ray::") and b".train" in command:
                training.append(int(folder.name))

    def is_ours(pid):
        while pid > 1 and pid != os.getpid():
            pid = parents.get(pid, 0)
        return pid == os.getpid()

    return [pid for pid in training if is_ours(pid)]


@pytest.fixture
def folder_data(tmp_path):
    """A data set of two classes in files."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for kind in ("images", "annotations"):
            (tmp_path / "data" / kind / split).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 255, (32, 48, 3), dtype=np.uint8)
            labels = rng.integers(0, 2, (32, 48), dtype=np.uint8)
            for kind, array in (("images", pixels), ("annotations", labels)):
                path = tmp_path / "data" / kind / split / f"{number}.png"
                Image.fromarray(array).save(path)
    (tmp_path / "classes.yaml").write_text("classes: [one, two]\n")
    return {
        "name": "folder",
        "root": tmp_path / "data",
        "classes": tmp_path / "classes.yaml",
        "image_size": (32, 48),
    }


def test_workers_that_cannot_see_the_data_end_the_run_with_one_line(
    make_config, folder_data, tmp_path
):
    run = create_run(make_config(data=folder_data), tmp_path / "run")
    shutil.rmtree(folder_data["root"])
    with pytest.raises(ExecutionError) as caught:
        finish(run)
    assert str(caught.value).startswith(f"on node {os.uname().nodename}: ")
    assert str(folder_data["root"]) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert run.store.records() == []


def test_workers_that_cannot_see_the_run_directory_end_the_run_with_one_line(make_config, tmp_path):
    run = create_run(make_config(storage=f"sqlite:///{tmp_path}/study.db"), tmp_path / "run")
    shutil.rmtree(run.directory)
    with pytest.raises(ExecutionError, match="run is not there; put it on shared storage"):
        continue_run(run, Watcher())
    run.store.close()


def test_a_refused_record_ends_the_run_with_its_own_error(make_config, tmp_path):
    # As a full disk would: the error is not swallowed on its way.
    run = create_run(make_config(), tmp_path / "run")
    run.store.close()
    with pytest.raises(StoreError, match="reading only"):
        continue_run(run, Watcher())


def test_an_error_in_handing_out_trials_ends_the_run(make_config, tmp_path):
    class Broken(Watcher):
        def started(self, trial):
            raise StoreError("no more")

    with pytest.raises(StoreError, match="no more"):
        finish(create_run(make_config(), tmp_path / "run"), Broken())


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"cpus_per_trial": 4096}, "asked for 4096 CPU, the largest node has"),
        ({"gpus_per_trial": 64}, "asked for 64 GPU, the largest node has"),
    ],
)
def test_a_trial_that_fits_no_node_is_refused(resources, expected, make_config, tmp_path):
    config = make_config(resources={"executor": "inline", **resources})
    with pytest.raises(ExecutionError, match=expected):
        create_run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_a_run_has_trained_is_never_discarded(copied):
    run = open_run(copied, {}, {})
    before = sorted(copied.iterdir())
    run.discard_if_unused()
    run.close()
    assert sorted(copied.iterdir()) == before


def test_a_run_goes_on_with_the_space_it_was_started_with(make_config, tmp_path):
    declared = tmp_path / "space.yaml"
    text = "schema_version: 1\ndescription: x\nextends: heterogeneous_branches\n"
    declared.write_text(text)
    run = create_run(make_config(space=str(declared)), tmp_path / "run")
    run.close()
    stored = (run.directory / "config.json").read_bytes()
    for change in (
        lambda: declared.write_text(text + "narrow:\n  expansion_ratio_1: [2]\n"),
        declared.unlink,
    ):
        change()
        again = open_run(run.directory, {}, {})
        again.close()
        assert again.space == replace(run.space, description="")
        assert again.config.load_space() == again.space  # what workers load
    assert (run.directory / "config.json").read_bytes() == stored


def test_a_run_of_the_version_before_opens(make_config, tmp_path):
    """It stored neither classes nor image size, and its recipe fewer fields."""
    run = create_run(make_config(), tmp_path / "run")
    run.close()
    path = run.directory / "config.json"
    content = json.loads(path.read_text())
    del content["sha256"]
    assert content["config"].pop("num_classes") == run.data.num_classes
    assert content.pop("image_size") == list(run.config.image_size)
    del content["config"]["recipe"]["optimizer"]
    path.write_text(json.dumps(content))
    again = open_run(run.directory, {}, {})
    again.close()
    assert again.config.num_classes is None
    # It chose the architectures of a calibration by costs for 19 classes, and finds the same again.
    mine, theirs = run.config.model_copy(update={"num_classes": 19}), again.config
    assert calibration_archs(run.space, theirs, 6) == calibration_archs(run.space, mine, 6)
    assert again.config.recipe.optimizer == "adamw"
    assert again.space == replace(run.space, description="")


def test_latency_is_searched_for(make_config, tmp_path):
    records, _ = finish(create_run(make_config(trials=2, costs=["latency_ms"]), tmp_path / "run"))
    assert all(record.latency_ms > 0 for record in records)
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path}/run/study.db")
    latencies = {record.latency_ms for record in records if record.purpose == "search"}
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    assert {trial.values[1] for trial in complete} == latencies


def test_two_costs_are_searched_for_at_once(make_config, tmp_path):
    config = make_config(trials=5, costs=["macs", "params"], confirm=1, finalists=2)
    run = create_run(config, tmp_path / "run")
    records, _ = finish(run)
    searched = [record for record in records if record.purpose == "search"]
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path}/run/study.db")
    assert [direction.name for direction in study.directions] == [
        "MAXIMIZE",
        "MINIMIZE",
        "MINIMIZE",
    ]
    told = {tuple(t.values) for t in study.get_trials(states=(TrialState.COMPLETE,))}
    assert told == {(r.miou, r.macs, r.params) for r in searched}
    first = summarise(searched, costs=config.costs)
    on = pareto_front([(r.miou, r.macs, r.params) for r in searched])
    arch_ids = {r.arch_id for r, is_on in zip(searched, on, strict=True) if is_on}
    assert {row.arch_id for row in first.frontier} == arch_ids
    confirmed = {r.arch_id for r in records if r.purpose == "confirmation" and not r.label}
    assert len(confirmed) == min(2, len(arch_ids))
    assert confirmed <= arch_ids
    assert run.summary().costs == ("macs", "params")


def test_a_search_by_cross_entropy_tells_the_study_of_it(make_config, tmp_path):
    recipe = make_config().recipe.model_dump() | {"criterion": "cross_entropy"}
    records, _ = finish(create_run(make_config(trials=4, recipe=recipe), tmp_path / "run"))
    searched = [record for record in records if record.purpose == "search"]
    losses = [-record.history[-1].cross_entropy for record in searched]
    assert max(losses) < 0
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path}/run/study.db")
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    assert [trial.values[0] for trial in complete] == losses
    config = read_config(tmp_path / "run", SearchConfig)
    summary = summarise(records, **config.ranking)
    points = list(zip(losses, [record.macs for record in searched], strict=True))
    front = {r.arch_id for r, on in zip(searched, pareto_front(points), strict=True) if on}
    assert {row.arch_id for row in summary.frontier} == front


def test_baselines_are_trained_beside_each_architecture_at_its_cost(make_config, tmp_path):
    names = ("hrvit_b1", "mit_b0", "cswin_ti")
    config = make_config(trials=2, references=names)
    records, _ = finish(create_run(config, tmp_path / "run"))
    labels = {record.label for record in records if record.purpose == "reference"}
    assert labels == {"b1 scaled", "mit_b0 scaled", "cswin_ti scaled"}
    assert {record.state for record in records} == {"complete"}
    summary = summarise(records)
    assert set(summary.reference_labels) == labels
    for row in summary.frontier:
        for label in labels:
            reference, _ = summary.against_reference(row, label)
            assert abs(reference.macs / row.macs - 1) < 0.25
    families = {record.spec.family for record in records if hasattr(record.spec, "family")}
    assert families == {"mit", "cswin"}


def test_a_reference_that_is_none_is_refused(make_config):
    with pytest.raises(ValueError, match=r"no architecture is called 'mit_b9'.*did you mean"):
        make_config(references=("mit_b9",))


def test_networks_that_the_recipe_cannot_train_are_refused_before_a_run_is_made(
    make_config, tmp_path
):
    folder = tmp_path / "run"
    config = make_config(trials=2)
    gene = {"name": "head", "field": "head_kind", "choices": ["segformer", "upernet"], "when": {}}
    space = config.load_space().to_dict()
    space["genes"] = [*space["genes"], gene]
    config = config.model_copy(
        update={
            "as_started": space,
            "recipe": config.recipe.model_copy(update={"batch_size": 1}),
        }
    )
    with pytest.raises(ConfigError, match="batch_size must be at least 2 for head upernet"):
        create_run(config, folder)
    assert not folder.exists()


def test_an_auxiliary_head_trains_and_is_not_kept(make_config, tmp_path):
    config = make_config(trials=1, references=())
    config = config.model_copy(
        update={"recipe": config.recipe.model_copy(update={"auxiliary_weight": 0.4})}
    )
    (record,), _ = finish(create_run(config, tmp_path / "run"))
    assert record.state == "complete"
    model = load_trained(RunLayout(tmp_path / "run").weights / weights(tmp_path / "run")[0]).model
    assert sum(p.numel() for p in model.parameters()) == record.params
