"""Trials in TensorBoard, MLflow and optuna-dashboard, read back by those tools themselves."""

import json
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from hrvit_nas.cli import ablate, search
from hrvit_nas.cli.options import given_tracking
from hrvit_nas.results.records import HistoryPoint
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.mlflow_log import RUN_TAG, TRIAL_TAG
from hrvit_nas.search.run import continue_run, create_run, open_run
from hrvit_nas.search.tracking import Tracking

HISTORY = (
    HistoryPoint(50, 0.25, fw_iou=0.5, cross_entropy=1.5, seconds=0.5),
    HistoryPoint(100, 0.5, fw_iou=0.75, cross_entropy=1.25, seconds=1.0),
)
BASE = "0123456789ab"
NAMES = [f"{BASE}-s0-100", f"{BASE}-s0-inherited-100", f"{BASE}-s1-100"]


@pytest.fixture
def records(record):
    """One trial of each kind: trained, failed, scored with inherited weights."""
    return [
        record(history=HISTORY, label="hrvit_b1", latency_ms=2.5),
        record(number=1, seed=1, state="failed"),
        record(number=2, evaluator="inherited", miou=0.125, uncalibrated_miou=0.0625),
    ]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Path of an MLflow database, made once: that takes it a second."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    tracked(path.parent, [], f"sqlite:///{path}")
    return path


@pytest.fixture
def uri(database):
    return f"sqlite:///{database}"


@pytest.fixture
def closed_port():
    """A port of this machine at which nothing listens."""
    with socket.socket() as taken:
        # So that a server which allows the same can listen there, and nobody gets it meanwhile.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def tracked(directory, records, uri=None, started=()):
    tracking = Tracking(directory / "tensorboard")
    tracking.start(started, uri, directory.name, "run")
    for record in records:
        tracking.add(record)
    tracking.close()


def events(directory, name):
    accumulator = EventAccumulator(str(directory / "tensorboard" / name))
    accumulator.Reload()
    return accumulator


def client(uri):
    # Here, and not above: what it reads of the environment is set by what is tested.
    from mlflow import MlflowClient

    return MlflowClient(uri)


def runs(uri, name):
    experiment = client(uri).get_experiment_by_name(name)
    found = client(uri).search_runs([experiment.experiment_id])
    return {run.info.run_name: run for run in sorted(found, key=lambda run: run.info.run_name)}


def test_tensorboard_shows_scores_by_step(tmp_path, records):
    tracked(tmp_path, records)
    assert sorted(path.name for path in (tmp_path / "tensorboard").iterdir()) == NAMES
    trained = events(tmp_path, NAMES[0])
    assert sorted(trained.Tags()["scalars"]) == ["cross_entropy", "fw_iou", "miou"]
    points = [(point.step, point.value) for point in trained.Scalars("miou")]
    assert points == [(50, 0.25), (100, 0.5)]
    end = records[0].finished_at.timestamp()
    assert trained.Scalars("miou")[0].wall_time == pytest.approx(end - 1.5 + 0.5)
    (point,) = events(tmp_path, NAMES[1]).Scalars("miou")
    assert (point.step, point.value) == (100, 0.125)


def test_tensorboard_shows_what_a_trial_is_and_why_it_failed(tmp_path, records):
    tracked(tmp_path, records)
    metadata = events(tmp_path, NAMES[0]).SummaryMetadata("_hparams_/session_start_info")
    told = HParamsPluginData.FromString(metadata.plugin_data.content).session_start_info.hparams
    assert {name: told[name].string_value for name in ("arch_id", "seed", "purpose", "label")} == {
        "arch_id": BASE,
        "seed": "0",
        "purpose": "search",
        "label": "hrvit_b1",
    }
    assert (told["macs"].number_value, told["latency_ms"].number_value) == (1000, 2.5)
    failed = events(tmp_path, NAMES[2])
    metadata = failed.SummaryMetadata("_hparams_/experiment")
    table = HParamsPluginData.FromString(metadata.plugin_data.content).experiment
    assert "label" in {column.name for column in table.hparam_infos}
    assert "miou" in {column.name.tag for column in table.metric_infos}
    assert failed.Tags()["scalars"] == []
    (text,) = failed.Tensors("error/text_summary")
    assert text.tensor_proto.string_val == [b"loss became NaN"]


def test_resuming_adds_what_is_missing_and_nothing_twice(tmp_path, records):
    tracked(tmp_path, records[:1])
    (first,) = (tmp_path / "tensorboard" / NAMES[0]).iterdir()
    written = first.stat()
    tracked(tmp_path, records[2:], started=records[:2])
    assert first.stat() == written
    assert len(list((tmp_path / "tensorboard").glob("*/*"))) == len(records)


def test_a_folder_that_cannot_be_written_is_warned_of_once(tmp_path, records, caplog):
    (tmp_path / "tensorboard").touch()
    tracked(tmp_path, records)
    assert len(caplog.records) == 1
    assert "the run goes on without it" in caplog.text


def test_mlflow_shows_a_run_a_trial(tmp_path, records, uri):
    tracked(tmp_path, records, uri)
    found = runs(uri, tmp_path.name)
    assert list(found) == NAMES
    assert [run.info.status for run in found.values()] == ["FINISHED", "FINISHED", "FAILED"]
    trained, inherited, failed = found.values()
    assert trained.data.params == {
        "arch_id": BASE,
        "seed": "0",
        "purpose": "search",
        "evaluator": "trained",
        "budget": "100",
        "label": "hrvit_b1",
        "state": "complete",
        "steps": "100",
    }
    assert trained.data.metrics.items() >= {"miou": 0.5, "macs": 1000, "latency_ms": 2.5}.items()
    assert json.loads(trained.data.tags["arch"]) == json.loads(records[0].arch)
    assert trained.info.end_time - trained.info.start_time == 1500
    history = client(uri).get_metric_history(trained.info.run_id, "miou")
    assert [(point.step, point.value) for point in history] == [(50, 0.25), (100, 0.5)]
    assert inherited.data.metrics["uncalibrated_miou"] == 0.0625
    assert failed.data.tags["error"] == "loss became NaN"
    assert "miou" not in failed.data.metrics


def test_mlflow_keeps_folders_where_it_is_allowed_to(tmp_path, records, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    tracked(tmp_path, records, uri)
    assert list(runs(uri, tmp_path.name)) == NAMES


def test_texts_are_cut_to_what_mlflow_takes(tmp_path, record, uri):
    tracked(tmp_path, [record(label="x" * 9000, state="failed", error="y" * 9000)], uri)
    (run,) = runs(uri, tmp_path.name).values()
    assert run.data.params["label"] == "x" * 500
    assert run.data.tags["error"] == "y" * 5000


def test_mlflow_gets_no_trial_twice_and_takes_up_half_of_one(tmp_path, records, uri):
    tracked(tmp_path, records[:1], uri)
    mlflow = client(uri)
    experiment = mlflow.get_experiment_by_name(tmp_path.name).experiment_id
    half = mlflow.create_run(
        experiment, tags={RUN_TAG: "run", TRIAL_TAG: NAMES[1]}, run_name=NAMES[1]
    )
    mlflow.log_metric(half.info.run_id, "macs", 1000)
    before = runs(uri, tmp_path.name)[NAMES[0]]
    tracked(tmp_path, records[1:2], uri, started=[records[0], records[2]])
    assert len(mlflow.search_runs([experiment])) == 3
    after = runs(uri, tmp_path.name)
    assert after[NAMES[0]].info.end_time == before.info.end_time
    assert after[NAMES[1]].info.run_id == half.info.run_id
    assert {run.info.status for run in after.values()} == {"FINISHED", "FAILED"}


def test_runs_of_directories_of_one_name_are_told_apart(tmp_path, records, uri):
    for run in ("one", "two"):
        Tracking(tmp_path / run / "tensorboard").start(records, uri, tmp_path.name, run)
    experiment = client(uri).get_experiment_by_name(tmp_path.name).experiment_id
    assert len(client(uri).search_runs([experiment])) == 2 * len(records)


def test_what_a_lost_mlflow_has_missed_is_sent_when_it_answers(tmp_path, records, caplog):
    database = tmp_path / "mlflow.db"
    uri = f"sqlite:///{database}"
    tracking = Tracking(tmp_path / "tensorboard")
    tracking.start((), uri, tmp_path.name, "run")
    tracking.add(records[0])
    kept = database.read_bytes()
    database.write_bytes(b"no database" * 100)
    tracking.add(records[1])
    tracking.add(records[2])
    (warning,) = caplog.messages
    assert "the run goes on" in warning
    database.write_bytes(kept)
    tracking.close()
    assert list(runs(uri, tmp_path.name)) == NAMES
    assert len(caplog.records) == 1


def test_a_uri_that_does_not_answer_is_refused_in_one_line(tmp_path, closed_port):
    with pytest.raises(ConfigError) as refused:
        tracked(tmp_path, [], f"http://ann:secret@127.0.0.1:{closed_port}")
    assert str(refused.value) == (
        f"MLflow at http://ann:***@127.0.0.1:{closed_port} cannot be used: Failed to establish a"
        " new connection: [Errno 111] Connection refused; give another URI, or none"
    )


def test_a_server_that_says_nothing_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(0)
        port = silent.getsockname()[1]
        with pytest.raises(ConfigError, match=r"Read timed out"):
            tracked(tmp_path, [], f"http://127.0.0.1:{port}")
        silent.accept()
        with pytest.raises(BlockingIOError):  # asked once, and not again
            silent.accept()


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("sqlite:////proc/mlflow.db", "unable to open database file"),
        ("nonsense://x", "unsupported URI 'nonsense://x'"),
        ("file:///tmp/mlruns", "needs MLFLOW_ALLOW_FILE_STORE=true"),
    ],
)
def test_a_uri_that_mlflow_cannot_use_is_refused(uri, reason, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(ConfigError, match=reason) as refused:
        tracked(tmp_path, [], uri)
    assert "\n" not in str(refused.value)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"pip install 'hrvit_nas\[mlflow\]'"):
        tracked(tmp_path, [], "sqlite:///mlflow.db")


def test_mlflow_sends_no_usage_statistics(tmp_path, uri):
    tracked(tmp_path, [], uri)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["DO_NOT_TRACK"] == "true"


def test_none_ends_tracking_and_a_database_is_found_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    absolute = f"sqlite:///{tmp_path}/m.db"
    assert given_tracking(None) == {}
    assert given_tracking("none") == {"mlflow": None}
    assert given_tracking("sqlite:///m.db") == {"mlflow": absolute}
    assert given_tracking(absolute) == {"mlflow": absolute}


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (search, ["--trials", "2"]),
        (ablate, ["published_components", "--only", "des"]),
    ],
)
def test_commands_stop_before_anything_is_made(
    command, arguments, closed_port, profile, tmp_path, monkeypatch, capsys
):
    for uri, reason in (
        (f"http://127.0.0.1:{closed_port}", "Connection refused; give another URI, or none"),
        ("./mlruns", "got './mlruns'"),
    ):
        output = tmp_path / "run"
        words = [*arguments, "--profile", profile, "--output", output, "--mlflow", uri]
        monkeypatch.setattr(sys, "argv", [command.NAME, *map(str, words)])
        with pytest.raises(SystemExit) as left:
            command.main()
        err = capsys.readouterr().err.splitlines()
        assert left.value.code == 2
        assert err[-1].startswith(f"{command.NAME}: ")
        assert err[-1].endswith(reason)
        assert not output.exists()


class Silent:
    """Watches a run and says nothing."""

    def started(self, trial):
        pass

    def ended(self, record, summary):
        pass


@pytest.fixture(scope="module")
def finished(make_config, tmp_path_factory):
    """Run directory of a search that was copied to TensorBoard alone."""
    directory = tmp_path_factory.mktemp("runs") / "tracked"
    run = create_run(make_config(trials=2, references=()), directory)
    continue_run(run, Silent())
    run.close()
    return directory


def test_a_search_is_tracked_and_a_resumed_one_sends_its_earlier_trials(finished, database, caplog):
    folders = {path.name for path in (finished / "tensorboard").iterdir()}
    assert len(folders) == 2
    uri = f"sqlite:///{database}"
    for _ in range(2):
        run = open_run(finished, {"mlflow": uri}, {})
        run.close()
        assert runs(uri, "tracked").keys() == folders
    assert config_of(finished)["mlflow"] == uri
    assert [note for note in caplog.records if note.levelno >= logging.WARNING] == []


def test_optuna_dashboard_opens_the_study(finished, closed_port):
    command = Path(sys.executable).with_name("optuna-dashboard")
    storage = f"sqlite:///{finished / 'study.db'}"
    with subprocess.Popen(
        [command, storage, "--host", "127.0.0.1", "--port", str(closed_port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            (study,) = ask(server, closed_port, "studies")["study_summaries"]
            assert study["study_name"] == "search"
            assert study["directions"] == ["maximize", "minimize"]
            trials = ask(server, closed_port, f"studies/{study['study_id']}?after=0")["trials"]
            assert [trial["state"] for trial in trials] == ["Complete", "Complete"]
        finally:
            server.terminate()


def ask(server, port, path):
    """An answer of the dashboard, which takes seconds to start."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{path}", timeout=10) as reply:
                return json.load(reply)
        except OSError:
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)


def config_of(directory):
    return json.loads((directory / "config.json").read_text())["config"]
