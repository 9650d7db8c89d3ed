"""Networks read from what `save_pretrained` wrote, or from the Hugging Face Hub.

Only `config.json` and `model.safetensors` are read: data in JSON and tensors, nothing that could
execute.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .._messages import one_line
from ..arch import Arch, ArchError, ArchSpec, parse_arch
from .build import Network, build_classifier, build_segmentor
from .description import Description, DescriptionError
from .features import Features, Indices
from .saving import CONFIG, FORMAT, WEIGHTS

PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
LONGEST_CAUSE = 120


class PretrainedError(ValueError):
    """There is no network in a folder, or it is damaged; the message names the file."""


def from_pretrained(
    path: str | Path,
    *,
    drop_path_rate: float = 0.0,
    features_only: bool = False,
    out_indices: Indices | None = None,
    **hub_options: Any,
) -> Network | Features:
    """Reads a network that `Network.save_pretrained` wrote; it computes the same, to the bit.

    Args:
        path: Its folder, or `OWNER/NAME` on the Hugging Face Hub.
        drop_path_rate: Stochastic-depth rate of the last block, for training on.
        features_only: Whether to return the backbone alone, as timm does: a module that gives a
            list of maps `(B, C, h, w)` and has `feature_info`.
        out_indices: With `features_only`, the maps to return, 0 the finest; a number means as many
            of the last. By default all.
        **hub_options: For the Hub: `revision`, `token`, `cache_dir`, `local_files_only` and others
            of `huggingface_hub.snapshot_download`.

    Returns:
        The network, in eval mode, on the CPU, with `description` and `provenance` as saved.

    Raises:
        PretrainedError: A file is missing, damaged, of another format, or of another network.
        ValueError: The Hub does not give it, or an option is out of range.
    """
    if out_indices is not None and not features_only:
        raise ValueError("out_indices has no meaning without features_only=True")
    folder = Path(path)
    if not folder.is_dir():
        folder = _from_hub(folder, str(path), hub_options)
    model = _read(folder, drop_path_rate)
    if features_only:
        return Features(model.spec, model.backbone, out_indices).eval()
    return model


def is_pretrained(path: Path) -> bool:
    """Whether a folder holds, or once held, a network as `save_pretrained` writes it."""
    try:
        text = (path / CONFIG).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return (path / WEIGHTS).exists()
    return FORMAT.partition("/")[0] in text or (path / WEIGHTS).exists()


def _from_hub(path: Path, name: str, options: dict[str, Any]) -> Path:
    if path.is_file():
        raise PretrainedError(
            f"{path} must be a folder that save_pretrained wrote, got a file; hrvit-export turns"
            " the checkpoint of a run into one"
        )
    owner, _, repository = name.partition("/")
    if not owner.strip(".") or not repository or "/" in repository or name.startswith("~"):
        raise PretrainedError(f"no network at {name}: there is no such folder")
    from .hub import download

    return download(name, **options)


def _read(folder: Path, drop_path_rate: float) -> Network:
    config = _config(folder)
    path = folder / CONFIG
    try:
        spec = parse_arch(json.dumps(config["arch"]))
        kind, num_classes = config["kind"], config["num_classes"]
        described, provenance = config["description"], config["provenance"]
        description = None if described is None else Description.from_dict(described)
        checksum = config["weights_sha256"]
    except (KeyError, ArchError, DescriptionError) as error:
        words = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise PretrainedError(f"{path} is damaged: {one_line(words, LONGEST_CAUSE)}") from error
    if kind not in ("segmentor", "classifier"):
        raise PretrainedError(f"{path}: kind must be segmentor or classifier, got {kind!r}")
    if not isinstance(num_classes, int) or isinstance(num_classes, bool) or num_classes < 1:
        raise PretrainedError(f"{path}: num_classes must be at least 1, got {num_classes!r}")
    if description is not None and description.num_classes != num_classes:
        raise PretrainedError(
            f"{path} names {description.num_classes} classes, and its num_classes is {num_classes}"
        )
    weights, theirs, found = _weights(folder / WEIGHTS)
    with torch.random.fork_rng(devices=[]):  # first values are drawn, and thrown away
        model = _built(kind, spec, num_classes, drop_path_rate)
    _check_fit(folder, model, weights, theirs)
    if found != checksum:
        raise PretrainedError(
            f"{folder / WEIGHTS} is not what was written: its SHA-256 is {found[:12]}...,"
            f" {path.name} says {str(checksum)[:12]}..."
        )
    model.load_state_dict(weights, assign=True)  # dtypes as saved
    model.description = description
    model.provenance = provenance
    return model.eval()


def _built(kind: str, spec: Arch, num_classes: int, drop_path_rate: float) -> Network:
    if kind == "segmentor":
        return build_segmentor(spec, num_classes, drop_path_rate=drop_path_rate)
    if not isinstance(spec, ArchSpec):
        raise PretrainedError(f"a classifier is an HRViT alone, got a {spec.family} pyramid")
    return build_classifier(spec, num_classes, drop_path_rate=drop_path_rate)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PretrainedError(f"{folder} holds no network ({CONFIG} is missing)") from None
    except (ValueError, RecursionError) as error:
        raise PretrainedError(
            f"{path} is damaged: {one_line(str(error), LONGEST_CAUSE)}"
        ) from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        got = config.get("format") if isinstance(config, dict) else None
        raise PretrainedError(f"{path} must be of format {FORMAT!r}, got {got!r}")
    return config


def _weights(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str], str]:
    """Tensors by name, what the file says of itself, and its SHA-256."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    if not path.is_file():
        pickled = sorted(p.name for p in path.parent.iterdir() if p.suffix in PICKLED)
        more = f"; {pickled[0]} may execute anything and is not read" if pickled else ""
        raise PretrainedError(f"{path.parent} holds no weights ({WEIGHTS} is missing{more})")
    content = path.read_bytes()
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, RuntimeError, TypeError) as error:
        if _is_pickle(content):
            cause = "it is a pickle or holds one, which may execute anything, and is not read"
        else:
            cause = one_line(str(error), LONGEST_CAUSE)
        raise PretrainedError(f"{path} holds no tensors: {cause}") from error
    return tensors, _metadata(content), hashlib.sha256(content).hexdigest()


def _metadata(content: bytes) -> Mapping[str, str]:
    # As the format is defined: the length of the header in eight bytes, then the header in JSON.
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    found = header.get("__metadata__") or {}
    return found if isinstance(found, dict) else {}


def _is_pickle(content: bytes) -> bool:
    """Whether this begins as a pickle does, or as what torch.save writes around one."""
    return content.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"))


def _check_fit(
    folder: Path, model: Network, weights: Mapping[str, Tensor], theirs: Mapping[str, str]
) -> None:
    ours = {"arch_id": model.spec.id, "num_classes": str(model.num_classes)}
    said = {name: theirs.get(name) for name in ours}
    words = {"arch_id": "architecture", "num_classes": "number of classes"}
    for name, value in ours.items():
        if said[name] is not None and said[name] != value:
            raise PretrainedError(
                f"{folder / WEIGHTS} is of another network than {CONFIG}: its {words[name]} is"
                f" {said[name]} there, {value} here"
            )
    state = model.state_dict()
    problems = [f"no {name}" for name in state if name not in weights]
    problems += [f"{name} too many" for name in weights if name not in state]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in state.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise PretrainedError(
            f"{folder / WEIGHTS} is of another network than {CONFIG}: {problems[0]}{more}"
        )
