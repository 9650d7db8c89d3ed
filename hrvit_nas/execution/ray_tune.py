"""Trials on Ray Tune.

Ray Tune schedules the trials on one machine or a cluster; a searcher hands it the trials of a
source. Actors are reused, since a fresh one costs seconds of imports.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from ..arch import parse_arch
from ..results import Trial, TrialResult
from .base import ExecutionError, MakeWorker, Shared, Worker, fault_of
from .retries import Retries


class FailedTrialError(RuntimeError):
    """A trial failed for its own reasons: its result as text. Its process is of no more use, since
    it is tried again elsewhere.
    """


class TrialActor(tune.Trainable):
    """A reused actor: a worker in a process of its own, which runs a trial a step."""

    # Tune hands on what `with_parameters` was given, which its own signature leaves out.
    def setup(  # type: ignore[override]
        self, config: dict[str, Any], make_worker: MakeWorker, shared: Shared
    ) -> None:
        """Makes the worker: once an actor."""
        self._config = config
        self._worker: Worker | None = None
        try:
            self._worker = make_worker(shared)
        except (ValueError, OSError) as error:
            self._fault = fault_of(error)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes another trial into the same process."""
        self._config = new_config
        return True

    def step(self) -> dict[str, Any]:
        """Runs the trial from start to end."""
        if self._worker is None:
            return {"done": True, "fault": self._fault}
        fields = self._config["trial"]
        trial = Trial(**{**fields, "arch": parse_arch(fields["arch"])})
        try:
            result = self._worker.run(trial)
        except (ValueError, OSError) as error:
            return {"done": True, "fault": fault_of(error)}
        node = ray.get_runtime_context().get_node_id()
        result = result.model_copy(update={"worker": f"{os.uname().nodename}/{node[:8]}"})
        if result.state == "failed":
            raise FailedTrialError(result.model_dump_json())
        # As text: Tune flattens nested results before its searcher sees them.
        return {"done": True, "result": result.model_dump_json()}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to keep: a trial writes its own checkpoints into the run directory."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing to load."""


class TrialSearcher(Searcher):
    """Feeds trials to Ray Tune and its results back.

    Args:
        source: Where trials come from, and come back to.
        on_start: Called with what is handed out.
    """

    def __init__(self, source: Retries, on_start: Callable[[Trial], None]) -> None:
        super().__init__()
        self._source = source
        self._on_start = on_start
        self._running: dict[str, Trial] = {}
        self._problems: dict[str, BaseException] = {}
        self._deaf = False
        self.error: Exception | None = None

    # Tune's own signature leaves out FINISHED, which is a string.
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """The configuration of the next trial."""
        if self.error:
            return Searcher.FINISHED
        try:
            trial = self._source.next()
            if trial is None:
                return Searcher.FINISHED if self._source.finished else None
            self._on_start(trial)
        except Exception as problem:  # Tune would not end its own processes
            self.error = problem
            return Searcher.FINISHED
        self._running[trial_id] = trial
        return {"trial": {**vars(trial), "arch": trial.arch.to_json()}}

    def note_problem(self, trial_id: str, problem: BaseException | None) -> None:
        """Takes what ended a trial's process, just before the trial is said to have ended."""
        if problem is not None:
            self._problems[trial_id] = problem

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Hands a finished trial's result on."""
        trial = self._running.pop(trial_id, None)
        problem = self._problems.pop(trial_id, None)
        if trial is None or self._deaf:
            return
        if result and result.get("fault"):
            self.error = self.error or ExecutionError(result["fault"])
            return
        if _node_died(problem):
            self._source.lost(trial)
            return
        if error or not result or "result" not in result:
            told = _failure(problem)
        else:
            told = TrialResult.model_validate_json(result["result"])
        if self.error and told.state == "failed":
            return  # it may be of the same fault, and is tried again when the run goes on
        try:
            self._source.ended(trial, told)
        except Exception as fault:  # Tune would log it and wait for ever
            self.error, self._deaf = self.error or fault, True

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher to restore it, and the run's store does that here."""
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> TrialSearcher:
        return self

    def save(self, checkpoint_path: str) -> None:
        """The state is in the run's store."""

    def restore(self, checkpoint_path: str) -> None:
        """The state is in the run's store."""


class NotingScheduler(FIFOScheduler):
    """Runs trials as they come, and tells their searcher why one ended with an error.

    Args:
        searcher: Who is told.
    """

    def __init__(self, searcher: TrialSearcher) -> None:
        super().__init__()
        self._searcher = searcher

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        """See `TrialScheduler`; Tune tells its searcher next."""
        # What Tune itself wrote a moment ago; it tells nobody in another way.
        path = trial.pickled_error_file
        problem = None if path is None else ray.cloudpickle.loads(Path(path).read_bytes())
        self._searcher.note_problem(trial.trial_id, problem)
        super().on_trial_error(tune_controller, trial)


def _node_died(problem: BaseException | None) -> bool:
    lost = isinstance(problem, ray.exceptions.ActorUnavailableError)  # the connection broke first
    return lost or (
        isinstance(problem, ray.exceptions.RayActorError)
        and (problem.preempted or "node has died" in str(problem))
    )


def _failure(problem: BaseException | None) -> TrialResult:
    """What came of a trial whose process ended."""
    cause = getattr(problem, "cause", None)
    if isinstance(cause, FailedTrialError):
        return TrialResult.model_validate_json(str(cause))
    reason = " ".join(str(problem or "").split())
    return TrialResult.failed(f"its worker died: {reason}"[:500])
