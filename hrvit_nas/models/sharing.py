"""How a subnet's tensors lie inside the shared ones of a supernet.

Every axis of a shared tensor is a row of equal groups, and a subnet takes the first channels of
each group that it has. One group is a plain prefix, as in Yu and Huang's slimmable networks. More
groups keep a channel in its role whatever the width:

- query, key and value, and what reads them, have a group for the half of the channels that attends
  along rows and one for the half that attends along columns;
- the hidden channels of MixCFN have a group for each of its two convolutions;
- a layer of a head that reads several maps side by side has one for each.

The Kronecker factors of the diversity-enhanced shortcut change their sizes (k, k) and (p, p) with
the width in steps; each is a prefix of the largest, so that a subnet has exactly the shortcut that
its stand-alone definition has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor, nn

Groups = tuple[int, int]
"""Number of groups along the first and the second axis; further axes are never cut."""

_HALVES = 2
_BY_LEAF: dict[str, Groups] = {
    "parallel_conv": (_HALVES, 1),
    "to_output": (1, _HALVES),
    "expand": (_HALVES, 1),
    "reduce": (1, _HALVES),
}


def shared_path(path: str) -> str:
    """Where a subnet's layer has its tensors in the supernet; `path` has no trailing dot.

    The output projection is one for both of its forms, with and without the norm after it.
    """
    return path.removesuffix(".linear") if path.endswith(".to_output.linear") else path


def groups_of(path: str, leaf: nn.Module, joined: Mapping[str, int]) -> Groups:
    """Groups of the weight of a layer; its bias has those of the first axis.

    Args:
        path: `shared_path` of the layer.
        leaf: The layer.
        joined: Layers whose input is several maps side by side, and how many.
    """
    if path in joined:
        return (1, joined[path])
    name = path.rpartition(".")[2]
    if name == "to_input":
        return (_HALVES * input_parts(leaf), 1)
    return _BY_LEAF.get(name, (1, 1))


def input_parts(leaf: nn.Module) -> int:
    """Of an attention's input map: 1 = value, 2 = query and value, 3 = query, key and value."""
    assert isinstance(leaf, nn.Linear)
    return leaf.out_features // leaf.in_features


@cache
def picked_groups(wanted: int, there: int) -> tuple[int, ...]:
    """Which of the shared groups a subnet's groups are.

    Only the input map of an attention has subnets with fewer groups: the value is the last part,
    the query the first, and the key, where there is one of its own, the one between them.
    """
    if wanted == there:
        return tuple(range(there))
    last = tuple(range(there - _HALVES, there))
    return last if wanted == _HALVES else (*range(_HALVES), *last)


def take(shared: Tensor, shape: Sequence[int], groups: Groups, wanted: Groups) -> Tensor:
    """A subnet's tensor: a view where one slice holds it, else a copy; differentiable.

    Args:
        shared: The shared tensor.
        shape: Shape wanted.
        groups: Groups of the shared tensor.
        wanted: Groups of the subnet's.
    """
    for axis in range(min(2, len(shape))):
        there, number = groups[axis], wanted[axis]
        size, full = shape[axis] // number, shared.shape[axis] // there
        if size == full and number == there:
            continue
        if there == 1:
            shared = shared.narrow(axis, 0, size)
            continue
        slices = [shared.narrow(axis, g * full, size) for g in picked_groups(number, there)]
        shared = slices[0] if number == 1 else torch.cat(slices, axis)
    return shared
