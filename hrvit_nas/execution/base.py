"""What runs trials: the resources it is given, and what every executor offers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .._names import ExecutorName
from ..results import Trial, TrialResult


class ExecutionError(ValueError):
    """A machine or a cluster cannot do what is asked of it; one line that says why."""


class WorkerError(RuntimeError):
    """A worker failed or died; one line says why."""


class Resources(BaseModel):
    """What trials run on, and what each of them asks of it.

    Attributes:
        executor: `ray_tune`: in processes of Ray, on this machine or a cluster. `inline`: one after
            the other in this process, for debugging.
        cpus_per_trial: CPU cores, which is also the number of threads.
        gpus_per_trial: GPUs; fractions let trials share one. 0 = train on the CPU.
        workers: Most trials at a time; None = as many as the resources allow.
        address: An existing Ray cluster; None or `local` = a local one, for this run alone.
        max_retries: How often a trial that failed is tried again, in another process where there
            are several. A node that dies is not its trials' failure, and does not count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    executor: ExecutorName = "ray_tune"
    cpus_per_trial: int = Field(default=1, ge=1)
    gpus_per_trial: float = Field(default=0, ge=0)
    workers: int | None = Field(default=None, ge=1)
    address: str | None = Field(default=None, min_length=1)
    max_retries: int = Field(default=1, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Resources:
        if self.gpus_per_trial > 1 and self.gpus_per_trial % 1:
            raise ValueError(
                "gpus_per_trial must be a fraction of at most 1 or a whole number,"
                f" got {self.gpus_per_trial}"
            )
        if self.executor == "inline":
            if self.joins_cluster:
                raise ValueError(
                    "executor inline runs in this process; address must not be set, got"
                    f" {self.address}"
                )
            if (self.workers or 1) > 1:
                raise ValueError(
                    f"executor inline runs a trial at a time; workers must be 1, got {self.workers}"
                )
        return self

    @property
    def joins_cluster(self) -> bool:
        """Whether trials run on a cluster that is there already."""
        return self.address not in (None, "local")

    def check_fits(self, nodes: Iterable[Mapping[str, float]]) -> None:
        """Refuses a trial that no node could ever hold.

        Args:
            nodes: What each node has of `CPU` and `GPU`.

        Raises:
            ExecutionError: A trial asks for more CPUs or GPUs than any node has.
        """
        nodes = list(nodes)
        for name, wanted in (("CPU", self.cpus_per_trial), ("GPU", self.gpus_per_trial)):
            most = max((node.get(name, 0) for node in nodes), default=0)
            if wanted > most:
                raise ExecutionError(
                    f"a trial must fit one node: asked for {wanted:g} {name}, the largest node has"
                    f" {most:g}"
                )


def merged_resources(known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Resources as known, with some given anew; to run inline undoes what that cannot have."""
    undone = ("workers", "address") if given.get("executor") == "inline" else ()
    return {name: value for name, value in known.items() if name not in undone} | dict(given)


class TrialSource(Protocol):
    """Where trials come from."""

    @property
    def finished(self) -> bool:
        """Whether there will be no more, and all that were handed out have ended."""

    def next(self) -> Trial | None:
        """The next trial, or None: for good if `finished` is set, else for now."""


class Worker(Protocol):
    """Scores trials, one after the other, in one process."""

    def run(self, trial: Trial) -> TrialResult:
        """Scores a trial; one that fails for its own reasons comes back as a failed result.

        Raises:
            ValueError, OSError: The data or the machine is at fault, which ends the run.
            RuntimeError: This process is of no more use; another one may be.
        """


Shared: TypeAlias = dict[str, Any]
"""What all trials of a run share, as plain data."""
MakeWorker: TypeAlias = Callable[[Shared], Worker]
"""Makes a worker, once a process; at the top level of a module. Raises as the worker does."""


class Executor(Protocol):
    """Runs trials. All but `session` are called within its session."""

    def session(self) -> AbstractContextManager[None]:
        """A runtime for as long as the block lasts.

        Raises:
            ExecutionError: It does not start, or could never hold a trial.
        """

    def run_trials(
        self,
        source: TrialSource,
        make_worker: MakeWorker,
        shared: Shared,
        on_start: Callable[[Trial], None],
        on_end: Callable[[Trial, TrialResult], None],
    ) -> None:
        """Runs trials until their source is finished, or until it is interrupted.

        Args:
            source: Where trials come from.
            make_worker: Makes what scores them.
            shared: Its argument.
            on_start: Called in this process as a trial is handed out, also again.
            on_end: Called in this process with what came of it; one that failed has been tried
                again `max_retries` times.

        Raises:
            ExecutionError: No trial can run on some node, because of its data or the run directory.
        """

    def run_once(self, function: Callable[[Shared], Any], shared: Shared) -> Any:
        """Runs a function in a worker that has what a trial asks for, and returns its result.

        Args:
            function: At the top level of a module.
            shared: Its argument; plain data.

        Raises:
            WorkerError: It failed.
        """

    def run_group(
        self,
        part: Callable[[Shared], None],
        shared: Shared,
        batch_size: int,
        on_poll: Callable[[], None],
    ) -> None:
        """Runs a function on every process of a group that trains one network together.

        Args:
            part: What each process runs. In a group of several `torch.distributed` is initialised;
                when a process dies all are started anew, so it goes on from what it has saved.
            shared: Its argument; plain data.
            batch_size: Images of a batch, which the processes share.
            on_poll: Called some times a second.

        Raises:
            ValueError, OSError, RuntimeError: As `part` raised it, or processes kept dying.
        """


def fault_of(error: Exception) -> str:
    """What a worker says of a machine at fault: one line, with the node."""
    words = " ".join(str(error).split()) or type(error).__name__
    return f"on node {os.uname().nodename}: {words}"
