"""Which parameter gets which learning rate and weight decay, and when."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import AdamW, Optimizer

from .muon import BatchedMuon
from .recipe import Recipe

MUON_SIDE = 8
"""Fewest rows and columns of a matrix that Muon updates."""

_NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm, nn.RMSNorm)


def learning_rate_factor(step: int, recipe: Recipe) -> float:
    """Share of the peak learning rate that a step (from 0) uses.

    The decay, `(1 - step / steps) ** decay_power` or `(1 + cos(pi * step / steps)) / 2`
    (Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts), runs from the first step, and the
    warm-up multiplies it by a line from `warmup_start_factor` at step 0 to 1 at
    `warmup_steps`, as in the published recipes.
    """
    decay: float
    if recipe.decay == "cosine":
        decay = (1 + math.cos(math.pi * step / recipe.steps)) / 2
    else:
        decay = (1 - step / recipe.steps) ** recipe.decay_power
    if step >= recipe.warmup_steps:
        return decay
    start = recipe.warmup_start_factor
    return decay * (start + (1 - start) * step / recipe.warmup_steps)


class Optimizers:
    """Several optimisers of one network, used as one."""

    def __init__(self, *optimizers: Optimizer) -> None:
        self.optimizers = optimizers

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all, in order."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def zero_grad(self) -> None:
        """Frees every gradient."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self) -> None:
        """One update of every parameter that has a gradient."""
        for optimizer in self.optimizers:
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of each."""
        return {"optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts the state of each back.

        Raises:
            ValueError: It is not that of such optimisers.
        """
        states = state.get("optimizers")
        if not isinstance(states, list) or len(states) != len(self.optimizers):
            raise ValueError(f"a state of {len(self.optimizers)} optimisers is wanted")
        for optimizer, own in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(own)


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Splits the trainable parameters by learning rate, weight decay and optimiser.

    Weight decay is for the weights of linear maps and convolutions: a parameter of a norm
    module, or of fewer than two dimensions (every bias, any scale), has none. Parameters of
    `model.head`, and of `model.auxiliary_head` where there is one, learn at `head_lr_factor` times
    the rate. By `optimizer="muon"`, Muon takes the weights of linear maps with at least `MUON_SIDE`
    rows and columns, the classifiers' aside, whose rows are classes; AdamW takes all else.

    Returns:
        Up to six groups for a torch optimiser, each with `peak_lr` and `muon` beside torch's own
        keys.

    Raises:
        ValueError: The recipe gives the head another rate, and the model has no `head`.
    """
    head = getattr(model, "head", None)
    if recipe.head_lr_factor != 1 and not isinstance(head, nn.Module):
        raise ValueError(
            f"head_lr_factor={recipe.head_lr_factor} needs a model with a `head`;"
            f" {type(model).__name__} has none"
        )
    heads = [part for part in (head, getattr(model, "auxiliary_head", None)) if part is not None]
    in_head = {id(parameter) for part in heads for parameter in part.parameters()}
    classifiers = [getattr(part, "classifier", None) for part in heads]
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    seen: set[int] = set()
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if id(parameter) in seen or not parameter.requires_grad:
                continue
            seen.add(id(parameter))
            decays = parameter.ndim >= 2 and not isinstance(module, _NORMS)
            orthogonal = (
                recipe.optimizer == "muon"
                and isinstance(module, nn.Linear)
                and not any(module is classifier for classifier in classifiers)
                and parameter.ndim == 2
                and min(parameter.shape) >= MUON_SIDE
            )
            key = (id(parameter) in in_head, decays, orthogonal)
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "peak_lr": recipe.learning_rate * (recipe.head_lr_factor if of_head else 1),
            "weight_decay": recipe.weight_decay if decays else 0.0,
            "muon": orthogonal,
        }
        for (of_head, decays, orthogonal), parameters in sorted(
            groups.items(), key=lambda item: item[0]
        )
    ]


def build_optimizer(model: nn.Module, recipe: Recipe) -> Optimizer | Optimizers:
    """The recipe's optimiser; `set_learning_rate` must be called before every step."""
    groups = parameter_groups(model, recipe)
    matrices = [group for group in groups if group["muon"]]
    others = [group for group in groups if not group["muon"]]
    # Fused: one call for hundreds of small tensors, on the CPU too.
    adamw = AdamW(others, lr=recipe.learning_rate, betas=recipe.betas, fused=True)
    if not matrices:
        return adamw
    return Optimizers(BatchedMuon(matrices, lr=recipe.learning_rate), adamw)


def set_learning_rate(
    optimizer: Optimizer | Optimizers, step: int, recipe: Recipe, rate: float = 1.0
) -> None:
    """Sets every group's learning rate to its peak times the schedule's factor at a step.

    Not by `torch.optim.lr_scheduler`, which counts steps itself: a count beside the training's own,
    to save, resume and take back with it, and for each of two optimisers.

    Args:
        optimizer: What `build_optimizer` made.
        step: Number of the step, from 0.
        recipe: Whose schedule it is.
        rate: A further factor.
    """
    factor = rate * learning_rate_factor(step, recipe)
    for group in optimizer.param_groups:
        group["lr"] = factor * group["peak_lr"]


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float | None) -> Tensor:
    """Scales all gradients so that their norm is at most `max_norm`; returns the norm before.

    `torch.nn.utils.clip_grad_norm_` takes the norm of each tensor, and multiplies each by 1 where
    nothing is to be clipped: a thirtieth of a training step for a network of a thousand small
    tensors.
    """
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.cat([grad.reshape(-1) for grad in grads]).norm()
    if max_norm is not None:
        share = (max_norm / (norm + 1e-6)).clamp(max=1.0)
        if share.device.type != "cpu" or share < 1:  # a GPU does not wait to be asked
            torch._foreach_mul_(grads, share)
    return norm
