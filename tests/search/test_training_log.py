"""A training as TensorBoard and MLflow show it, from the lines that it leaves."""

import json
import logging

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hrvit_nas.arch import get_arch
from hrvit_nas.data import DataConfig
from hrvit_nas.search.mlflow_log import RUN_TAG, MlflowLog
from hrvit_nas.search.training_config import TrainingConfig, TrainingLayout
from hrvit_nas.search.training_log import TrainingLog
from hrvit_nas.training import Recipe

STARTED = 1_700_000_000.0
LINES = (
    {"step": 16, "loss": 2.0, "seconds": 1.5, "miou": None},
    {"step": 20, "loss": 1.75, "seconds": 2.0, "miou": 0.25},
    {"step": 32, "loss": 1.5, "seconds": 3.5, "miou": 0.25},
    {"step": 40, "loss": 1.25, "seconds": 4.0, "miou": 0.5},
)
LOSSES = [(line["step"], line["loss"], STARTED + line["seconds"]) for line in LINES]
SCORES = [(20, 0.25, STARTED + 2.0), (40, 0.5, STARTED + 4.0)]


@pytest.fixture
def layout(tmp_path):
    layout = TrainingLayout(tmp_path / "run")
    layout.training.mkdir(parents=True)
    return layout


def sitting(layout, *parts, uri=None, done=False):
    """A sitting that sees these parts of the file of lines, one after the other."""
    config = TrainingConfig(
        arch=get_arch("hrvit_b1").to_json(),
        data=DataConfig(),
        recipe=Recipe(steps=40, evaluations=2),
        mlflow=uri,
    )
    log = TrainingLog(layout, config)
    log.begin("run", STARTED)
    for part in parts:
        with layout.steps.open("ab") as file:
            file.write(part)
        log.follow()
    return log.close(done=done)


def written(*lines):
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def scalars(layout, name):
    shown = EventAccumulator(str(layout.tensorboard / "training"))
    shown.Reload()
    return [(point.step, point.value, point.wall_time) for point in shown.Scalars(name)]


def test_tensorboard_shows_losses_and_scores_at_the_steps_they_are_of(layout):
    sitting(layout, b"", written(*LINES[:1]), written(*LINES[1:3]), written(LINES[3]))
    assert scalars(layout, "loss") == LOSSES
    assert scalars(layout, "miou") == SCORES


def test_a_line_is_read_once_it_is_whole(layout):
    half = written(*LINES)
    sitting(layout, half[:70], half[70:71], half[71:])
    assert scalars(layout, "loss") == LOSSES


def test_steps_that_a_killed_sitting_did_are_shown_once(layout):
    sitting(layout, written(*LINES[:2]), b'{"step": 32, "lo')
    sitting(layout, b"\n", written(*LINES[1:]), done=True)
    assert len(list((layout.tensorboard / "training").iterdir())) == 2
    assert scalars(layout, "loss") == LOSSES
    assert scalars(layout, "miou") == SCORES


def test_a_training_that_has_not_come_to_a_line_leaves_no_folder(layout):
    sitting(layout)
    assert not layout.tensorboard.exists()


def test_a_folder_that_cannot_be_written_is_warned_of_once(layout, caplog):
    layout.tensorboard.write_text("a file is here")
    with caplog.at_level(logging.WARNING):
        sitting(layout, written(*LINES[:2]), written(*LINES[2:]))
    (warning,) = caplog.messages
    assert warning.startswith(f"{layout.tensorboard} cannot be written (")


def test_mlflow_shows_a_training_as_one_run_over_all_sittings(layout, tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    sitting(layout, written(*LINES[:2]), uri=uri)
    from mlflow import MlflowClient

    client = MlflowClient(uri)

    def only():
        (run,) = client.search_runs([client.get_experiment_by_name("run").experiment_id])
        return run

    assert only().info.status == "RUNNING"
    for _ in range(2):  # a training that is done is not sent again
        sitting(layout, written(*LINES[2:]), uri=uri, done=True)
    run = only()
    assert (run.info.status, run.info.start_time) == ("FINISHED", 1000 * STARTED)
    assert run.info.end_time == 1000 * LOSSES[-1][2]
    assert run.data.tags[RUN_TAG] == "run"
    assert run.data.params["arch_id"] == get_arch("hrvit_b1").id
    for name, expected in (("loss", LOSSES), ("miou", SCORES)):
        history = client.get_metric_history(run.info.run_id, name)
        assert [(p.step, p.value, p.timestamp / 1000) for p in history] == expected


def test_no_point_is_sent_twice_where_mlflow_would_keep_it_twice(layout, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = f"file://{tmp_path / 'folder'}"
    sitting(layout, written(*LINES[:1]), uri=uri)
    sitting(layout, written(*LINES[1:]), uri=uri, done=True)
    for name, expected in (("loss", LOSSES), ("miou", SCORES)):
        (path,) = (tmp_path / "folder").rglob(f"metrics/{name}")
        assert len(path.read_text().splitlines()) == len(expected)


def test_what_mlflow_has_missed_at_the_end_is_said_and_sent_later(layout, tmp_path, monkeypatch):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with monkeypatch.context() as patched:
        patched.setattr(MlflowLog, "_log", gone)
        assert not sitting(layout, written(*LINES), uri=uri, done=True)
    assert sitting(layout, uri=uri, done=True)
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("run").experiment_id])
    assert run.info.status == "FINISHED"
    assert len(client.get_metric_history(run.info.run_id, "loss")) == len(LOSSES)


def gone(*_):
    raise ConnectionError("no route to it")
