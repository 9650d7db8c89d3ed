"""A trial as it travels to a worker, and what comes back. Plain data both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arch import ArchSpec
from ..results.records import Origin


@dataclass(frozen=True, kw_only=True)
class Task:
    """One architecture to train with one seed.

    Attributes:
        number: Number of the trial within the run.
        spec: The architecture.
        seed: Seed of initialisation and data order.
        origin: Why it is trained.
        label: Name to show, such as that of a reference.
        proposal: Number of the Optuna trial that proposed it; None for one that none did.
    """

    number: int
    spec: ArchSpec
    seed: int
    origin: Origin
    label: str = ""
    proposal: int | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What is never trained twice: architecture and seed."""
        return self.spec.id, self.seed

    @property
    def file_name(self) -> str:
        """Name of the file that holds this trial's weights."""
        return f"{self.spec.id}-s{self.seed}.pt"


Outcome = dict[str, Any]
"""Fields of a `TrialRecord` that only the worker knows: state, miou, seconds, ..."""


def failed(error: str) -> Outcome:
    """The outcome of a trial that broke before it could say more."""
    return {"state": "failed", "error": error or "unknown error", "seconds": 0.0, "steps": 0}
