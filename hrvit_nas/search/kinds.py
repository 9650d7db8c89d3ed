"""The kinds of run: what each is configured by, is called, and trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .ablation_config import AblationConfig
from .config import CalibrationConfig, SearchConfig, SupernetSearchConfig
from .plan import AblationTrials, CalibrationTrials, Trials
from .run_config import RunConfig
from .search_plan import SearchTrials, SupernetSearchTrials


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of run.

    Attributes:
        config: Its configuration.
        words: What a message calls it.
        trials: Its plan: what is trained, in order.
    """

    config: type[RunConfig]
    words: str
    trials: type[Trials[Any]]


KINDS: dict[str, Kind] = {
    "search": Kind(
        config=SearchConfig,
        words="a search",
        trials=SearchTrials,
    ),
    "supernet_search": Kind(
        config=SupernetSearchConfig,
        words="a search with a supernet",
        trials=SupernetSearchTrials,
    ),
    "calibration": Kind(
        config=CalibrationConfig,
        words="a calibration",
        trials=CalibrationTrials,
    ),
    "ablation": Kind(
        config=AblationConfig,
        words="an ablation",
        trials=AblationTrials,
    ),
}
"""By the `kind` of their configurations."""
