"""Trials, and groups that train one network, on one Ray runtime."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune

from .._messages import first_line
from ..results import Trial, TrialResult
from .base import MakeWorker, Resources, Shared, TrialSource, WorkerError
from .ray_runtime import nodes, ray_session, signals_kept
from .ray_tune import NotingScheduler, TrialActor, TrialSearcher
from .retries import Retries
from .scratch import scratch_folder


class RayExecutor:
    """Runs trials by Ray Tune, and groups by Ray Train.

    Args:
        resources: What a trial asks for, and of which cluster.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._scratch = Path()

    @contextmanager
    def session(self) -> Iterator[None]:
        """See `Executor`; a runtime that is there already is used and left."""
        with scratch_folder() as self._scratch, ray_session(self._resources, self._scratch):
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
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        searcher = TrialSearcher(Retries(source, on_end, self._resources.max_retries), on_start)
        trainable = tune.with_resources(
            tune.with_parameters(TrialActor, make_worker=make_worker, shared=shared),
            {"cpu": self._resources.cpus_per_trial, "gpu": self._resources.gpus_per_trial},
        )
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=NotingScheduler(searcher),
                num_samples=-1,
                max_concurrent_trials=self._resources.workers,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="trials",
                storage_path=str(self._scratch / "tune"),
                verbose=0,
                # Another node does not see the scratch folder, and a trial that is to save there
                # at its end fails when it is done.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        with signals_kept():
            tuner.fit()
        if searcher.error:
            raise searcher.error

    def run_once(self, function: Callable[[Shared], Any], shared: Shared) -> Any:
        """See `Executor`."""
        remote = ray.remote(
            num_cpus=self._resources.cpus_per_trial, num_gpus=self._resources.gpus_per_trial
        )
        try:
            return ray.get(remote(function).remote(shared))
        except ray.exceptions.RayTaskError as error:
            raise WorkerError(f"{type(error.cause).__name__}: {first_line(error.cause)}") from error
        except ray.exceptions.RayError as error:
            raise WorkerError(first_line(error)) from error

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
        run_group(part, shared, self._resources, size, on_poll, self._scratch)
