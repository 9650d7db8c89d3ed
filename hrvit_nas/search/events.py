"""Trials, and trainings that go on, as event files of TensorBoard.

`tensorboardX.SummaryWriter` is left aside for what it is made of: it writes from a thread, which a
full disk can end, and then waits for that thread for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter

from ..objectives import SCORES
from ..results import TrialRecord, replacing
from .facts import Point, costs, curve, facts

VERSION = "brain.Event:2"


def write_events(path: Path, record: TrialRecord) -> None:
    """Writes a trial: its scores by step, what it is and costs (HParams), and its error as text.

    Args:
        path: The event file, which an older one is replaced by in one step.
        record: The trial.

    Raises:
        OSError: The file cannot be written.
    """
    end = record.finished_at.timestamp()
    events = [Event(wall_time=end - record.seconds, file_version=VERSION)]
    for step, when, scores in curve(record):
        events += [
            Event(wall_time=when, step=step, summary=summary.scalar(name, value))
            for name, value in scores.items()
        ]
    # TensorBoard takes the columns of its table from one trial, which may have failed.
    known = {"label": "", **facts(record), **costs(record)}
    table = summary.hparams(known, dict.fromkeys(SCORES))
    events += [Event(wall_time=end, summary=part) for part in table]
    if record.error:
        text = summary.text("error", record.error)
        events.append(Event(wall_time=end, step=record.steps, summary=text))
    with replacing(path) as temporary:
        writer = RecordWriter(str(temporary))
        try:
            for event in events:
                writer.write(event.SerializeToString())
        finally:
            writer.close()


class EventFile:
    """An event file that grows while a training goes on, a new one each sitting.

    Args:
        folder: Of the training's event files; what an earlier one says of steps that are done
            again is taken back.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: RecordWriter | None = None

    def add(self, points: Sequence[Point]) -> None:
        """Adds numbers at steps, rising.

        Raises:
            OSError: The file cannot be written.
        """
        if not points:
            return
        writer = self._writer = self._writer or self._begun(points[0])
        for point in points:
            scalar = summary.scalar(point.name, point.value)
            event = Event(wall_time=point.when, step=point.step, summary=scalar)
            writer.write(event.SerializeToString())
        writer.flush()

    def close(self) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()

    def _begun(self, first: Point) -> RecordWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        number = len(list(self._folder.iterdir()))
        writer = RecordWriter(str(self._folder / f"events.out.tfevents.{number:04}.training"))
        start = SessionLog(status=SessionLog.START)
        for event in (
            Event(wall_time=first.when, file_version=VERSION),
            Event(wall_time=first.when, step=first.step, session_log=start),
        ):
            writer.write(event.SerializeToString())
        return writer
