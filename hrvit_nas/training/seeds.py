"""Random numbers of a training: each is a function of the seed, the step and little else."""

from __future__ import annotations

import hashlib

import torch


def mixed_seed(*numbers: int) -> int:
    """A seed of 56 bits from several numbers, by a hash."""
    text = ":".join(map(str, numbers))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


def seed_generators(seed: int, step: int, device: torch.device, *more: int) -> None:
    """Seeds what dropout and stochastic depth draw from, by a hash of (seed, step, more)."""
    mixed = mixed_seed(seed, step, *more)
    # Not torch.manual_seed, which would seed every GPU, also those that are not forked.
    torch.default_generator.manual_seed(mixed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(mixed)
