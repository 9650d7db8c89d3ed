"""Declarations: where those that ship with the package lie, and how YAML is read."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, Literal

import yaml

_PACKAGE = Path(__file__).resolve().parent


def declarations_dir(kind: Literal["search_spaces", "experiments"]) -> Path:
    """Folder of the shipped YAML files of a kind.

    An installed wheel carries them inside the package; in a source tree they lie beside it.
    """
    installed = _PACKAGE / "declarations" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} stands twice", key.start_mark
                )
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_yaml(path: Path) -> Any:
    """What a YAML file holds, as plain data.

    Raises:
        OSError, ValueError, yaml.YAMLError: It cannot be read, or is no plain YAML.
    """
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506
