"""Trials for other tools to show: TensorBoard, always, and MLflow, where it is asked for.

Both are copies. The journal of the run holds every trial, so a tool that fails costs a warning, and
what it missed is added when it answers again or the run is resumed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from .._messages import first_line
from ..results import TrialRecord
from .facts import Point, costs, curve, facts
from .mlflow_log import Entry, MlflowLog

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
            self._mlflow = MlflowLog(uri, experiment)
            self._mlflow.begin(run)
        for record in records:
            if not self._events(record).exists():
                self._write_events(record)
            if self._mlflow is not None:
                self._mlflow.add(_entry(record))

    def add(self, record: TrialRecord) -> None:
        """Adds a trial that has been recorded."""
        self._write_events(record)
        if self._mlflow is not None:
            self._mlflow.add(_entry(record))

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


def _entry(record: TrialRecord) -> Entry:
    """A trial as a run of MLflow's."""
    ended = record.finished_at.timestamp()
    scores = [
        Point(score, value, when, step)
        for step, when, scores in curve(record)
        for score, value in scores.items()
    ]
    return Entry(
        name=record.key.name,
        started=ended - record.seconds,
        points=scores + [Point(cost, value, ended) for cost, value in costs(record).items()],
        params=facts(record),
        tags={"error": record.error or "", "arch": record.arch},
        ended=ended,
        failed=record.state != "complete",
    )
