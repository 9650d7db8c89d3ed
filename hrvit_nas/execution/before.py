"""What resources ask for that is not there, told before anything is started for them."""

from __future__ import annotations

import os
import socket
import sys

from .._messages import first_line, one_line
from .base import ExecutionError, Resources

ANSWER_S = 10


def check_before(resources: Resources) -> None:
    """Refuses what can be seen not to be there, without starting Ray.

    What only a cluster knows, such as how large its nodes are, is left to `Executor.session`.

    Raises:
        ExecutionError: This machine could never hold a trial, or no cluster answers.
    """
    ray = sys.modules.get("ray")
    if resources.executor != "inline" and ray is not None and ray.is_initialized():
        return  # that runtime is used, whatever it has
    if not resources.joins_cluster:
        import torch

        here = {"CPU": os.cpu_count() or 1, "GPU": torch.cuda.device_count()}
        resources.check_fits([here])
        return
    address = str(resources.address)
    try:
        if address == "auto":
            from ray._private import services

            address = services.canonicalize_bootstrap_address(address) or address
        check_answers(address)
    except Exception as error:  # of Ray, of the network, of the address
        raise unanswered(resources.address, error) from error


def check_answers(address: str) -> None:
    """Tries a `HOST:PORT`, at which Ray would itself try for minutes.

    Raises:
        OSError: Nobody answers.
        ValueError: It is no address.
    """
    if "://" in address and not address.startswith("ray://"):
        return  # of somebody's own kind
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        raise ValueError("an address must be auto or HOST:PORT")
    if not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"the port must be a number from 1 to 65535, got {port!r}")
    socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()


def unanswered(address: str | None, error: Exception) -> ExecutionError:
    """Of a Ray that does not start, or does not answer."""
    where = address or "this machine"
    return ExecutionError(
        f"Ray does not start or answer at {where}: {one_line(first_line(error), 160)}"
    )
