"""A trial as it travels to a worker, and what comes back. Plain data both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arch import Arch
from ..results.records import Origin, TrialKey


@dataclass(frozen=True, kw_only=True)
class Task:
    """One architecture to train, or to score with inherited weights, with one seed.

    Attributes:
        number: Number of the trial within the run.
        spec: The architecture.
        seed: Seed of initialisation and data order; of the supernet, if weights are inherited.
        origin: Why it is trained or scored.
        label: Name to show, such as that of a reference.
        long: Whether it is trained by the run's long recipe.
        proposal: Number of the Optuna trial that proposed it; None for one that none did.
    """

    number: int
    spec: Arch
    seed: int
    origin: Origin
    label: str = ""
    long: bool = False
    proposal: int | None = None

    @property
    def key(self) -> TrialKey:
        """What is never trained or scored twice."""
        return TrialKey(self.spec.id, self.seed, self.origin == "inherited", self.long)

    @property
    def file_name(self) -> str:
        """Name of the file that holds this trial's weights."""
        return f"{self.key.name}.pt"


Outcome = dict[str, Any]
"""Fields of a `TrialRecord` that only the worker knows: state, miou, seconds, ..."""


def failed(error: str) -> Outcome:
    """The outcome of a trial that broke before it could say more."""
    return {"state": "failed", "error": error or "unknown error", "seconds": 0.0, "steps": 0}
