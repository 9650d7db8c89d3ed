"""Data-parallel training on Ray Train: one process a worker, gloo on CPUs, NCCL on GPUs.

Ray Train starts the processes, watches them, and starts all of them anew when one dies. Its stock
rendezvous, torch's `TCPStore`, listens on every interface; here it is handed a socket that is bound
to the address that the node has within Ray, the loopback one for a local run.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import ray
from ray import train
from ray._common.constants import RAY_WARN_BLOCKING_GET_INSIDE_ASYNC_ENV_VAR
from ray._private import worker as ray_worker
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2._internal.constants import (
    WORKER_GROUP_START_TIMEOUT_S_ENV_VAR,
    get_env_vars_to_propagate,
)
from ray.train.v2._internal.execution.controller import TrainController

from ..training import TrainingFailedError
from .base import ExecutionError, Resources, Shared
from .ray_runtime import nodes

RESTARTS = 2
MIN_IMAGES = 4
TIMEOUT_S = 600
"""Longest that the processes wait for one of them, such as for the first to score and save."""
STARTED_S = 600
"""Longest that a group waits for its share of a busy cluster."""
POLL_S, ENDED_S = 0.2, 10
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_OWN_ERRORS = (ValueError, OSError, TrainingFailedError)
"""Errors that a new start would meet again."""


def group_size(resources: Resources, batch_size: int) -> int:
    """Processes to train with: those asked for, or all that fit the running cluster.

    Unless asked for, no process gets fewer than 4 images of a batch, by which its batch norms
    normalise.

    Raises:
        ExecutionError: Not one fits, or fewer than the workers asked for.
    """
    gpus = _gpus(resources)
    fit = 0
    for node in nodes():
        fits = node.get("CPU", 0) // resources.cpus_per_trial
        fit += int(min(fits, node.get("GPU", 0) // gpus) if gpus else fits)
    if fit < (resources.workers or 1):
        raise ExecutionError(
            f"training together wants {resources.workers or 1} workers of"
            f" {resources.cpus_per_trial} CPU and {gpus} GPU, the cluster holds {fit}"
        )
    if resources.workers:
        return min(resources.workers, batch_size)
    return min(fit, max(1, batch_size // MIN_IMAGES))


def run_group(
    part: Callable[[Shared], None],
    shared: Shared,
    resources: Resources,
    size: int,
    on_poll: Callable[[], None],
    scratch: Path,
) -> None:
    """Runs a function on every process of a group, within the Ray runtime that there is.

    Args:
        part: What each process runs, once `torch.distributed` is initialised. When a process dies
            all are started anew, so it goes on from what it has saved.
        shared: Its argument; plain data.
        resources: What a process asks for; a GPU is not shared.
        size: Number of processes.
        on_poll: Called in this process some times a second.
        scratch: Folder for what Ray Train keeps while it runs.

    Raises:
        ValueError, OSError, TrainingFailedError: As `part` raised it.
        RuntimeError: Processes died more often than they were to be started anew.
    """
    # Ray says on stdout that a worker died, whatever its loggers are set to.
    ray_worker.print_to_stdstream = lambda *_, **__: None
    trainer = _trainer(part, shared, resources, size, scratch / "train")
    fault: list[BaseException] = []

    def fit() -> None:
        try:
            trainer.fit()
        except BaseException as error:  # handed over to the caller's thread
            fault.append(error)

    # In the main thread Ray Train would answer SIGINT itself, by leaving the program.
    thread = threading.Thread(target=fit, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(POLL_S)
            on_poll()
    except BaseException:
        _end(trainer, thread)
        raise
    if fault:
        cause = getattr(fault[0], "controller_failure", fault[0])
        if isinstance(cause, _OWN_ERRORS):
            raise cause
        words = _COLOURS.sub("", str(cause)).split()
        raise RuntimeError(" ".join(words)[:500] or type(cause).__name__) from fault[0]


def _end(trainer: _Trainer, thread: threading.Thread) -> None:
    """Ends a group, and the thread that runs it: it would ask a Ray that is shut down, which ends
    the program. A group that is only starting cannot be told; it is killed after some seconds, and
    what it had reserved is given back when the program leaves Ray.
    """
    told, deadline = False, time.monotonic() + ENDED_S
    while thread.is_alive() and time.monotonic() < deadline + ENDED_S:
        if trainer.controller is not None:
            if not told:
                told = bool(trainer.controller.abort.remote())
            elif time.monotonic() > deadline:
                ray.kill(trainer.controller)
        thread.join(POLL_S)


def _trainer(
    part: Callable[[Shared], None], shared: Shared, resources: Resources, size: int, storage: Path
) -> _Trainer:
    """What starts the processes of a group, and starts them anew when one dies."""
    gpus = _gpus(resources)
    process = {"CPU": resources.cpus_per_trial} | ({"GPU": gpus} if gpus else {})
    return _Trainer(
        part,
        train_loop_config=dict(shared),
        torch_config=_LoopbackConfig("nccl" if gpus else "gloo", timeout_s=TIMEOUT_S),
        scaling_config=train.ScalingConfig(
            num_workers=size, use_gpu=bool(gpus), resources_per_worker=process
        ),
        # To mypy these are the classes of Ray Train's first version.
        run_config=train.RunConfig(
            storage_path=str(storage),
            callbacks=[_NoRetry()],  # type: ignore[list-item]
            failure_config=train.FailureConfig(  # type: ignore[call-arg]
                max_failures=RESTARTS, controller_failure_limit=RESTARTS
            ),
        ),
    )


def _gpus(resources: Resources) -> int:
    return -int(-resources.gpus_per_trial // 1)


class _Trainer(TorchTrainer):
    """Hands out what runs its group, for it to be told to end."""

    controller: Any = None

    def _initialize_and_run_controller(self, **parts: Any) -> train.Result:
        variables = {WORKER_GROUP_START_TIMEOUT_S_ENV_VAR: str(STARTED_S)}
        # It listens to its group by blocking calls, of which Ray would warn.
        variables |= {RAY_WARN_BLOCKING_GET_INSIDE_ASYNC_ENV_VAR: "0"}
        here = ray.get_runtime_context().get_node_id()
        remote = ray.remote(
            num_cpus=0,
            label_selector={"ray.io/node-id": here},
            runtime_env={"env_vars": variables | get_env_vars_to_propagate()},
        )
        self.controller = remote(TrainController).remote(**parts)
        ray.get(self.controller.run.remote())
        return ray.get(self.controller.get_result.remote())


class _NoRetry(train.UserCallback):
    """Ends the run at an error of our own; what is raised in the controller is not retried."""

    def after_exception(
        self,
        run_context: Any,  # noqa: ARG002
        worker_exceptions: dict[int, Exception],
    ) -> None:
        for error in worker_exceptions.values():
            if isinstance(error, _OWN_ERRORS):
                raise error


class _LoopbackBackend(TorchConfig().backend_cls):  # type: ignore[misc]  # known when it runs
    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        address = worker_group.execute_single(0, _listen)
        size = len(worker_group)
        ray.get(
            [
                worker_group.execute_single_async(rank, _join, address, rank, size, backend_config)
                for rank in range(size)
            ]
        )

    def on_shutdown(self, worker_group: Any, backend_config: TorchConfig) -> None:
        """Nothing: the processes are killed next, and one that hangs would cost half a minute."""


@dataclass
class _LoopbackConfig(TorchConfig):
    @property
    def backend_cls(self) -> type:
        return _LoopbackBackend


_listening: list[int] = []


def _listen() -> tuple[str, int]:
    server = socket.create_server((ray.util.get_node_ip_address(), 0))
    host, port = server.getsockname()[:2]
    _listening[:] = [server.detach()]
    return host, port


def _join(address: tuple[str, int], rank: int, size: int, config: TorchConfig) -> None:
    from torch import distributed

    host, port = address
    if host.startswith("127."):
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = "lo"
    timeout = timedelta(seconds=config.timeout_s)
    store = distributed.TCPStore(  # type: ignore[attr-defined]  # torch exports it, unlisted
        host, port, size, rank == 0, timeout, master_listen_fd=_listening[0] if rank == 0 else None
    )
    distributed.init_process_group(
        config.backend, store=store, rank=rank, world_size=size, timeout=timeout
    )
