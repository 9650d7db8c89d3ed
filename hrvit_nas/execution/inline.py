"""Trials in this process, one after the other: for tests, for debuggers, and without Ray."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .._messages import first_line
from ..results import Trial, TrialResult
from .base import (
    ExecutionError,
    MakeWorker,
    Resources,
    Shared,
    TrialSource,
    Worker,
    WorkerError,
    fault_of,
)
from .retries import Retries

POLL_S = 0.2


class InlineExecutor:
    """Runs trials in this process. A trial that takes the process down ends the run, resumably.

    Args:
        resources: What a trial asks for.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    @contextmanager
    def session(self) -> Iterator[None]:
        """Leaves torch's threads and random state as they were."""
        here = {"CPU": os.cpu_count() or 1, "GPU": torch.cuda.device_count()}
        self._resources.check_fits([here])
        threads, state = torch.get_num_threads(), torch.get_rng_state()
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_rng_state(state)

    def run_trials(
        self,
        source: TrialSource,
        make_worker: MakeWorker,
        shared: Shared,
        on_start: Callable[[Trial], None],
        on_end: Callable[[Trial, TrialResult], None],
    ) -> None:
        """See `Executor`."""
        worker: Worker | None = None
        retries = Retries(source, on_end, self._resources.max_retries)
        while (trial := retries.next()) is not None:
            on_start(trial)
            try:
                worker = worker or make_worker(shared)
                result = worker.run(trial)
            except (ValueError, OSError, RuntimeError) as error:
                raise ExecutionError(fault_of(error)) from error
            worker_name = f"{os.uname().nodename}/inline"
            retries.ended(trial, result.model_copy(update={"worker": worker_name}))

    def run_once(self, function: Callable[[Shared], Any], shared: Shared) -> Any:
        """See `Executor`."""
        try:
            return function(shared)
        except Exception as error:
            raise WorkerError(f"{type(error).__name__}: {first_line(error)}") from error

    def run_group(
        self,
        part: Callable[[Shared], None],
        shared: Shared,
        batch_size: int,  # noqa: ARG002
        on_poll: Callable[[], None],
    ) -> None:
        """See `Executor`; the group is this process."""
        ended = threading.Event()
        faults: list[Exception] = []

        def watch() -> None:
            while not faults and not ended.wait(POLL_S):
                try:
                    on_poll()
                except Exception as error:
                    faults.append(error)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            part(shared)
        finally:
            ended.set()
            thread.join()
        if faults:
            raise faults[0]
        on_poll()
