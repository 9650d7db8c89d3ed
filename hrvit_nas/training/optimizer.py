"""Which parameter gets which learning rate and weight decay, and when."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import AdamW

from .recipe import Recipe

_NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm, nn.RMSNorm)


def learning_rate_factor(step: int, recipe: Recipe) -> float:
    """Share of the peak learning rate that a step (from 0) uses.

    The polynomial decay `(1 - step / steps) ** decay_power` runs from the first step, and the
    warm-up multiplies it by a line from `warmup_start_factor` at step 0 to 1 at
    `warmup_steps`, as in the published recipes.
    """
    decay: float = (1 - step / recipe.steps) ** recipe.decay_power
    if step >= recipe.warmup_steps:
        return decay
    start = recipe.warmup_start_factor
    return decay * (start + (1 - start) * step / recipe.warmup_steps)


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Splits the trainable parameters by learning rate and weight decay.

    Weight decay is for the weights of linear maps and convolutions: a parameter of a norm
    module, or of fewer than two dimensions (every bias, any scale), has none. Parameters of
    `model.head` learn at `head_lr_factor` times the rate.

    Returns:
        Up to four groups for a torch optimiser, each with `peak_lr` beside torch's own keys.

    Raises:
        ValueError: The recipe gives the head another rate, and the model has no `head`.
    """
    head = getattr(model, "head", None)
    if recipe.head_lr_factor != 1 and not isinstance(head, nn.Module):
        raise ValueError(
            f"head_lr_factor={recipe.head_lr_factor} needs a model with a `head`;"
            f" {type(model).__name__} has none"
        )
    in_head = {id(parameter) for parameter in head.parameters()} if head is not None else set()
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    seen: set[int] = set()
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if id(parameter) in seen or not parameter.requires_grad:
                continue
            seen.add(id(parameter))
            decays = parameter.ndim >= 2 and not isinstance(module, _NORMS)
            groups.setdefault((id(parameter) in in_head, decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "peak_lr": recipe.learning_rate * (recipe.head_lr_factor if of_head else 1),
            "weight_decay": recipe.weight_decay if decays else 0.0,
        }
        for (of_head, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def build_optimizer(model: nn.Module, recipe: Recipe) -> AdamW:
    """AdamW over `parameter_groups`; `set_learning_rate` must be called before every step."""
    # Fused: one call for hundreds of small tensors, on the CPU too.
    return AdamW(
        parameter_groups(model, recipe), lr=recipe.learning_rate, betas=recipe.betas, fused=True
    )


def set_learning_rate(optimizer: AdamW, step: int, recipe: Recipe) -> None:
    """Sets every group's learning rate to its peak times the schedule's factor at a step."""
    factor = learning_rate_factor(step, recipe)
    for group in optimizer.param_groups:
        group["lr"] = factor * group["peak_lr"]
