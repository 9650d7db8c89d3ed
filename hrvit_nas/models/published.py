"""Checkpoints in the published format: the same tensors under other names.

A published segmentor's state has `backbone.*` and `decode_head.*`, a published classifier's
has the backbone's names bare and `head.*`. Tensors keep their values; a 1x1 convolution's
kernel loses or gains its two last dimensions. Parts that the published network never had
(other attention kinds, removed parts) keep our own names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..arch import ArchError, PyramidSpec
from .build import Network, Segmentor
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
_SHOWN = 3


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


def read_published_state(path: str | Path) -> dict[str, Tensor]:
    """Reads the file of a checkpoint in the published format, for `load_published_state`.

    Raises:
        DamagedFileError (a ValueError): It cannot be read, is damaged, or holds no tensors by name.
    """
    path = Path(path)
    try:
        content = read_tensors(path)
    except DamagedFileError as error:
        raise DamagedFileError(f"published checkpoint {path} cannot be read: {error}") from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(t, Tensor) for t in content.values()):
        raise DamagedFileError(f"published checkpoint {path} holds no tensors by name")
    return dict(content)


def load_published_state(model: Network, state_dict: Mapping[str, Tensor]) -> None:
    """Loads a checkpoint in the published format, strictly.

    Args:
        model: A segmentor or classifier of the same architecture.
        state_dict: Tensors by published name.

    Raises:
        ValueError: A tensor is missing, unexpected or of another shape; the message names it.
            The model is then unchanged. Or the model is a pyramid, or has another head than
            SegFormer's.
    """
    _require_published(model)
    ours = model.state_dict()
    names = {published_name(name, segmentor=isinstance(model, Segmentor)): name for name in ours}
    problems = []
    if missing := [name for name in names if name not in state_dict]:
        problems.append(f"missing {_list(missing)}")
    if unexpected := [name for name in state_dict if name not in names]:
        problems.append(f"unexpected {_list(unexpected)}")
    loaded, misshapen = {}, []
    for published, name in names.items():
        if published not in state_dict:
            continue
        shape, tensor = ours[name].shape, state_dict[published]
        if tensor.dim() == 4 and len(shape) == 2 and tensor.shape[2:] == (1, 1):
            tensor = tensor.flatten(1)
        if tensor.shape != shape:
            theirs = tuple(state_dict[published].shape)
            misshapen.append(f"{published} has shape {theirs}, the model {tuple(shape)}")
        loaded[name] = tensor
    if misshapen:
        problems.append(_list(misshapen))
    if problems:
        raise ValueError(
            "a published checkpoint must fit the model exactly: " + "; ".join(problems)
        )
    model.load_state_dict(loaded)


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


def _require_published(model: Network) -> None:
    if isinstance(model.spec, PyramidSpec):
        raise ArchError(
            f"the published format is of HRViT alone, got a {model.spec.family} pyramid;"
            " keep its state_dict as it is"
        )
    if isinstance(model, Segmentor) and model.spec.head_kind != "segformer":
        raise ArchError(
            "the published format is known of the segformer head alone, got"
            f" {model.spec.head_kind}; keep its state_dict as it is"
        )


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(sorted(names)[:_SHOWN]) + more
