"""What scores the trials of a run, in whichever process an executor makes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..data import DataConfig, load_data
from ..results import Trial, TrialResult
from ..training import Recipe, SubnetScorer
from .config_parts import SupernetPlan
from .evaluators import TrialContext, score_with_supernet, train_alone
from .layout import RunLayout
from .supernet import load_scorer

if TYPE_CHECKING:
    from .opened import Run


class TrialWorker:
    """Scores trials of a run, one after the other, as each of them says.

    Args:
        shared: What `shared_by_trials` makes.

    Raises:
        DataError: The data set is at fault.
        OSError: It cannot be read, or the run directory is not there.
    """

    def __init__(self, shared: Mapping[str, Any]) -> None:
        torch.set_num_threads(shared["threads"])
        layout = RunLayout(Path(shared["directory"]))
        layout.check_there()
        self._data = load_data(DataConfig.model_validate(shared["data"]))
        self._context = TrialContext(
            layout=layout,
            recipes=tuple(map(Recipe.model_validate, shared["recipes"])),
            image_size=tuple(shared["image_size"]),
            with_latency=shared["with_latency"],
            device="cuda" if shared["gpus"] else "cpu",
        )
        self._supernets: Mapping[int, Mapping[str, Any]] = shared["supernets"]
        self._scorers: dict[int, tuple[SubnetScorer, int]] = {}

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
                return score_with_supernet(*self._scorer(trial.seed), trial, self._context)
            return train_alone(trial, self._data, self._context)
        except torch.AcceleratorError:
            raise
        except (RuntimeError, MemoryError) as error:
            words = " ".join(str(error).split())
            return TrialResult.failed(f"{type(error).__name__}: {words}"[:500])

    def _scorer(self, seed: int) -> tuple[SubnetScorer, int]:
        """The supernet of a seed, which this worker holds from the first such trial on."""
        if seed not in self._scorers:
            where = self._supernets[seed]
            layout = RunLayout(Path(where["directory"]))
            plan = SupernetPlan.model_validate(where["plan"])
            self._scorers[seed] = load_scorer(layout, plan, self._data, self._context.device)
        return self._scorers[seed]


def shared_by_trials(run: Run[Any]) -> dict[str, Any]:
    """What all trials of a run share, as plain data."""
    config = run.config
    supernets = {
        seed: {
            "directory": str(run.supernet_layout(seed).directory.resolve()),
            "plan": config.supernet_plan(seed).model_dump(mode="json"),
        }
        for seed in config.supernet_seeds
    }
    return {
        "directory": str(run.directory.resolve()),
        "data": config.data.model_dump(mode="json"),
        "recipes": [recipe.model_dump(mode="json") for recipe in config.recipes],
        "image_size": list(config.image_size),
        "with_latency": config.with_latency,
        "threads": config.resources.cpus_per_trial,
        "gpus": config.resources.gpus_per_trial,
        "supernets": supernets,
    }
