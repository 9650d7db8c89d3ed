"""First weights of a training: of our own networks, of published ones, or of a supernet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..arch import Arch, ArchSpec
from ..data import load_data
from ..models import Network, Segmentor, load_published_state
from ..models.published import read_published_state
from ..training import is_trained
from .config import SupernetSearchConfig
from .config_parts import ConfigError
from .kept import load_network
from .layout import RunLayout
from .stored import read_config
from .supernet import extract_subnet

Part = Literal["all", "backbone"]


def load_first_weights(model: Network, name: str, part: Part) -> str:
    """Gives a network the weights of another of its architecture, or of its backbone's.

    Args:
        model: The network; left as it is where they do not fit.
        name: What `load_network` takes, a file in the published format, or the directory of a run
            with a supernet that it is a subnet of.
        part: Whether the head's are taken too.

    Returns:
        What was taken, in words.

    Raises:
        ConfigError: There is nothing there, or it does not fit.
        ValueError: A file is damaged.
    """
    path = Path(name)
    if path.is_file() and not is_trained(path):
        loaded = load_published_state(model, read_published_state(path), part=part)
        return f"{part} of {name}, in the published format ({loaded})"
    if RunLayout(path).supernet.is_file():
        return _of_network(model, _of_supernet(model, path), name, part)
    return _of_network(model, load_network(name), name, part)


def _of_network(model: Network, other: Network, name: str, part: Part) -> str:
    if part == "all" and other.kind != model.kind:
        raise ConfigError(
            f"{name} must hold a {model.kind}, got a {other.kind}; take its backbone alone"
        )
    theirs, ours = (
        each.spec.id if part == "all" else _without_head(each.spec).id for each in (other, model)
    )
    if theirs != ours:
        raise ConfigError(
            f"{name} is of another architecture: its id is {other.spec.id}, this one's"
            f" {model.spec.id}"
        )
    if part == "backbone":
        model.backbone.load_state_dict(other.backbone.state_dict())
    elif other.num_classes != model.num_classes:
        raise ConfigError(
            f"{name} is of {other.num_classes} classes, and the data set has {model.num_classes};"
            " take its backbone alone"
        )
    else:
        model.load_state_dict(other.state_dict())
    return f"{part} of {name}"


def _without_head(spec: Arch) -> Arch:
    """The same backbone under one head for all; a classifier has not that of its architecture."""
    return replace(spec, head_kind="segformer", head_width=1)


def _of_supernet(model: Network, directory: Path) -> Segmentor:
    config = read_config(directory, SupernetSearchConfig)
    layout, plan = RunLayout(directory), config.supernet_plan(config.seed)
    spec = model.spec
    if not isinstance(spec, ArchSpec) or not config.load_space().contains(spec):
        raise ConfigError(f"{spec.id} is no subnet of the supernet in {directory}")
    return extract_subnet(layout, plan, load_data(plan.data), spec)
