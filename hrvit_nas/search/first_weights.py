"""First weights of a training: of our own networks, of published ones, or of a supernet."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..arch import ArchSpec
from ..data import load_data
from ..models import Segmentor, from_pretrained, load_published_state
from ..models.pretrained import is_pretrained
from ..models.published import read_published_state
from ..models.states import DamagedFileError, read_tensors
from ..training import load_trained
from .config import SupernetSearchConfig
from .config_parts import ConfigError
from .layout import RunLayout
from .stored import read_config
from .supernet import extract_subnet

Part = Literal["all", "backbone"]
_OF_TRAINED = {"arch", "class_names", "seed", "model"}


def load_first_weights(model: Segmentor, path: Path, part: Part) -> str:
    """Gives a network the weights of another of its architecture.

    Args:
        model: The network; left as it is where they do not fit.
        path: A folder that `save_pretrained` wrote, a run's `checkpoints/*.pt`, a file in the
            published format, or the directory of a run with a supernet that it is a subnet of.
        part: Whether the head's are taken too.

    Returns:
        What was taken, in words.

    Raises:
        ConfigError: There is nothing there, or it does not fit.
        ValueError: A file is damaged.
    """
    if path.is_dir() and is_pretrained(path):
        return _of_network(model, from_pretrained(path), path, part)
    if path.is_dir():
        return _of_network(model, _of_supernet(model, path), path, part)
    if not path.is_file():
        raise ConfigError(f"no weights at {path}")
    try:
        content = read_tensors(path)
    except DamagedFileError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if isinstance(content, dict) and content.keys() >= _OF_TRAINED:
        return _of_network(model, load_trained(path).model, path, part)
    loaded = load_published_state(model, read_published_state(path), part=part)
    return f"{part} of {path}, in the published format ({loaded})"


def _of_network(model: Segmentor, other: object, path: Path, part: Part) -> str:
    if not isinstance(other, Segmentor):
        raise ConfigError(f"{path} must hold a segmentor, got a {type(other).__name__.lower()}")
    if other.spec.id != model.spec.id:
        raise ConfigError(
            f"{path} is of another architecture: its id is {other.spec.id}, this one's"
            f" {model.spec.id}"
        )
    if part == "backbone":
        model.backbone.load_state_dict(other.backbone.state_dict())
    elif other.num_classes != model.num_classes:
        raise ConfigError(
            f"{path} is of {other.num_classes} classes, and the data set has {model.num_classes};"
            " take its backbone alone"
        )
    else:
        model.load_state_dict(other.state_dict())
    return f"{part} of {path}"


def _of_supernet(model: Segmentor, directory: Path) -> Segmentor:
    config = read_config(directory, SupernetSearchConfig)
    layout, plan = RunLayout(directory), config.supernet_plan(config.seed)
    spec = model.spec
    if not isinstance(spec, ArchSpec) or not config.load_space().contains(spec):
        raise ConfigError(f"{spec.id} is no subnet of the supernet in {directory}")
    return extract_subnet(layout, plan, load_data(plan.data), spec)
