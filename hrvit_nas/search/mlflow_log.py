"""Runs of an MLflow experiment, which are copies of what is on record here."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from .._messages import first_line, one_line
from .config_parts import ConfigError
from .facts import Point

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


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is added to one run of MLflow's, and whether it ends with it.

    Attributes:
        name: Of the run.
        started: Seconds since 1970.
        points: Its metrics.
        params: What it is, in short texts.
        tags: Longer texts.
        ended: When it ended, in seconds since 1970; None = there is more to come.
        failed: Whether it ended in vain.
    """

    name: str
    started: float
    points: Sequence[Point]
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    ended: float | None = None
    failed: bool = False


class MlflowLog:
    """Adds to the runs of an MLflow experiment, once `begin` has said whose they are.

    Args:
        uri: MLflow's tracking URI.
        experiment: Name of its experiment.

    Raises:
        ConfigError: MLflow is not installed, or the URI does not answer.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self._run = ""
        self._done: set[str] = set()
        self._begun: dict[str, str] = {}
        self._pending: deque[Entry] = deque()
        self._try_at = 0.0
        self._warned = False
        self._shown = re.sub(r"(://[^/@\s]*?:)[^/@\s]+@", r"\1***@", uri)
        _prepare(uri)
        with self._refusing():
            _check_opens(uri)
            self._connect(uri, experiment)

    def begin(self, run: str) -> None:
        """Finds what is there already.

        Args:
            run: What tells a run directory from others of that name.

        Raises:
            ConfigError: MLflow does not answer any more.
        """
        self._run = run
        with self._refusing():
            self._find()

    def add(self, entry: Entry) -> None:
        """Sends it, unless a run of that name has ended already."""
        if entry.name not in self._done:
            self._pending.append(entry)
            if time.monotonic() >= self._try_at:
                self._send()

    def last_step(self, name: str, metric: str) -> int:
        """The last step of a metric of a run that has not ended; 0 where there is none.

        Raises:
            ConfigError: MLflow does not answer any more.
        """
        if name not in self._begun:
            return 0
        with self._refusing():
            history = self._client.get_metric_history(self._begun[name], metric)
        return max((point.step for point in history), default=0)

    def close(self) -> bool:
        """Tries once more to send what could not be sent; returns whether all is there."""
        if self._pending:
            self._send()
        if self._pending:
            _log.warning(
                "%d additions are not in MLflow at %s; they are sent when the run is continued",
                len(self._pending),
                self._shown,
            )
            self._pending.clear()
            return False
        return True

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except ConfigError:
            raise
        except Exception as error:  # of MLflow, of a database, of the network
            raise ConfigError(
                f"MLflow at {self._shown} cannot be used: {_reason(error)}; give another URI, or"
                " none"
            ) from error

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

    def _find(self) -> None:
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
                    "MLflow at %s takes nothing (%s); the run goes on, and what it misses is sent"
                    " when it answers again, or when the run is continued",
                    self._shown,
                    _reason(error),
                )
            self._warned = True

    def _log(self, entry: Entry) -> None:
        from mlflow.entities import Metric, Param, RunTag

        if entry.name not in self._begun:
            run = self._client.create_run(
                self._experiment,
                start_time=_ms(entry.started),
                tags={RUN_TAG: self._run, TRIAL_TAG: entry.name},
                run_name=entry.name,
            )
            self._begun[entry.name] = run.info.run_id
        run_id = self._begun[entry.name]
        metrics = [
            Metric(point.name, point.value, _ms(point.when), point.step) for point in entry.points
        ]
        # The same again, where a try broke off, changes nothing: MLflow keeps equal points once.
        for first in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(run_id, metrics[first : first + MOST_METRICS])
        self._client.log_batch(
            run_id,
            params=[Param(key, text[:LONGEST_PARAM]) for key, text in entry.params.items()],
            tags=[RunTag(key, text[:LONGEST_TAG]) for key, text in entry.tags.items() if text],
        )
        if entry.ended is not None:
            status = "FAILED" if entry.failed else "FINISHED"
            self._client.set_terminated(run_id, status, _ms(entry.ended))
            self._done.add(entry.name)


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
