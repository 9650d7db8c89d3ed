"""A Ray runtime. It binds to the loopback address unless the run joins an existing cluster."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants, services, utils

from .base import Resources
from .before import check_answers, unanswered

_TAKEN = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
OBJECT_STORE_BYTES = 128 * 2**20


@contextmanager
def ray_session(resources: Resources, scratch: Path) -> Iterator[None]:
    """A Ray runtime for as long as the block lasts, or the one that is running already.

    Args:
        resources: Which cluster.
        scratch: Folder that a local one keeps its logs and sockets in.

    Raises:
        ExecutionError: No cluster answers at the address.
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
            "_temp_dir": str(scratch / "ray"),
        }
    # Asked for 127.0.0.1 Ray still listens on every interface. It keeps to the loopback address
    # only where it believes that it cannot form a cluster.
    ray_constants.ENABLE_RAY_CLUSTER = resources.joins_cluster
    try:
        if resources.joins_cluster:
            check_answers(str(resources.address))
        with sigterm_waits(), signals_kept():
            ray.init(**options)
    except KeyboardInterrupt:
        _shut_down()  # what had started
        raise
    except Exception as error:
        raise unanswered(resources.address, error) from error
    try:
        yield
    finally:
        _shut_down()


def _shut_down() -> None:
    # Ray's C++ part ends by giving SIGTERM back to the system, whatever Python has been told.
    with sigterm_waits(), signals_kept():
        ray.shutdown()


@contextmanager
def signals_kept() -> Iterator[None]:
    """Leaves signals to whom they belong.

    As it starts, Ray takes SIGTERM to leave the program at once, and its C++ part to print its
    stack and abort, which as it ends leaves it to the system, which kills; Ray Tune takes SIGINT,
    and keeps it.
    """
    handlers = {number: signal.getsignal(number) for number in _TAKEN}
    sets_it, utils.set_sigterm_handler = utils.set_sigterm_handler, lambda _: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = sets_it
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                if handler is not None:
                    signal.signal(number, handler)


@contextmanager
def sigterm_waits() -> Iterator[None]:
    """Lets SIGTERM wait while Ray starts or ends, or at most until it starts its next process.

    Between what Ray's C++ part takes and `signals_kept` puts back, a signal would abort the
    program. Processes would inherit that they are not to be told, and not end when Ray stops.
    """
    starts = services.start_ray_process
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def started(*arguments: Any, **options: Any) -> Any:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            return starts(*arguments, **options)
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    services.start_ray_process = started
    try:
        yield
    finally:
        services.start_ray_process = starts
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def nodes() -> list[dict[str, float]]:
    """What each node of the running cluster has, such as of `CPU` and `GPU`."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
