"""Configurations of runs on disk: written as they are, read as any version wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from .._messages import first_fault, one_line
from ..execution import merged_resources
from ..results import read_sealed, write_sealed
from ..space import SpaceError, load_space
from .config import SpaceConfig
from .config_parts import ConfigError
from .kinds import KINDS
from .layout import RunLayout
from .run_config import RunConfig

C = TypeVar("C", bound=RunConfig)
_BEFORE_KINDS = {
    *("strategy", "trials", "inherited_criterion", "retrain", "trust", "sampler", "population"),
    *("references", "confirm", "finalists", "initial", "calibrate", "calibration_seeds"),
    *("wanted_tau", "standing", "supernet", "storage", "study"),
}
"""Fields that one configuration had for three kinds of run."""


def kind_of(content: Mapping[str, Any]) -> str:
    """The kind of a configuration, as plain data.

    Raises:
        ConfigError: There is no such kind.
    """
    kind = str(content.get("kind", ""))
    if kind not in KINDS:
        raise ConfigError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    return kind


def parse_config(content: Mapping[str, Any]) -> RunConfig:
    """A configuration from plain data.

    Raises:
        ConfigError: Its kind is none.
        ValidationError: A field is at fault.
    """
    return KINDS[kind_of(content)].config.model_validate(content)


def read_config(directory: Path, *wanted: type[C], changes: Mapping[str, Any] | None = None) -> C:
    """Reads a run's configuration.

    Args:
        directory: The run directory.
        wanted: What it may be of; nothing = any kind of run.
        changes: Fields to change before it is checked; `resources` are merged.

    Returns:
        The configuration, which holds the space as it was stored.

    Raises:
        ConfigError: There is none, it is of another kind, a change is of a field that this has not,
            or it is damaged.
    """
    path = RunLayout(directory).config
    try:
        content = _upgraded(read_sealed(path), directory)
    except FileNotFoundError:
        raise ConfigError(f"{directory} holds no run ({path.name} is missing)") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is damaged: {_short(error)}") from error
    kind = KINDS[content["kind"]]
    model = kind.config
    allowed = [one for one in KINDS.values() if not wanted or issubclass(one.config, wanted)]
    if kind not in allowed:
        names = " or ".join(one.words for one in allowed)
        raise ConfigError(f"{directory} holds {kind.words}, not {names}")
    changes = dict(changes or {})
    given = changes.pop("resources", {})
    for field in changes:
        if field not in model.model_fields:
            raise ConfigError(f"{directory} holds {kind.words}, which has no {field}")
    config: Any
    try:
        config = model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_fault(error, model=model)}") from error
    if changes or given:
        resources = merged_resources(config.resources.model_dump(), given)
        try:
            config = model.model_validate({**content, **changes, "resources": resources})
        except ValidationError as error:  # of what is changed: the rest has just been checked
            raise ConfigError(first_fault(error)) from error
    return config  # type: ignore[no-any-return]


def write_config(layout: RunLayout, config: RunConfig) -> None:
    """Writes a configuration with a checksum, replacing an older one in one step."""
    space = getattr(config, "as_started", None)
    content = {
        "config": config.model_dump(mode="json", exclude={"as_started"}),
        "image_size": config.image_size,
        **({"space": space} if space is not None else {}),
    }
    write_sealed(layout.config, content)


def _upgraded(content: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """The fields of a configuration, as this version names them."""
    if "ablation" in content:
        return _upgraded_ablation(content["ablation"], directory)
    config: dict[str, Any] = dict(content["config"])
    if "kind" not in config:
        config = _with_kind(config)
    if "cost" in config:  # it was one
        config["costs"] = [config.pop("cost")]
    kind = kind_of(config)
    if issubclass(KINDS[kind].config, SpaceConfig) and not isinstance(content.get("space"), dict):
        raise ValueError("it has no space")
    return config | ({"as_started": content["space"]} if "space" in content else {})


def _with_kind(config: Mapping[str, Any]) -> dict[str, Any]:
    """One configuration stood for a search, with a supernet or not, and for a calibration."""
    old = dict(config)
    if old.get("calibrate"):
        new = {
            "kind": "calibration",
            "architectures": old["calibrate"],
            "num_seeds": old.get("calibration_seeds", 2),
            "wanted_tau": old.get("wanted_tau", 0.7),
        }
    else:
        new = {"kind": "search", "proxy_noise": old.get("standing")}
        if old.get("strategy", "trials") == "supernet":
            new |= {
                "kind": "supernet_search",
                "ranking_check": old.get("trust", 0),
                "ranking_seeds": old.get("calibration_seeds", 2),
            }
    fields = KINDS[str(new["kind"])].config.model_fields
    kept = {
        name: value for name, value in old.items() if name not in _BEFORE_KINDS or name in fields
    }
    return kept | new


def _upgraded_ablation(content: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """An ablation's configuration stood under another key; its space, in a file of its own."""
    old = dict(content)
    new: dict[str, Any] = {"kind": "ablation", "num_seeds": old.pop("seeds")}
    if old.get("supernet") is not None:
        with suppress(SpaceError):  # what it has found can be shown without; it cannot go on
            new["as_started"] = load_space(RunLayout(directory).declared_space).to_dict()
    return old | new


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return first_fault(error)
    return one_line(str(error) if isinstance(error, ValueError) else repr(error), 160)
