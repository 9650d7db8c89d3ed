"""The backbone's maps for another head, as timm's `features_only` gives them.

`FeatureInfo` answers to the names of `timm.models.FeatureInfo` (`channels`, `reduction`,
`module_name`, `get_dicts`, indexing, length), so that code written for timm's backbones takes ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from ..arch import Arch, ArchSpec
from .backbone import Backbone
from .cswin import CSWin
from .mit import MiT

Indices = int | Sequence[int]


class FeatureInfo:
    """What each of a backbone's maps is.

    Args:
        info: Of every map, finest first: `num_chs`, `reduction` (its stride), `module` and `index`.
        out_indices: Those that are returned; a number means as many of the last.

    Raises:
        ValueError: There is no such map.
    """

    def __init__(self, info: Sequence[dict[str, Any]], out_indices: Indices) -> None:
        self.info = list(info)
        if isinstance(out_indices, int):
            out_indices = range(-out_indices, 0)
        count = len(self.info)
        if not out_indices or any(not -count <= index < count for index in out_indices):
            raise ValueError(
                f"out_indices must be of 0 to {count - 1}, the maps of this backbone,"
                f" got {list(out_indices)}"
            )
        self.out_indices = tuple(index % count for index in out_indices)

    def get(self, key: str, idx: Indices | None = None) -> Any:
        """A field of the maps that are returned, or of those (or the one) of an index."""
        return self._chosen([item[key] for item in self.info], idx)

    def get_dicts(self, keys: Sequence[str] | None = None, idx: Indices | None = None) -> Any:
        """Fields, or all, of the maps that are returned, or of those (or the one) of an index."""
        wanted = [{k: v for k, v in item.items() if keys is None or k in keys} for item in self]
        return self._chosen(wanted, idx)

    def _chosen(self, values: list[Any], idx: Indices | None) -> Any:
        if isinstance(idx, int):
            return values[idx]
        return [values[index] for index in (self.out_indices if idx is None else idx)]

    def channels(self, idx: Indices | None = None) -> Any:
        """Channels."""
        return self.get("num_chs", idx)

    def reduction(self, idx: Indices | None = None) -> Any:
        """Strides."""
        return self.get("reduction", idx)

    def module_name(self, idx: Indices | None = None) -> Any:
        """Modules that the maps come from, by name within the network."""
        return self.get("module", idx)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.info[index]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.info)

    def __len__(self) -> int:
        return len(self.info)


def feature_info(spec: Arch, out_indices: Indices | None = None) -> FeatureInfo:
    """What the maps of an architecture's backbone are; by default all are returned."""
    if isinstance(spec, ArchSpec):
        home = f"backbone.stages.{len(spec.modules) - 1}.branches."
    else:  # MiT's are those of a module of another library
        home = "backbone.stages." if spec.family == "cswin" else "backbone.encoder.stages."
    info = [
        {
            "num_chs": width,
            "reduction": 4 << index,
            "module": f"{home}{index}",
            "index": index,
        }
        for index, width in enumerate(spec.out_widths)
    ]
    return FeatureInfo(info, range(len(info)) if out_indices is None else out_indices)


class Features(nn.Module):
    """`(B, 3, H, W)` to the backbone's maps `(B, C, h, w)`, those of `out_indices` in their order.

    Args:
        spec: The architecture.
        backbone: Its backbone.
        out_indices: Maps to return, 0 the finest; a number means as many of the last. By default
            all.

    Raises:
        ValueError: There is no such map.
    """

    def __init__(
        self, spec: Arch, backbone: Backbone | CSWin | MiT, out_indices: Indices | None = None
    ) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = backbone
        self.feature_info = feature_info(spec, out_indices)

    def forward(self, image_bchw: Tensor) -> list[Tensor]:
        maps = self.backbone(image_bchw)
        return [maps[index] for index in self.feature_info.out_indices]
