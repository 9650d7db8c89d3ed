"""A network as a folder: `config.json`, `model.safetensors` and a model card, `README.md`.

The names are those that the Hugging Face Hub knows. Nothing in the folder can execute anything.
`pretrained` reads it again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import __version__
from ..arch import Arch
from .card import model_card
from .description import Description

FORMAT = "hrvit_nas.pretrained/1"
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"


def save_folder(
    folder: str | Path,
    model: nn.Module,
    *,
    spec: Arch,
    kind: str,
    num_classes: int,
    description: Description | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Writes a network's folder; each file replaces an older one in one step, the weights first.

    Args:
        folder: The folder, made where missing.
        model: The network.
        spec: Its architecture.
        kind: `segmentor` or `classifier`.
        num_classes: Classes that it tells apart.
        description: What its numbers mean.
        provenance: Where it comes from, as plain data.

    Raises:
        OSError: The folder cannot be written.
        ValueError: The description is of another number of classes.
    """
    if description is not None and description.num_classes != num_classes:
        raise ValueError(
            f"a description must be of the network's {num_classes} classes,"
            f" got {description.num_classes}"
        )
    from safetensors.torch import save

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    # Of the network, so that a file that was put in another folder can say whose it is.
    metadata = {"format": "pt", "arch_id": spec.id, "num_classes": str(num_classes)}
    weights = _ordered(save(state, metadata))
    config = {
        "format": FORMAT,
        "hrvit_nas": __version__,
        "torch": torch.__version__,
        "kind": kind,
        "arch_id": spec.id,
        "arch": spec.to_dict(),
        "num_classes": num_classes,
        "description": None if description is None else description.to_dict(),
        "provenance": None if provenance is None else dict(provenance),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    card = model_card(spec, kind, num_classes, description, provenance)
    _replace(folder / WEIGHTS, weights)
    _replace(folder / CARD, card.encode())
    _replace(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode())


def _ordered(content: bytes) -> bytes:
    """The same tensors with a header whose keys are in order: safetensors draws that of metadata.

    As the format is defined: the length of the header in eight bytes, the header in JSON, padded
    with spaces to a multiple of eight, and the tensors.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[end:]


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
