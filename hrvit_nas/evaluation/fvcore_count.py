"""Multiply-adds as fvcore counts them on a network that runs: what the closed form is held to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar

import torch
from fvcore.nn.jit_handles import (
    bmm_flop_jit,
    conv_flop_jit,
    linear_flop_jit,
    matmul_flop_jit,
)
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode


def count_macs(model: nn.Module, image_size: tuple[int, int]) -> dict[str, int]:
    """Multiply-adds of one image by operator: convolution, linear maps, both attention products.

    They are fvcore's: its handlers look at every call, which takes a thirtieth of the time of its
    own trace, and tests hold the two to each other. What is written as `torch.einsum`, which no
    network here is, is not seen.

    Args:
        model: Takes (1, 3, H, W); it is left in evaluation mode.
        image_size: Height and width.
    """
    with torch.inference_mode(), _FvcoreCount() as count:
        model.eval()(torch.zeros(1, 3, *image_size))
    return dict(count.macs)


def attention_products(inputs: Sequence[Any], outputs: Sequence[Any]) -> Counter[str]:  # noqa: ARG001
    """A handler of fused attention, for which fvcore has none; both products count in full."""
    q, k, v = (value.type().sizes() for value in inputs[:3])
    return Counter(attention=prod(q) * k[-2] + prod(q[:-1]) * k[-2] * v[-1])


class _FvcoreCount(TorchFunctionMode):
    """Calls fvcore's handlers at every call of a counted operator."""

    HANDLERS: ClassVar = {
        functional.linear: ("linear", linear_flop_jit),
        torch.matmul: ("matmul", matmul_flop_jit),
        torch.Tensor.matmul: ("matmul", matmul_flop_jit),  # that of `@`, too
        torch.bmm: ("bmm", bmm_flop_jit),
        torch.Tensor.bmm: ("bmm", bmm_flop_jit),
        functional.scaled_dot_product_attention: ("attention", attention_products),
    }

    def __init__(self) -> None:
        super().__init__()
        self.macs: Counter[str] = Counter()

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.conv2d:
            values = [_Traced(arg) for arg in args[:2]]
            values += [_Traced(None)] * 4 + [_Traced(False)] + [_Traced(None)] * 5  # not transposed
            self.macs.update(conv_flop_jit(values, [_Traced(result)]))
        elif func in self.HANDLERS:
            name, handler = self.HANDLERS[func]
            count = handler([_Traced(arg) for arg in args], [_Traced(result)])
            self.macs.update(count if isinstance(count, Counter) else {name: count})
        return result


class _Traced:
    """What fvcore's handlers ask of a value in a trace."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def isCompleteTensor(self) -> bool:  # noqa: N802
        return isinstance(self.value, torch.Tensor)

    def type(self) -> _Traced:
        return self

    def sizes(self) -> list[int]:
        return list(self.value.shape)

    def toIValue(self) -> Any:  # noqa: N802
        return self.value
