"""Trials, and groups that train one network, on one Ray runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..results import Trial, TrialResult
from .base import MakeWorker, Resources, Shared, TrialSource
from .ray_runtime import nodes, ray_session, run_once
from .ray_tune import run_trials


class RayExecutor:
    """Runs trials by Ray Tune, and groups by Ray Train.

    Args:
        resources: What a trial asks for, and of which cluster.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    @contextmanager
    def session(self) -> Iterator[None]:
        """See `Executor`; a runtime that is there already is used and left."""
        with ray_session(self._resources):
            self._resources.check_fits(nodes())
            yield

    def run_trials(
        self,
        source: TrialSource,
        make_worker: MakeWorker,
        shared: Shared,
        on_start: Callable[[Trial], None],
        on_end: Callable[[Trial, TrialResult], None],
    ) -> None:
        """See `Executor`."""
        run_trials(source, make_worker, shared, self._resources, on_start, on_end)

    def run_once(self, function: Callable[[Shared], Any], shared: Shared) -> Any:
        """See `Executor`."""
        return run_once(function, shared, self._resources)

    def run_group(
        self,
        part: Callable[[Shared], None],
        shared: Shared,
        batch_size: int,
        on_poll: Callable[[], None],
    ) -> None:
        """See `Executor`."""
        from .ray_train import group_size, run_group  # a second of imports that few runs need

        size = group_size(self._resources, batch_size)
        run_group(part, shared, self._resources, size, on_poll)
