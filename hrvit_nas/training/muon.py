"""Muon over all matrices of a network at once.

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024); updates are
scaled as by Liu et al., "Muon is Scalable for LLM Training" (2025). torch's own `torch.optim.Muon`
orthogonalises one matrix after the other, in bfloat16; for the hundreds of small matrices of an
HRViT that is a fifth of a training step on a CPU. Here matrices of one shape go through each
Newton-Schulz iteration together, in their own precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class BatchedMuon(torch.optim.Muon):
    """`torch.optim.Muon` with updates of AdamW's size, a batch of equal shapes at a time."""

    def __init__(self, params: list[dict[str, Any]], *, lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, lr=lr, momentum=momentum, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            params: list[Tensor] = []
            grads: list[Tensor] = []
            buffers: list[Tensor] = []
            self._init_group(group, params, grads, buffers)
            if not params:
                continue
            torch._foreach_lerp_(buffers, grads, 1 - group["momentum"])
            updates = list(torch._foreach_lerp(grads, buffers, group["momentum"]))
            _orthogonalise(updates, group["ns_coefficients"], group["ns_steps"], group["eps"])
            scales = [-0.2 * group["lr"] * math.sqrt(max(p.shape)) for p in params]
            torch._foreach_mul_(updates, scales)
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(params, updates)


def _orthogonalise(
    matrices: list[Tensor], coefficients: tuple[float, float, float], steps: int, eps: float
) -> None:
    """Brings the singular values of matrices near 1, in the list's place."""
    alike: dict[tuple[int, int], list[int]] = {}
    for number, matrix in enumerate(matrices):
        rows, columns = sorted(matrix.shape)
        alike.setdefault((rows, columns), []).append(number)
    a, b, c = coefficients
    for numbers in alike.values():
        wide = [matrices[n] if _is_wide(matrices[n]) else matrices[n].T for n in numbers]
        x = torch.stack(wide)
        x /= x.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
        for _ in range(steps):
            gram = torch.bmm(x, x.mT)
            gram = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
            x = torch.baddbmm(x, gram, x, beta=a)
        for number, done in zip(numbers, x, strict=True):
            matrices[number] = done if _is_wide(matrices[number]) else done.T


def _is_wide(matrix: Tensor) -> bool:
    return matrix.shape[0] <= matrix.shape[1]
