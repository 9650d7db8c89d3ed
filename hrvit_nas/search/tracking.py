"""Trials for other tools to show: TensorBoard, always, and MLflow, where it is asked for.

Both are copies. The journal of the run holds every trial, so a tool that fails costs a warning, and
what it missed is added when it answers again or the run is resumed.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from .._messages import first_line, one_line
from ..results import TrialRecord
from .config_parts import ConfigError
from .facts import costs, curve, facts

RUN_TAG, TRIAL_TAG = "hrvit_nas.run", "hrvit_nas.trial"
LONGEST_TAG, LONGEST_PARAM, MOST_METRICS = 5000, 500, 800
"""Of what MLflow takes at a time; its older servers take less than its newer ones."""
PAUSE_S = 60
"""Before MLflow is tried again: meanwhile each trial would wait for it in vain."""
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
PROMPT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""MLflow itself would try for many minutes. The user's own settings stand."""

_DATABASE = re.compile(r"(sqlite|postgresql|mysql|mssql)(\+\w+)?:")
_log = logging.getLogger(__name__)


class Tracking:
    """Copies the trials of one run to other tools; nothing it meets stops a run.

    Args:
        directory: Of TensorBoard's event files.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._mlflow: MlflowLog | None = None
        self._warned = False

    def start(
        self, records: Iterable[TrialRecord], uri: str | None, experiment: str, run: str
    ) -> None:
        """Opens MLflow, if there is a URI, and adds the trials that are missing anywhere.

        Args:
            records: The trials that the run has.
            uri: MLflow's tracking URI.
            experiment: Name of its experiment.
            run: What tells this run from others of that name.

        Raises:
            ConfigError: MLflow is not installed, or the URI does not answer.
        """
        if uri is not None:
            self._mlflow = MlflowLog(uri, experiment, run)
        for record in records:
            if not self._events(record).exists():
                self._write_events(record)
            if self._mlflow is not None:
                self._mlflow.add(record)

    def add(self, record: TrialRecord) -> None:
        """Adds a trial that has been recorded."""
        self._write_events(record)
        if self._mlflow is not None:
            self._mlflow.add(record)

    def close(self) -> None:
        """Sends what MLflow has missed, if it answers again."""
        if self._mlflow is not None:
            self._mlflow.close()

    def _events(self, record: TrialRecord) -> Path:
        # One name a trial, so that it has one file whatever is resumed.
        return self._directory / record.key.name / "events.out.tfevents.0.trial"

    def _write_events(self, record: TrialRecord) -> None:
        path = self._events(record)
        try:
            from .events import write_events

            path.parent.mkdir(parents=True, exist_ok=True)
            write_events(path, record)
        except Exception as error:  # whatever it is, the trial is on record
            if not self._warned:
                _log.warning(
                    "%s cannot be written (%s); the run goes on without it",
                    self._directory,
                    first_line(error),
                )
            self._warned = True


class MlflowLog:
    """Trials as runs of an MLflow experiment.

    Raises:
        ConfigError: MLflow is not installed, or the URI does not answer.
    """

    def __init__(self, uri: str, experiment: str, run: str) -> None:
        self._run = run
        self._pending: deque[TrialRecord] = deque()
        self._try_at = 0.0
        self._warned = False
        self._shown = re.sub(r"(://[^/@\s]*?:)[^/@\s]+@", r"\1***@", uri)
        _prepare(uri)
        try:
            _check_opens(uri)
            self._connect(uri, experiment)
        except ConfigError:
            raise
        except Exception as error:  # of MLflow, of a database, of the network
            raise ConfigError(
                f"MLflow at {self._shown} cannot be used: {_reason(error)}; give another URI, or"
                " none"
            ) from error

    def add(self, record: TrialRecord) -> None:
        """Sends a trial, unless it is there already."""
        if record.key.name not in self._done:
            self._pending.append(record)
            if time.monotonic() >= self._try_at:
                self._send()

    def close(self) -> None:
        """Tries once more to send what could not be sent."""
        if self._pending:
            self._send()
        if self._pending:
            _log.warning(
                "%d trials are not in MLflow at %s; they are sent when the run is continued",
                len(self._pending),
                self._shown,
            )
            self._pending.clear()

    def _connect(self, uri: str, name: str) -> None:
        from mlflow import MlflowClient

        self._client: MlflowClient = MlflowClient(tracking_uri=uri)
        experiment = self._client.get_experiment_by_name(name)
        if experiment is not None and experiment.lifecycle_stage != "active":
            raise ConfigError(
                f"MLflow at {self._shown} has a deleted experiment {name!r}; restore or purge it"
                " there, or name another run directory"
            )
        self._experiment = (
            self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        )
        self._done: set[str] = set()
        self._begun: dict[str, str] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment],
                filter_string=f"tags.`{RUN_TAG}` = '{self._run}'",
                max_results=1000,
                page_token=token,
            )
            for run in page:
                trial = run.data.tags.get(TRIAL_TAG, "")
                if run.info.status == "RUNNING":
                    self._begun[trial] = run.info.run_id
                else:
                    self._done.add(trial)
            token = page.token
            if not token:
                return

    def _send(self) -> None:
        try:
            while self._pending:
                self._log(self._pending[0])
                self._pending.popleft()
        except Exception as error:  # of MLflow, of a database, of the network
            self._try_at = time.monotonic() + PAUSE_S
            if not self._warned:
                _log.warning(
                    "MLflow at %s does not take trials (%s); the run goes on, and they are sent"
                    " when it answers again, or when the run is continued",
                    self._shown,
                    _reason(error),
                )
            self._warned = True

    def _log(self, record: TrialRecord) -> None:
        from mlflow.entities import Metric, Param, RunTag

        name = record.key.name
        end = record.finished_at.timestamp()
        start = end - record.seconds
        if name not in self._begun:
            run = self._client.create_run(
                self._experiment,
                start_time=_ms(start),
                tags={RUN_TAG: self._run, TRIAL_TAG: name},
                run_name=name,
            )
            self._begun[name] = run.info.run_id
        run_id = self._begun[name]
        metrics = [
            Metric(score, value, _ms(when), step)
            for step, when, scores in curve(record)
            for score, value in scores.items()
        ]
        metrics += [Metric(cost, value, _ms(end), 0) for cost, value in costs(record).items()]
        # The same again, where a try broke off, changes nothing: MLflow keeps equal points once.
        for first in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(run_id, metrics[first : first + MOST_METRICS])
        texts = {"error": record.error, "arch": record.arch}
        self._client.log_batch(
            run_id,
            params=[Param(key, text[:LONGEST_PARAM]) for key, text in facts(record).items()],
            tags=[RunTag(key, text[:LONGEST_TAG]) for key, text in texts.items() if text],
        )
        status = "FINISHED" if record.state == "complete" else "FAILED"
        self._client.set_terminated(run_id, status, _ms(end))
        self._done.add(name)


def _prepare(uri: str) -> None:
    """Refuses what cannot work, and sets what MLflow reads when it is imported."""
    if importlib.util.find_spec("mlflow") is None:
        raise ConfigError(
            "MLflow needs the package mlflow-skinny; install it with: pip install"
            " 'hrvit_nas[mlflow]'"
        )
    os.environ.update(QUIET)
    for name, value in PROMPT.items():
        os.environ.setdefault(name, value)
    if uri.startswith("file:") and not os.environ.get("MLFLOW_ALLOW_FILE_STORE"):
        raise ConfigError(
            f"MLflow at {uri} needs MLFLOW_ALLOW_FILE_STORE=true in the environment, without which"
            " MLflow opens no folder; or give a database, such as sqlite:///mlflow.db"
        )


def _check_opens(uri: str) -> None:
    """Tries a database, at which MLflow would itself try for minutes."""
    if _DATABASE.match(uri):
        import sqlalchemy

        engine = sqlalchemy.create_engine(uri)
        try:
            sqlalchemy.inspect(engine)
        finally:
            engine.dispose()


def _reason(error: Exception) -> str:
    """The innermost of the messages that `requests` nests into one."""
    reason = first_line(error).rpartition("): ")[2].removesuffix('"))').removesuffix("'))")
    return one_line(reason, 200)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
