"""Thousands of small tensors as a few large ones, for a file that is written every few seconds.

`torch.save` and `torch.load` take some 0.1 ms a tensor and 3 us for anything else, and the state of
one training has five thousand tensors: a third of a second to write and twice that to read.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import torch
from torch import Tensor

Key: TypeAlias = str | int
Place: TypeAlias = tuple[tuple[Key, ...], int, int, tuple[int, ...], tuple[int, ...]]
"""Of a tensor: keys and positions that lead to it, which large one, offset, shape, strides."""
_TENSOR = object()


def pack(content: dict[str, Any]) -> dict[str, Any]:
    """Tensors of one type end to end, and where each of them was; `unpack` puts them back.

    Args:
        content: Tensors and plain data in dictionaries and lists, however deep, under texts and
            whole numbers as keys. A tensor in anything else, such as a tuple, is left where it is.

    Returns:
        `packed` (a tensor a data type), `places` (JSON) and `content`, which is all the rest.
    """
    found: list[tuple[tuple[Key, ...], Tensor]] = []
    plain = _without_tensors(content, (), found)
    sizes: dict[torch.dtype, int] = {}
    for _, tensor in found:
        sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.numel()
    packed = {dtype: torch.empty(size, dtype=dtype) for dtype, size in sizes.items()}
    ends = dict.fromkeys(sizes, 0)
    which = {dtype: number for number, dtype in enumerate(sizes)}
    places: list[Place] = []
    for keys, tensor in found:
        # As it lies in memory, channels last or first, where that is without gaps.
        dense = tensor.detach()
        if not torch.ops.aten.is_non_overlapping_and_dense(dense):
            dense = dense.contiguous()
        start, dtype = ends[tensor.dtype], tensor.dtype
        ends[dtype] += dense.numel()
        packed[dtype][start : ends[dtype]] = dense.as_strided((dense.numel(),), (1,))
        places.append((keys, which[dtype], start, tuple(dense.shape), dense.stride()))
    return {"packed": list(packed.values()), "places": json.dumps(places), "content": plain}


def unpack(state: dict[str, Any]) -> dict[str, Any]:
    """What `pack` was given, with tensors of their own memory, on the CPU.

    In a dictionary, tensors come after the rest.
    """
    content: dict[str, Any] = state["content"]
    for keys, which, offset, shape, strides in json.loads(state["places"]):
        holder: Any = content
        for key in keys[:-1]:
            holder = holder[key]
        holder[keys[-1]] = state["packed"][which].as_strided(shape, strides, offset).clone()
    return content


def _without_tensors(
    value: Any, keys: tuple[Key, ...], found: list[tuple[tuple[Key, ...], Tensor]]
) -> Any:
    if isinstance(value, dict):
        rest = {key: _without_tensors(item, (*keys, key), found) for key, item in value.items()}
        return {key: item for key, item in rest.items() if item is not _TENSOR}
    if isinstance(value, list):
        entries = [_without_tensors(item, (*keys, at), found) for at, item in enumerate(value)]
        return [None if item is _TENSOR else item for item in entries]
    if isinstance(value, Tensor):
        found.append((keys, value))
        return _TENSOR
    return value
