"""Reads the YAML file that names the classes of a `folder` set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .._files import load_yaml
from .labels import IGNORE_INDEX, DataError


class _ClassFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    classes: Annotated[list[str], Field(min_length=1, max_length=255)]
    ignore: Annotated[int, Field(ge=0, le=255)] = IGNORE_INDEX


def read_classes(path: Path) -> tuple[tuple[str, ...], int]:
    """Names of the classes, by label, and the value that is ignored.

    Raises:
        DataError: The file cannot be read, or its content is wrong.
    """
    try:
        parsed = _ClassFile.model_validate(load_yaml(path.expanduser()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(
            f"cannot read classes file {path}: {' '.join(str(error).split())}"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise DataError(f"classes file {path}: {where}: {first['msg']}") from error
    if parsed.ignore < len(parsed.classes):
        raise DataError(
            f"classes file {path}: ignore must be none of the {len(parsed.classes)} class values,"
            f" got {parsed.ignore}"
        )
    if len(set(parsed.classes)) < len(parsed.classes):
        raise DataError(f"classes file {path}: two classes have the same name")
    return tuple(parsed.classes), parsed.ignore
