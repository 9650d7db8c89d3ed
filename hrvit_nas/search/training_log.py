"""A training for other tools to show while it goes on: TensorBoard, and MLflow where asked for.

Both are copies of the lines that the training itself leaves, which every sitting reads again from
the first one. A tool that fails costs a warning.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import suppress

from .._messages import first_line
from .events import EventFile
from .facts import Point
from .mlflow_log import Entry, MlflowLog
from .training_config import TrainingConfig, TrainingLayout
from .training_tasks import TASKS

RUN = "training"
"""Its name among the runs of a TensorBoard or of an MLflow experiment."""
_log = logging.getLogger(__name__)


class TrainingLog:
    """Copies a training's losses and scores to other tools; nothing it meets stops the training.

    Args:
        layout: Where the training's files lie.
        config: What it is of.

    Raises:
        ConfigError: MLflow is asked for, and is not installed or does not answer.
    """

    def __init__(self, layout: TrainingLayout, config: TrainingConfig) -> None:
        self._layout, self._config = layout, config
        self._scored = set(config.recipe.evaluation_steps)
        self._headline = TASKS[config.data.task].headline
        self._mlflow: MlflowLog | None = None
        if config.mlflow is not None:
            self._mlflow = MlflowLog(config.mlflow, layout.directory.resolve().name)
        self._events: EventFile | None = EventFile(layout.tensorboard / RUN)
        self._started = self._reached = 0.0
        self._step = self._sent = self._read = 0

    def begin(self, run: str, started: float) -> None:
        """Says which training it is.

        Args:
            run: What tells its directory from others of that name.
            started: When it began, in seconds since 1970; steps are placed by it and the time that
                they took.
        """
        self._started = self._reached = started
        if self._mlflow is not None:
            self._mlflow.begin(run)
            self._sent = self._mlflow.last_step(RUN, "loss")

    def follow(self) -> None:
        """Copies what the training has written since."""
        points = self._new_points()
        if points:
            self._copy(points)

    def close(self, *, done: bool) -> bool:
        """Copies the rest, and what MLflow has missed if it answers again.

        Args:
            done: Whether the training has come to its end.

        Returns:
            Whether MLflow, where there is one, has all.
        """
        self._copy(self._new_points(), done=done)
        if self._events is not None:
            with suppress(OSError):  # every line of it is written already
                self._events.close()
        return self._mlflow is None or self._mlflow.close()

    def _new_points(self) -> list[Point]:
        try:
            with self._layout.steps.open("rb") as file:
                file.seek(self._read)
                content = file.read()
        except OSError:  # it is not there yet, or the file system does not answer
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        points = []
        for line in whole.splitlines():
            try:
                at = json.loads(line)
            except ValueError:  # a line that was torn when a sitting was killed
                continue
            if at["step"] <= self._step:  # done again since the last checkpoint, to the bit
                continue
            self._step = at["step"]
            when = self._reached = self._started + at["seconds"]
            if self._step in self._scored and at[self._headline] is not None:
                points.append(Point(self._headline, at[self._headline], when, self._step))
            # Last, so that where the loss of a step is, its score is too.
            points.append(Point("loss", at["loss"], when, self._step))
        return points

    def _copy(self, points: Sequence[Point], *, done: bool = False) -> None:
        if self._events is not None:
            try:
                self._events.add(points)
            except Exception as error:  # whatever it is, the training has its own record
                _log.warning(
                    "%s cannot be written (%s); the training goes on without it",
                    self._layout.tensorboard,
                    first_line(error),
                )
                self._events = None
        missing = [point for point in points if point.step > self._sent]
        if self._mlflow is not None and (missing or done):
            config = self._config
            self._mlflow.add(
                Entry(
                    name=RUN,
                    started=self._started,
                    points=missing,
                    params={
                        "arch_id": config.spec.id,
                        "seed": str(config.seed),
                        "steps": str(config.recipe.trained_steps),
                        "batch_size": str(config.recipe.batch_size),
                        "data": config.data.name,
                    },
                    tags={"arch": config.arch, "recipe": config.recipe.model_dump_json()},
                    ended=self._reached if done else None,
                )
            )
