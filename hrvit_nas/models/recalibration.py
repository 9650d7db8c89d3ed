"""Batch statistics of a network, estimated anew."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from .layers import DropPath, TokenBatchNorm

Images = Tensor | tuple[Tensor, Any]
"""Images `(B, 3, H, W)`, alone or with something that is not looked at."""


def recalibrate(model: nn.Module, batches: Iterable[Images]) -> None:
    """Resets a network's batch statistics and averages them over batches, in place.

    Each batch counts alike (Yu et al., "BigNAS", ECCV 2020, section 3.3). Dropout and stochastic
    depth are off meanwhile, which `torch.optim.swa_utils.update_bn` leaves on; every module's mode
    is put back. Synchronised norms wait for no other process, so that one may do it alone.

    Args:
        model: A network as built; already on the batches' device.
        batches: Images `(B, 3, H, W)`, or pairs of images and anything, at evaluation size.

    Raises:
        ValueError: There is no batch.
    """
    modes = [(module, module.training) for module in model.modules()]
    norms = [module for module in model.modules() if isinstance(module, TokenBatchNorm)]
    kept = [(norm.momentum, norm.synchronised) for norm in norms]
    for module, _ in modes:
        module.training = not isinstance(module, nn.Dropout | DropPath)
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # which stands for the plain average
        norm.synchronised = False
    empty = True
    try:
        with torch.no_grad():
            for batch in batches:
                model(batch if isinstance(batch, Tensor) else batch[0])
                empty = False
    finally:
        for module, training in modes:
            module.training = training
        for norm, (momentum, synchronised) in zip(norms, kept, strict=True):
            norm.momentum, norm.synchronised = momentum, synchronised
    if empty:
        raise ValueError("batch statistics need at least one batch, got none")
