"""Where the declarations that ship with the package lie."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent


def declarations_dir(kind: Literal["search_spaces", "experiments"]) -> Path:
    """Folder of the shipped YAML files of a kind.

    An installed wheel carries them inside the package; in a source tree they lie beside it.
    """
    installed = _PACKAGE / "declarations" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind
