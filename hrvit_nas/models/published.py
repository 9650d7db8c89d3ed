"""Checkpoints in the published format: the same tensors under other names.

A published segmentor's state has `backbone.*` and `decode_head.*`, a published classifier's
has the backbone's names bare and `head.*`. Tensors keep their values; a 1x1 convolution's
kernel loses or gains its two last dimensions. Parts that the published network never had
(other attention kinds, removed parts) keep our own names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from ..arch import ArchError, PyramidSpec
from .build import Network, Segmentor
from .foreign_state import ForeignState, recognise
from .states import DamagedFileError, read_tensors

# Ours to published, tried in order on the whole name.
_BACKBONE_RULES: tuple[tuple[str, str], ...] = (
    (r"stem\.conv(\d)\.conv\.", r"stem.conv\1."),
    (r"stem\.conv(\d)\.norm\.", r"stem.bn\1."),
    (r"fusion\.paths\.(\d)_to_(\d)\.depthwise\.conv\.", r"blocks.\2.\1.0."),
    (r"fusion\.paths\.(\d)_to_(\d)\.depthwise\.norm\.", r"blocks.\2.\1.1."),
    (r"patch_embedding\.pointwise\.", "proj.0."),
    (r"patch_embedding\.depthwise\.", "proj.1."),
    (r"patch_embedding\.norm\.", "norm."),
    (r"patch_embedding\.convolution\.", "convolution."),
    (r"\.attention_norm\.", ".attn_norm."),
    (r"\.attention\.to_input\.", ".attn.to_qkv."),
    (r"\.attention\.to_output\.linear\.", ".attn.to_out.0."),
    (r"\.attention\.to_output\.norm\.", ".attn.attn_bn."),
    (r"\.attention\.to_output\.", ".attn.to_out.0."),
    (r"\.attention\.parallel_conv\.", ".attn.parallel_conv.1."),
    (r"\.attention\.", ".attn."),
    (r"\.shortcut\.right\.", ".des.proj_right."),
    (r"\.shortcut\.left\.", ".des.proj_left."),
    (r"\.feed_forward_norm\.", ".ffn_norm."),
    (r"\.feed_forward\.expand\.", ".ffn.fc1."),
    (r"\.feed_forward\.conv(\d)\.", r".ffn.conv.conv_\1."),
    (r"\.feed_forward\.reduce\.", ".ffn.fc2."),
)
_SEGFORMER_RULES = (
    (r"^head\.projections\.(\d)\.", r"decode_head.convs.\1.conv."),
    (r"^head\.fusion\.linear\.", "decode_head.fusion_conv.conv."),
    (r"^head\.fusion\.norm\.", "decode_head.fusion_conv.bn."),
    (r"^head\.classifier\.", "decode_head.conv_seg."),
)
_CLASSIFIER_RULES = (
    (r"^head\.bottlenecks\.(\d)\.reduce\.conv\.", r"head.incre_modules.\1.0.conv1."),
    (r"^head\.bottlenecks\.(\d)\.reduce\.norm\.", r"head.incre_modules.\1.0.bn1."),
    (r"^head\.bottlenecks\.(\d)\.conv\.conv\.", r"head.incre_modules.\1.0.conv2."),
    (r"^head\.bottlenecks\.(\d)\.conv\.norm\.", r"head.incre_modules.\1.0.bn2."),
    (r"^head\.bottlenecks\.(\d)\.expand\.conv\.", r"head.incre_modules.\1.0.conv3."),
    (r"^head\.bottlenecks\.(\d)\.expand\.norm\.", r"head.incre_modules.\1.0.bn3."),
    (r"^head\.bottlenecks\.(\d)\.shortcut\.conv\.", r"head.incre_modules.\1.0.downsample.0."),
    (r"^head\.bottlenecks\.(\d)\.shortcut\.norm\.", r"head.incre_modules.\1.0.downsample.1."),
    (r"^head\.downsamples\.(\d)\.conv\.", r"head.downsamp_modules.\1.0."),
    (r"^head\.downsamples\.(\d)\.norm\.", r"head.downsamp_modules.\1.1."),
    (r"^head\.final\.conv\.", "head.final_layer.0."),
    (r"^head\.final\.norm\.", "head.final_layer.1."),
)
_STAGE = re.compile(r"^backbone\.stages\.(\d+)\.(.*)$")
_POINTWISE = re.compile(r"patch_embed\.\d\.proj\.0\.|features\.\d+\.blocks\.|^decode_head\.")
_CLASSES = re.compile(r"(decode_head\.conv_seg|head\.classifier)\.")
_COUNTER = ".num_batches_tracked"
_SHOWN = 5
_ANOTHER = 10
"""Tensors that do not fit from which on a checkpoint is one of another architecture."""


def published_name(name: str, *, segmentor: bool) -> str:
    """The published name of one of our tensors."""
    if not name.startswith("backbone."):
        return _rename(name, _SEGFORMER_RULES if segmentor else _CLASSIFIER_RULES)
    if match := _STAGE.match(name):
        module, rest = int(match[1]), match[2]
        if rest.startswith("fusion."):
            name = f"features.{2 * module}.{_fusion_name(rest)}"
        else:
            name = f"features.{2 * module + 1}.{_stage_name(rest)}"
    else:
        name = _rename(name.removeprefix("backbone."), _BACKBONE_RULES)
    return f"backbone.{name}" if segmentor else name


def _rename(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name


def _fusion_name(rest: str) -> str:
    if "pointwise" not in rest:
        return _rename(rest, _BACKBONE_RULES)
    match = re.fullmatch(r"fusion\.paths\.(\d)_to_(\d)\.pointwise\.(linear|norm)\.(.*)", rest)
    assert match is not None
    into, out, part, leaf = match.groups()
    first = 2 if int(out) > int(into) else 0  # a way down has the depth-wise pair before it
    return f"blocks.{out}.{into}.{first + (part == 'norm')}.{leaf}"


def _stage_name(rest: str) -> str:
    match = re.fullmatch(r"branches\.(\d)\.(patch_embedding|blocks|norm)\.(.*)", rest)
    assert match is not None
    branch, part, leaf = match.groups()
    if part == "norm":
        return f"norm.{branch}.{leaf}"
    if part == "blocks":
        return f"branches.{branch}.{_rename(leaf, _BACKBONE_RULES)}"
    return f"patch_embed.{branch}.{_rename(f'patch_embedding.{leaf}', _BACKBONE_RULES)}"


def read_published_state(path: str | Path) -> dict[str, Any]:
    """Reads the file of a checkpoint in the published format, for `load_published_state`.

    Raises:
        DamagedFileError (a ValueError): It cannot be read, is damaged, or holds no tensors by name.
    """
    path = Path(path)
    try:
        content = read_tensors(path)
    except DamagedFileError as error:
        raise DamagedFileError(f"published checkpoint {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise DamagedFileError(f"published checkpoint {path} holds no tensors by name")
    return content


@dataclass(frozen=True, kw_only=True)
class LoadedState:
    """What was recognised of a checkpoint that was loaded.

    Attributes:
        wrapper: Key that its tensors lay under; None for none.
        prefix: What their names began with beside the published names; empty for nothing.
        left_out: Tensors that were not loaded: of an auxiliary head, or of a head where the
            backbone alone was asked for.
        without_counters: How many counters of batches (`num_batches_tracked`) it lacks, which stay
            as they were.
    """

    wrapper: str | None
    prefix: str
    left_out: tuple[str, ...]
    without_counters: int

    def __str__(self) -> str:
        """A line that names them."""
        parts = []
        if self.wrapper is not None:
            parts.append(f"found under {self.wrapper!r}")
        if self.prefix:
            parts.append(f"prefix {self.prefix!r} taken off")
        if self.left_out:
            parts.append(f"{len(self.left_out)} tensors left out: {_list(self.left_out, 1)}")
        if self.without_counters:
            parts.append(f"{self.without_counters} counters of batches missing")
        return "; ".join(parts) or "loaded as it is"


def load_published_state(
    model: Network, state_dict: Mapping[str, Any], *, part: Literal["all", "backbone"] = "all"
) -> LoadedState:
    """Loads a checkpoint in the published format, strictly.

    Tensors may lie under one key (`state_dict`, `model`, ...), and their names may have a prefix
    (`module.`). An auxiliary head is left out.

    Args:
        model: A segmentor or classifier of the same architecture.
        state_dict: Tensors by published name.
        part: `backbone`: the head stays as it is, and that of the checkpoint, be it a segmentor's,
            a classifier's or none, is left out.

    Returns:
        What was recognised, to be printed.

    Raises:
        ValueError: A tensor is missing, unexpected, of another shape or not finite; the message
            says why that may be and names some. The model is then unchanged. Or the model is a
            pyramid, or has another head than SegFormer's and all is to be loaded.
    """
    whole = part == "all"
    _require_published(model, with_head=whole)
    segmentor = isinstance(model, Segmentor)
    found = recognise(state_dict)
    _check_head(found, segmentor, whole=whole)
    inner = "backbone." if segmentor else ""
    theirs = {f"{inner}{name}": tensor for name, tensor in found.backbone.items()}
    left_out = found.auxiliary
    if whole:
        theirs |= {name: t for name, t in found.heads.items() if name not in left_out}
    else:
        left_out = tuple(found.heads)
    ours = model.state_dict()
    names = {
        published_name(name, segmentor=segmentor): name
        for name in ours
        if whole or name.startswith("backbone.")
    }
    loaded = _fitted({name: ours[own] for name, own in names.items()}, theirs, found.others)
    model.load_state_dict({**ours, **{names[name]: tensor for name, tensor in loaded.items()}})
    return LoadedState(
        wrapper=found.wrapper,
        prefix=found.prefix,
        left_out=left_out,
        without_counters=len(names) - len(loaded),
    )


def _check_head(found: ForeignState, segmentor: bool, *, whole: bool) -> None:
    """Refuses a checkpoint that has another kind of head, or none, where one is wanted."""
    wanted = "segmentor" if segmentor else "classifier"
    if whole and found.head_of != wanted:
        holds = "a backbone without head" if found.head_of is None else f"a {found.head_of}"
        raise ValueError(
            f"the checkpoint is of {holds}, the model a {wanted}; load its backbone alone with"
            " part='backbone'"
        )


def _fitted(
    ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], others: Sequence[str]
) -> dict[str, Tensor]:
    """Their tensors in the shapes of ours, both by published name."""
    loaded, misshapen, missing, infinite = {}, {}, [], []
    for name, own in ours.items():
        if name not in theirs:
            if not name.endswith(_COUNTER):
                missing.append(name)
            continue
        tensor = theirs[name]
        if tensor.dim() == 4 and own.dim() == 2 and tensor.shape[2:] == (1, 1):
            tensor = tensor.flatten(1)
        if tensor.shape != own.shape:
            misshapen[name] = (tuple(theirs[name].shape), tuple(own.shape))
        elif tensor.is_floating_point() and not tensor.isfinite().all():
            infinite.append(name)
        loaded[name] = tensor
    unexpected = [*others, *(name for name in theirs if name not in ours)]
    problems = {
        "missing": missing,
        "unexpected": unexpected,
        "": [f"{n} has shape {them}, the model {own}" for n, (them, own) in misshapen.items()],
        "NaN or infinite": infinite,
    }
    held = {kind: names for kind, names in problems.items() if names}
    if held:
        share = max(1, _SHOWN // len(held))
        lists = "; ".join(f"{kind} {_list(names, share)}".strip() for kind, names in held.items())
        cause = _cause(misshapen, len(missing) + len(unexpected), bool(infinite))
        raise ValueError(f"a published checkpoint must fit the model exactly{cause}: {lists}")
    return loaded


def _cause(
    misshapen: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]], others: int, infinite: bool
) -> str:
    """Why tensors may not fit, where that is plain."""
    if misshapen and not others and all(_CLASSES.match(name) for name in misshapen):
        them, own = (shape[0] for shape in next(iter(misshapen.values())))
        return (
            f", and its head has {them} classes, the model's {own}; load its backbone alone with"
            f" part='backbone', or build the model with {them}"
        )
    if len(misshapen) + others >= _ANOTHER:
        return ", and this is of another architecture"
    return ", and its weights are broken" if infinite and not misshapen and not others else ""


def export_published_state(model: Network) -> dict[str, Tensor]:
    """The model's tensors by published name, 1x1 convolutions as four-dimensional kernels.

    Raises:
        ValueError: The model is a pyramid, or has another head than SegFormer's.
    """
    _require_published(model)
    segmentor = isinstance(model, Segmentor)
    state = {}
    for name, tensor in model.state_dict().items():
        published = published_name(name, segmentor=segmentor)
        pointwise = tensor.dim() == 2 and _POINTWISE.search(published)
        state[published] = tensor[:, :, None, None] if pointwise else tensor
    return state


def _require_published(model: Network, *, with_head: bool = True) -> None:
    if isinstance(model.spec, PyramidSpec):
        raise ArchError(
            f"the published format is of HRViT alone, got a {model.spec.family} pyramid;"
            " keep its state_dict as it is"
        )
    if with_head and isinstance(model, Segmentor) and model.spec.head_kind != "segformer":
        raise ArchError(
            "the published format is known of the segformer head alone, got"
            f" {model.spec.head_kind}; keep its state_dict as it is"
        )


def _list(names: Sequence[str], shown: int) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(sorted(names)[:shown]) + more
