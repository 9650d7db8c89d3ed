"""What is kept of a trained network: architecture, classes and weights, in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._messages import one_line
from ..arch import ArchError, parse_arch
from ..models import Segmentor, build_segmentor
from ..models.states import DamagedFileError, read_tensors
from .checkpoint import CheckpointError, write_state

FIELDS = {"arch", "class_names", "seed", "model"}


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A network as it was trained.

    Attributes:
        model: The network, in eval mode, on the CPU; `model.spec` is its architecture.
        class_names: Name of each class that it tells apart.
        seed: Seed that it was trained with.
    """

    model: Segmentor
    class_names: tuple[str, ...]
    seed: int


def save_trained(path: Path, model: Segmentor, class_names: Sequence[str], seed: int) -> None:
    """Writes a trained network, for `load_trained` or `torch.load(weights_only=True)`.

    Args:
        path: The file, written whole or not at all; its folder is made where missing.
        model: The network.
        class_names: Name of each class.
        seed: Seed that it was trained with.
    """
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    content = {
        "arch": model.spec.to_json(),
        "class_names": list(class_names),
        "seed": seed,
        "model": weights,
    }
    write_state(path, content)


def is_trained(path: Path) -> bool:
    """Whether a file holds what `save_trained` wrote.

    Raises:
        CheckpointError: It is no file of tensors, or damaged.
    """
    try:
        return _holds_trained(read_tensors(path))
    except DamagedFileError as error:
        raise CheckpointError(f"{path} cannot be read ({error})") from error


def _holds_trained(content: Any) -> bool:
    return isinstance(content, dict) and content.keys() >= FIELDS


def load_trained(path: str | Path) -> Trained:
    """Reads a trained network, such as a run's `checkpoints/ARCH_ID-sSEED.pt`.

    Raises:
        CheckpointError: There is no such file, it is corrupt, or it holds something else.
        ValueError: The architecture needs a package that is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"no trained network at {path}; a run keeps those of its frontier and references alone"
        )
    try:
        state = read_tensors(path)
    except DamagedFileError as error:
        raise CheckpointError(f"{path} cannot be read ({error})") from error
    if not _holds_trained(state):
        raise CheckpointError(f"{path} holds no trained network, but something else")
    try:
        spec, class_names = parse_arch(state["arch"]), tuple(state["class_names"])
    except (TypeError, AttributeError, ArchError) as error:
        raise CheckpointError(f"{path} is damaged: {one_line(str(error), 100)}") from error
    model = build_segmentor(spec, len(class_names))
    try:
        model.load_state_dict(state["model"])
    except (RuntimeError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"the weights in {path} are not of its architecture: {one_line(str(error), 100)}"
        ) from error
    return Trained(model=model.eval(), class_names=class_names, seed=state["seed"])
