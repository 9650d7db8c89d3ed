"""A weight-sharing supernet: every subnet of a space on slices of one set of weights.

Method: one network holds the largest form of every layer, and a subnet reads its slice (Cai et
al., "Once-for-All", ICLR 2020; Yu et al., "BigNAS", ECCV 2020). Here a subnet is assembled anew for
each pass, from the same layers that a stand-alone network is made of, bound to slices of the
shared tensors. So there is one definition of the network, the architecture is an argument and never
a state, and a subnet is exact to its stand-alone form.

Batch statistics are nobody's weights. In training mode each subnet normalises by its own batch and
leaves nothing behind; in eval mode it uses the statistics that `recalibrate_bn` found for it, or
those of a fresh network. `sharing` says which slice is whose.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from ..arch import ArchError, ArchSpec, PyramidSpec
from ..space import Space, SpaceError
from . import skeletons
from .backbone import Backbone, Module, drop_path_schedule
from .blocks import Block, BranchStage
from .build import Segmentor, build_segmentor, check_numbers
from .largest import first_values, joined_layers, largest_parts
from .layers import TokenBatchNorm
from .recalibration import Images, recalibrate
from .sharing import Groups, groups_of, shared_path, take

STATISTICS_KEPT = 1024
"""Subnets whose statistics are kept, of some tens of kilobytes each."""
SUBNETS_KNOWN = 4096
"""Subnets remembered as in the space, so that each is checked but once."""
_HOOKS = tuple(name for name in vars(nn.Module()) if "hooks" in name)

T = TypeVar("T", bound=nn.Module)
Statistics = dict[str, Tensor]
"""Running statistics of a subnet's norms, by their names in its state."""


class Supernet(nn.Module):
    """Every subnet of a space on one set of weights; called as `supernet(x, spec)`.

    Args:
        space: The declared space, perhaps narrowed; its limits do not matter here.
        num_classes: Classes to tell apart, at least 1.
        drop_path_rate: Stochastic-depth rate of a subnet's last block, 0 to below 1.
    """

    def __init__(self, space: Space, num_classes: int, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        check_numbers(num_classes, drop_path_rate)
        self.space = space
        self.num_classes = num_classes
        self.drop_path_rate = drop_path_rate
        self._groups: dict[str, Groups] = {}
        self._statistics: OrderedDict[str, Statistics] = OrderedDict()
        self._subnets: set[str] = set()
        joined = joined_layers(space)
        largest: dict[str, tuple[nn.Module, str, Tensor]] = {}
        for prefix, part in largest_parts(space, num_classes):
            for path, leaf in part.named_modules(prefix=prefix):
                path = shared_path(path)
                for name, tensor in leaf.named_parameters(recurse=False):
                    found = largest.get(f"{path}.{name}")
                    if found is None or tensor.numel() > found[2].numel():
                        largest[f"{path}.{name}"] = leaf, name, tensor
                        self._groups[path] = groups_of(path, leaf, joined)
        for name, (leaf, tensor_name, _) in largest.items():
            self._register(name, first_values(name, leaf, tensor_name))
        self._shared = dict(self.named_parameters())

    def forward(self, image_bchw: Tensor, spec: ArchSpec) -> Tensor:
        """Logits `(B, num_classes, H, W)` of a subnet for images `(B, 3, H, W)`.

        A pass in training mode forgets all batch statistics, since the weights are about to change.

        Raises:
            SpaceError: The architecture is not in the space (limits aside).
        """
        return self.subnet(spec)(image_bchw)

    def subnet(self, spec: ArchSpec) -> Segmentor:
        """A subnet as a network of its own whose weights are slices of the shared ones.

        It is in the supernet's mode. Gradients reach the shared weights; its norms keep no
        statistics in training mode.

        Raises:
            SpaceError: The architecture is not in the space (limits aside).
        """
        self._check(spec)
        if self.training:
            self._statistics.clear()
            return self._assembled(spec, None)
        return self._assembled(spec, self._statistics.get(spec.id, {}))

    def recalibrate_bn(self, spec: ArchSpec, batches: Iterable[Images]) -> None:
        """Estimates a subnet's batch statistics anew, for its passes in eval mode.

        They are reset, and become the plain average over the batches (Yu et al., "BigNAS",
        section 3.3). The statistics of the last subnets are kept, until something is trained.

        Args:
            spec: The subnet.
            batches: Images `(B, 3, H, W)`, or pairs of images and anything, at evaluation size.

        Raises:
            SpaceError: The architecture is not in the space (limits aside).
            ValueError: There is no batch.
        """
        self._check(spec)
        with torch.no_grad():
            subnet = self._assembled(spec, {})
            recalibrate(subnet, batches)
        self._statistics[spec.id] = dict(subnet.named_buffers())
        self._statistics.move_to_end(spec.id)
        while len(self._statistics) > STATISTICS_KEPT:
            self._statistics.popitem(last=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Supernet:
        """Moves the batch statistics along with the weights."""
        super()._apply(fn, recurse)
        self._shared = dict(self.named_parameters())
        for statistics in self._statistics.values():
            statistics.update({name: fn(tensor) for name, tensor in statistics.items()})
        return self

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As of any module; forgets all batch statistics, which were of other weights."""
        self._statistics.clear()
        found = super().load_state_dict(*args, **kwargs)
        self._shared = dict(self.named_parameters())  # with `assign`, other tensors
        return found

    def _check(self, spec: ArchSpec) -> None:
        if spec.id in self._subnets:
            return
        if isinstance(spec, PyramidSpec):
            raise SpaceError(
                f"not in space {self.space.name!r}: a {spec.family} pyramid is no HRViT"
            )
        self.space.encode(spec)
        if len(self._subnets) >= SUBNETS_KNOWN:
            self._subnets.clear()
        self._subnets.add(spec.id)

    def _register(self, name: str, parameter: nn.Parameter) -> None:
        owner: nn.Module = self
        *path, leaf = name.split(".")
        for part in path:
            if part not in owner._modules:
                owner.add_module(part, nn.Module())
            owner = owner._modules[part]  # type: ignore[assignment]
        owner.register_parameter(leaf, parameter)

    def _assembled(self, spec: ArchSpec, statistics: Mapping[str, Tensor] | None) -> Segmentor:
        """A subnet on slices; `statistics` of its norms, or None for norms that keep none."""
        rates = drop_path_schedule(spec, self.drop_path_rate)
        stages = []
        for m, (module, plan) in enumerate(zip(spec.modules, spec.fusions, strict=True)):
            at = f"backbone.stages.{m}"
            branches = []
            for b, branch in enumerate(module.branches):
                stage = f"{at}.branches.{b}"
                one = replace(branch, blocks=1)
                blocks = []
                for j in range(branch.blocks):
                    block = self._bound(skeletons.block(one, b), f"{stage}.blocks.{j}", statistics)
                    cast("Block", block).drop_path.rate = rates[m][j]
                    blocks.append(block)
                embedding = skeletons.embedding(
                    branch.patch_embedding, plan.outgoing[b], branch.width
                )
                branches.append(
                    _composed(
                        BranchStage,
                        self.training,
                        patch_embedding=self._bound(
                            embedding, f"{stage}.patch_embedding", statistics
                        ),
                        blocks=_numbered(nn.Sequential, self.training, blocks),
                        norm=self._bound(skeletons.norm(branch.width), f"{stage}.norm", statistics),
                    )
                )
            stages.append(
                _composed(
                    Module,
                    self.training,
                    fusion=self._bound(skeletons.fusion(plan), f"{at}.fusion", statistics),
                    branches=_numbered(nn.ModuleList, self.training, branches),
                )
            )
        backbone = _composed(
            Backbone,
            self.training,
            stem=self._bound(skeletons.stem(spec.stem_width), "backbone.stem", statistics),
            stages=_numbered(nn.ModuleList, self.training, stages),
        )
        head = skeletons.head(spec.head_kind, spec.out_widths, spec.head_width, self.num_classes)
        segmentor = _composed(
            Segmentor,
            self.training,
            backbone=backbone,
            head=self._bound(head, "head", statistics),
        )
        segmentor.spec = spec
        segmentor.num_classes = self.num_classes
        return segmentor

    def _bound(
        self, skeleton: nn.Module, path: str, statistics: Mapping[str, Tensor] | None
    ) -> nn.Module:
        """A copy of a skeleton with slices of the shared tensors as its parameters."""
        clone = skeleton.__new__(type(skeleton))
        attributes = clone.__dict__
        attributes.update(skeleton.__dict__)
        for name in _HOOKS:  # or a hook on one subnet would be on all, in every supernet
            attributes[name] = OrderedDict()
        attributes["training"] = self.training
        if skeleton._modules:
            attributes["_modules"] = {
                name: module and self._bound(module, f"{path}.{name}", statistics)
                for name, module in skeleton._modules.items()
            }
        if skeleton._parameters:
            there = shared_path(path)
            groups = self._groups[there]
            wanted = groups
            if there.endswith(".to_input"):
                wanted = groups_of(there, skeleton, {})
            attributes["_parameters"] = {
                name: tensor
                if tensor is None
                else take(self._shared[f"{there}.{name}"], tensor.shape, groups, wanted)
                for name, tensor in skeleton._parameters.items()
            }
        if isinstance(skeleton, TokenBatchNorm):
            if statistics is None:
                attributes["track_running_stats"] = False
                attributes["_buffers"] = dict.fromkeys(skeleton._buffers)
            else:
                attributes["_buffers"] = self._buffers_of(skeleton, path, statistics)
        return clone

    def _buffers_of(
        self, norm: TokenBatchNorm, path: str, statistics: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        if f"{path}.running_mean" in statistics:
            return {name: statistics[f"{path}.{name}"].clone() for name in norm._buffers}
        like = next(iter(self._shared.values()))
        return {
            "running_mean": like.new_zeros(norm.num_features),
            "running_var": like.new_ones(norm.num_features),
            "num_batches_tracked": like.new_zeros((), dtype=torch.long),
        }


def build_supernet(space: Space, num_classes: int, *, drop_path_rate: float = 0.0) -> Supernet:
    """Builds a supernet over a space.

    Args:
        space: A declared space, perhaps narrowed.
        num_classes: Classes to tell apart, at least 1.
        drop_path_rate: Stochastic-depth rate of a subnet's last block, 0 to below 1.

    Returns:
        A module called as `supernet(x, spec)`, which maps `(B, 3, H, W)`, H and W of at least 32,
        to the subnet's logits `(B, num_classes, H, W)`.

    Raises:
        ValueError: A number is out of range, or a pyramid stands for the space.
    """
    if isinstance(space, PyramidSpec):
        raise ArchError(f"a supernet is built over a space of HRViTs, got a {space.family} pyramid")
    return Supernet(space, num_classes, drop_path_rate)


def extract(supernet: Supernet, spec: ArchSpec) -> Segmentor:
    """A subnet as a stand-alone network: what `build_segmentor` returns, with the weights.

    Its weights are copies, and its batch statistics those that it was last recalibrated with (or
    a fresh network's); its outputs equal the supernet's for the subnet.

    Raises:
        SpaceError: The architecture is not in the space (limits aside).
    """
    supernet._check(spec)
    with torch.no_grad():
        subnet = supernet._assembled(spec, supernet._statistics.get(spec.id, {}))
        state = {
            name: tensor.clone(memory_format=torch.contiguous_format)
            for name, tensor in subnet.state_dict().items()
        }
    with torch.device("meta"):
        model = build_segmentor(spec, supernet.num_classes, drop_path_rate=supernet.drop_path_rate)
    model.load_state_dict(state, assign=True)
    return model.train(supernet.training)


def _composed(kind: type[T], training: bool, **modules: nn.Module) -> T:
    """A module of a kind with these children, its constructor left out."""
    module = kind.__new__(kind)
    nn.Module.__init__(module)
    module.training = training
    for name, child in modules.items():
        module.add_module(name, child)
    return module


def _numbered(kind: type[T], training: bool, modules: Iterable[nn.Module]) -> T:
    return _composed(kind, training, **{str(n): module for n, module in enumerate(modules)})
