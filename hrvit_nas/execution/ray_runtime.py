"""A Ray runtime. It binds to the loopback address unless the run joins an existing cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray._private import ray_constants

from .base import Resources
from .before import check_answers, unanswered

OBJECT_STORE_BYTES = 128 * 2**20


@contextmanager
def ray_session(resources: Resources) -> Iterator[None]:
    """A Ray runtime for as long as the block lasts, or the one that is running already.

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
        }
    # Ray has no authentication, and asked for 127.0.0.1 it still listens on every interface. It
    # keeps to the loopback address only where it believes that it cannot form a cluster.
    ray_constants.ENABLE_RAY_CLUSTER = resources.joins_cluster
    try:
        if resources.joins_cluster:
            check_answers(str(resources.address))
        ray.init(**options)
    except KeyboardInterrupt:
        ray.shutdown()  # of what had started
        raise
    except Exception as error:
        raise unanswered(resources.address, error) from error
    try:
        yield
    finally:
        ray.shutdown()


def nodes() -> list[dict[str, float]]:
    """What each node of the running cluster has, such as of `CPU` and `GPU`."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
