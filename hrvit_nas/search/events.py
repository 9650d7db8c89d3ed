"""A trial as an event file of TensorBoard.

`tensorboardX.SummaryWriter` is left aside for what it is made of: it writes from a thread, which a
full disk can end, and then waits for that thread for ever.
"""

from __future__ import annotations

from pathlib import Path

from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import RecordWriter

from ..objectives import SCORES
from ..results import TrialRecord, replacing
from .facts import costs, curve, facts


def write_events(path: Path, record: TrialRecord) -> None:
    """Writes a trial: its scores by step, what it is and costs (HParams), and its error as text.

    Args:
        path: The event file, which an older one is replaced by in one step.
        record: The trial.

    Raises:
        OSError: The file cannot be written.
    """
    end = record.finished_at.timestamp()
    events = [Event(wall_time=end - record.seconds, file_version="brain.Event:2")]
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
