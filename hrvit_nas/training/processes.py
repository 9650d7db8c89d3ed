"""The processes that train one network together, each on its part of every batch.

`DistributedDataParallel` averages gradients within each backward pass; a step may have several,
each of another subnet, and averages once, so it is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")


class Processes:
    """Those of the process group where `torch.distributed` is initialised, else this one alone.

    Attributes:
        rank: Number of this process, from 0.
        count: How many there are.
    """

    def __init__(self) -> None:
        grouped = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if grouped else 0
        self.count = distributed.get_world_size() if grouped else 1

    @property
    def is_first(self) -> bool:
        """Whether this process scores, saves and reports."""
        return self.rank == 0

    def check_share(self, batch_size: int) -> None:
        """Refuses batches of which some process would get nothing.

        Raises:
            ValueError: There are more processes than images in a batch.
        """
        if batch_size < self.count:
            raise ValueError(
                f"batch_size must be at least the number of processes, {self.count},"
                f" got {batch_size}"
            )

    def share(self, amount: Callable[[], Tensor]) -> Tensor | float:
        """This process's amount, (), over the mean amount of all; 1 if there is nothing.

        The mean over a part times its share, averaged over processes, is the mean over the whole.
        """
        if self.count == 1:
            return 1.0
        own = amount().double()
        total = own.clone()
        distributed.all_reduce(total)
        return torch.where(total > 0, own * self.count / total, 1).float()

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Averages tensors over all processes, in place; every process has the same shapes."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        flat /= self.count
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def from_first(self, make: Callable[[], T], device: torch.device) -> T:
        """What the first process makes, in all of them."""
        if self.count == 1:
            return make()
        box = [make() if self.is_first else None]
        distributed.broadcast_object_list(box, 0, device=device)
        return box[0]  # type: ignore[return-value]

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Puts the first process's values into the tensors of all."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)
