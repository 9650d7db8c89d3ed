"""A trial in names, texts and numbers, as other tools show it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..objectives import SCORES
from ..results import COST_COLUMNS, TrialRecord

LOGGED = (*COST_COLUMNS, "seconds", "uncalibrated_miou")


@dataclass(frozen=True)
class Point:
    """A number at a step.

    Attributes:
        name: Of which number.
        value: The number.
        when: Seconds since 1970.
        step: Optimiser steps.
    """

    name: str
    value: float
    when: float
    step: int = 0


def facts(record: TrialRecord) -> dict[str, str]:
    """What a trial is, as text; what is empty is left out."""
    known = {
        "arch_id": record.arch_id,
        "seed": str(record.seed),
        "purpose": record.purpose,
        "evaluator": record.evaluator,
        "budget": str(record.budget),
        "label": record.label,
        "state": record.state,
        "steps": str(record.steps),
    }
    return {name: text for name, text in known.items() if text}


def costs(record: TrialRecord) -> dict[str, float]:
    """The numbers of a trial that have no course over steps, under the names of its columns."""
    known = {name: getattr(record, name) for name in LOGGED}
    return {name: float(value) for name, value in known.items() if value is not None}


def curve(record: TrialRecord) -> Iterator[tuple[int, float, dict[str, float]]]:
    """The learning curve: optimiser steps, time (seconds since 1970) and scores."""
    end = record.finished_at.timestamp()
    for point in record.history:
        known = {name: getattr(point, name) for name in SCORES}
        scores = {name: float(value) for name, value in known.items() if value is not None}
        when = end if point.seconds is None else end - record.seconds + point.seconds
        yield point.step, when, scores
    if not record.history and record.miou is not None:
        yield record.steps, end, {"miou": record.miou}
