"""The kinds of run: what each is configured by, is called, and trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .ablation_config import AblationConfig
from .config import CalibrationConfig, RunConfig, SearchConfig, SupernetSearchConfig
from .plan import AblationTrials, CalibrationTrials, SearchTrials, SupernetSearchTrials, Trials


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of run.

    Attributes:
        config: Its configuration.
        words: What a message calls it.
        trials: Its plan: what is trained, in order.
        command: The command that makes and continues it; None = Python alone.
    """

    config: type[RunConfig]
    words: str
    trials: type[Trials[Any]]
    command: str | None = None


KINDS: dict[str, Kind] = {
    "search": Kind(
        config=SearchConfig,
        words="a search",
        trials=SearchTrials,
        command="hrvit-search",
    ),
    "supernet_search": Kind(
        config=SupernetSearchConfig,
        words="a search with a supernet",
        trials=SupernetSearchTrials,
        command="hrvit-search",
    ),
    "calibration": Kind(
        config=CalibrationConfig,
        words="a calibration",
        trials=CalibrationTrials,
        command="hrvit-search",
    ),
    "ablation": Kind(
        config=AblationConfig,
        words="an ablation",
        trials=AblationTrials,
        command="hrvit-ablate",
    ),
}
"""By the `kind` of their configurations."""
