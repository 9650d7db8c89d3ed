"""What scores the trials of a run, in whichever process an executor makes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..data import DataConfig, load_data
from ..results import Trial, TrialResult
from ..training import MemberScorer, Recipe
from .config import ConfigError, SearchConfig
from .evaluators import TrialContext, score_with_supernet, train_alone
from .supernet import load_scorer


class TrialWorker:
    """Scores trials of a run, one after the other, as each of them says.

    Args:
        shared: What `shared_by_trials` makes; where trials are scored with a supernet, `search`
            too, the configuration that it was trained for.

    Raises:
        ConfigError: The run directory is not there.
        DataError: The data set is at fault.
        OSError: It cannot be read.
    """

    def __init__(self, shared: Mapping[str, Any]) -> None:
        torch.set_num_threads(shared["threads"])
        run_dir = Path(shared["run_dir"])
        if not run_dir.is_dir():
            raise ConfigError(f"run directory {run_dir} is not there; put it on shared storage")
        self._data = load_data(DataConfig.model_validate(shared["data"]))
        self._context = TrialContext(
            run_dir=run_dir,
            recipes=tuple(map(Recipe.model_validate, shared["recipes"])),
            image_size=tuple(shared["image_size"]),
            with_latency=shared["with_latency"],
            device="cuda" if shared["gpus"] else "cpu",
        )
        self._search: Mapping[str, Any] | None = shared.get("search")
        self._scoring: tuple[MemberScorer, int] | None = None

    def run(self, trial: Trial) -> TrialResult:
        """Scores a trial.

        An error of torch is the trial's own, and comes back as a failed result; not so one of an
        accelerator, which leaves the process unusable, so that a fresh one may succeed.

        Raises:
            ValueError, OSError: Data or disk are at fault.
            torch.AcceleratorError: The device is.
        """
        try:
            if trial.evaluator == "inherited":
                return score_with_supernet(*self._scorer(), trial, self._context)
            return train_alone(trial, self._data, self._context)
        except torch.AcceleratorError:
            raise
        except RuntimeError as error:
            words = " ".join(str(error).split())
            return TrialResult.failed(f"{type(error).__name__}: {words}"[:500])

    def _scorer(self) -> tuple[MemberScorer, int]:
        """The run's supernet, which this worker holds from the first such trial on."""
        if self._scoring is None:
            search = SearchConfig.model_validate(self._search)
            context = self._context
            self._scoring = load_scorer(context.run_dir, search, self._data, context.device)
        return self._scoring
