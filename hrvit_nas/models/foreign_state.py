"""Published states as others save them: wrapped, prefixed, with parts that a model has not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "model_ema", "state")
"""Keys that tensors are saved under; the first that is there is taken."""
ANCHOR = "stem.conv1.weight"
"""A tensor of every published backbone, by which a prefix is found."""
OF_SEGMENTOR, OF_CLASSIFIER, AUXILIARY = "decode_head.", "head.", "auxiliary_head."


@dataclass(frozen=True, kw_only=True)
class ForeignState:
    """Tensors by what they are of, under their published names without a prefix.

    Attributes:
        backbone: By the bare names that a classifier's have.
        heads: Of heads, by names that begin with `decode_head.`, `head.` or `auxiliary_head.`.
        others: Names of what is none of these.
        wrapper: Key that they lay under; None for none.
        prefix: What all names began with beside.
    """

    backbone: Mapping[str, Tensor]
    heads: Mapping[str, Tensor]
    others: tuple[str, ...]
    wrapper: str | None
    prefix: str

    @property
    def auxiliary(self) -> tuple[str, ...]:
        """Names of an auxiliary head's tensors."""
        return tuple(name for name in self.heads if name.startswith(AUXILIARY))

    @property
    def head_of(self) -> str | None:
        """Whose head there is: a segmentor's, a classifier's, or None."""
        for beginning, whose in ((OF_SEGMENTOR, "segmentor"), (OF_CLASSIFIER, "classifier")):
            if any(name.startswith(beginning) for name in self.heads):
                return whose
        return None


def recognise(content: Mapping[str, Any]) -> ForeignState:
    """Finds the tensors of a published state, under one wrapping key and one prefix at most.

    Raises:
        ValueError: There are none, or there are several backbones.
    """
    wrapper = next((key for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
    tensors = content if wrapper is None else content[wrapper]
    if not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        keys = ", ".join(sorted(map(str, content))[:5])
        raise ValueError(f"the checkpoint holds no tensors by name, but {keys or 'nothing'}")
    found = [name for name in tensors if name == ANCHOR or name.endswith(f".{ANCHOR}")]
    if not found:
        raise ValueError(
            f"the checkpoint is of no published HRViT: it has no {ANCHOR}, but"
            f" {', '.join(sorted(tensors)[:5])}"
        )
    if len(found) > 1:
        raise ValueError(
            f"the checkpoint holds several backbones; keep one of {', '.join(sorted(found)[:5])}"
        )
    return _parted(tensors, found[0].removesuffix(ANCHOR), wrapper)


def _parted(tensors: Mapping[str, Tensor], before: str, wrapper: str | None) -> ForeignState:
    """Tensors by part, given what stands before the backbone's names."""
    inner = "backbone." if before.endswith("backbone.") else ""
    prefix = before.removesuffix(inner) if inner else before
    backbone, heads, others = {}, {}, []
    for name, tensor in tensors.items():
        bare = name.removeprefix(prefix)
        if not name.startswith(prefix):
            others.append(name)
        elif bare.startswith((OF_SEGMENTOR, OF_CLASSIFIER, AUXILIARY)):
            heads[bare] = tensor
        elif bare.startswith(inner):
            backbone[bare.removeprefix(inner)] = tensor
        else:
            others.append(bare)
    return ForeignState(
        backbone=backbone, heads=heads, others=tuple(others), wrapper=wrapper, prefix=prefix
    )
