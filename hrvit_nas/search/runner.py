"""Trials on Ray Tune.

Ray Tune schedules the trials on one machine or a cluster; a searcher hands it the trials of a
plan. Actors are reused, since a fresh one costs seconds of imports. Ray binds to the loopback
address unless the run joins an existing cluster.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import ray
from ray import tune
from ray._private import ray_constants
from ray.tune.search import Searcher

from ..arch import parse_arch
from ..data import DataConfig
from ..results import Trial, TrialResult
from ..training import Recipe
from .config import ConfigError, Resources, SearchConfig, first_line

if TYPE_CHECKING:
    from .evaluators import TrialContext

OBJECT_STORE_BYTES = 128 * 2**20
MAX_FAILURES = 2
ANSWER_S = 10


class WorkerError(RuntimeError):
    """A worker failed or died; one line says why."""


class TrialSource(Protocol):
    """Where trials come from."""

    finished: bool

    def next(self) -> Trial | None:
        """The next trial, or None: for good if `finished` is set, else for now."""


@contextmanager
def ray_session(resources: Resources) -> Iterator[None]:
    """A Ray runtime for as long as the block lasts, or the one that is running already.

    Raises:
        ConfigError: No cluster answers at the address.
    """
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "configure_logging": True,
    }
    if resources.joins_cluster:
        options["address"] = resources.address
    else:
        options |= {
            "address": "local",
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    # Ray has no authentication, and asked for 127.0.0.1 it still listens on every interface. It
    # keeps to the loopback address only where it believes that it cannot form a cluster.
    ray_constants.ENABLE_RAY_CLUSTER = resources.joins_cluster
    try:
        if resources.joins_cluster:
            _check_answers(str(resources.address))
        ray.init(**options)
    except KeyboardInterrupt:
        ray.shutdown()  # of what had started
        raise
    except Exception as error:
        where = resources.address or "this machine"
        reason = first_line(error)
        raise ConfigError(f"Ray does not start or answer at {where}: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Tries a `HOST:PORT`, at which Ray would itself try for minutes."""
    host, _, port = address.rpartition(":")
    if host and "/" not in host:
        if not port.isdecimal():
            raise ValueError(f"the port must be a number, got {port!r}")
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()


def check_resources(resources: Resources) -> None:
    """Refuses a trial that no node of the running cluster could ever hold.

    Raises:
        ConfigError: A trial asks for more CPUs or GPUs than any node has.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for name, wanted in (("CPU", resources.cpus_per_trial), ("GPU", resources.gpus_per_trial)):
        most = max((node.get(name, 0) for node in nodes), default=0)
        if wanted > most:
            raise ConfigError(
                f"a trial must fit one node: asked for {wanted:g} {name}, the largest node has"
                f" {most:g}"
            )


class TrialActor(tune.Trainable):
    """A reused actor that scores one architecture a trial."""

    def setup(self, config: dict[str, Any]) -> None:
        """Imports, threads and data: once an actor."""
        import torch

        from ..data import load_data

        torch.set_num_threads(config["threads"])
        self._config = config
        self._fault = ""
        self._scoring: tuple[Any, int] | None = None
        run_dir = Path(config["run_dir"])
        if not run_dir.is_dir():
            self._fault = f"run directory {run_dir} is not there; put it on shared storage"
            return
        try:
            self._data = load_data(DataConfig.model_validate(config["data"]))
        except (ValueError, OSError) as error:
            self._fault = str(error)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes another trial into the same process."""
        self._config = new_config
        return True

    def step(self) -> dict[str, Any]:
        """Runs the trial from start to end."""
        import torch

        from .evaluators import TrialContext, train_alone

        config = self._config
        if self._fault:
            return {"done": True, "fault": f"on node {os.uname().nodename}: {self._fault}"}
        context = TrialContext(
            run_dir=Path(config["run_dir"]),
            recipes=tuple(map(Recipe.model_validate, config["recipes"])),
            image_size=tuple(config["image_size"]),
            with_latency=config["with_latency"],
            device="cuda" if config["gpus"] else "cpu",
        )
        trial = Trial(**{**config["trial"], "arch": parse_arch(config["trial"]["arch"])})
        try:
            if trial.evaluator == "inherited":
                result = self._scored(trial, context)
            else:
                result = train_alone(trial, self._data, context)
        except torch.AcceleratorError:  # leaves the process unusable; a fresh one may succeed
            raise
        except RuntimeError as error:
            words = " ".join(str(error).split())
            result = TrialResult.failed(f"{type(error).__name__}: {words}"[:500])
        except (ValueError, OSError) as error:
            fault = " ".join(str(error).split()) or type(error).__name__
            return {"done": True, "fault": f"on node {os.uname().nodename}: {fault}"}
        node = ray.get_runtime_context().get_node_id()
        result = result.model_copy(update={"worker": f"{os.uname().nodename}/{node[:8]}"})
        # As text: Tune flattens nested results before its searcher sees them.
        return {"done": True, "result": result.model_dump_json()}

    def _scored(self, trial: Trial, context: TrialContext) -> TrialResult:
        """Scores the trial with the supernet that this actor holds from its first such one on."""
        from .evaluators import score_with_supernet
        from .supernet import load_scorer

        if self._scoring is None:
            search = SearchConfig.model_validate(self._config["search"])
            self._scoring = load_scorer(context.run_dir, search, self._data, context.device)
        return score_with_supernet(*self._scoring, trial, context)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to keep: a trial writes its own checkpoints into the run directory."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing to load."""


class TrialSearcher(Searcher):
    """Feeds a plan's trials to Ray Tune and its results back."""

    def __init__(
        self,
        source: TrialSource,
        shared: dict[str, Any],
        on_start: Callable[[Trial], None],
        on_end: Callable[[Trial, TrialResult], None],
    ) -> None:
        super().__init__()
        self._source = source
        self._shared = shared
        self._on_start = on_start
        self._on_end = on_end
        self._running: dict[str, Trial] = {}
        self.error: Exception | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
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
        return {**self._shared, "trial": {**vars(trial), "arch": trial.arch.to_json()}}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Hands a finished trial's result on."""
        trial = self._running.pop(trial_id, None)
        if trial is None:
            return
        if self.error:
            return
        if result and result.get("fault"):
            self.error = ConfigError(result["fault"])
            return
        died = error or not result or "result" not in result
        told = (
            TrialResult.failed(f"its worker died {MAX_FAILURES + 1} times")
            if died
            else TrialResult.model_validate_json(result["result"])
        )
        try:
            self._on_end(trial, told)
        except Exception as problem:  # Tune would log it and wait for ever
            self.error = problem

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher to restore it, and the run's store does that here."""
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> TrialSearcher:
        return self

    def save(self, checkpoint_path: str) -> None:
        """The state is in the run's store."""

    def restore(self, checkpoint_path: str) -> None:
        """The state is in the run's store."""


def run_once(
    function: Callable[[dict[str, Any]], Any], shared: dict[str, Any], resources: Resources
) -> Any:
    """Runs a function in one worker that has what a trial asks for, and returns its result.

    Args:
        function: At the top level of a module.
        shared: Its argument; plain data.
        resources: What a trial asks for.

    Raises:
        WorkerError: It failed.
    """
    remote = ray.remote(num_cpus=resources.cpus_per_trial, num_gpus=resources.gpus_per_trial)
    try:
        return ray.get(remote(function).remote(shared))
    except ray.exceptions.RayTaskError as error:
        raise WorkerError(f"{type(error.cause).__name__}: {first_line(error.cause)}") from error
    except ray.exceptions.RayError as error:
        raise WorkerError(first_line(error)) from error


def run_trials(
    source: TrialSource,
    shared: dict[str, Any],
    resources: Resources,
    on_start: Callable[[Trial], None],
    on_end: Callable[[Trial, TrialResult], None],
) -> None:
    """Runs trials until their source is finished, or until it is interrupted.

    Args:
        source: Where trials come from.
        shared: What the configuration of every trial holds besides itself; plain data.
        resources: What a trial asks for.
        on_start: Called in this process as a trial is handed out.
        on_end: Called in this process with what came of it.

    Raises:
        ConfigError: No trial can run on some node, because of its data or the run directory.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    searcher = TrialSearcher(source, shared, on_start, on_end)
    trainable = tune.with_resources(
        TrialActor, {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial}
    )
    scratch = tempfile.mkdtemp(prefix="hrvit-tune-")
    try:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                num_samples=-1,
                max_concurrent_trials=resources.workers,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="trials",
                storage_path=scratch,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            ),
        )
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if searcher.error:
        raise searcher.error
