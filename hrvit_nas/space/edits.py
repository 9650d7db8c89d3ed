"""Edits of an architecture: fields by the patterns that genes use, and the values they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hrvit_nas.arch import ArchError, ArchSpec

from .genes import SpaceError, Target, Value, find_targets
from .rules import as_read

Edits = Mapping[str, Value]
"""Values by pattern of the fields that take them (see `Gene.field`)."""


def edited_fields(base: ArchSpec, edits: Edits) -> dict[Target, Value]:
    """What edits set, a field at a time.

    Raises:
        SpaceError: A pattern matches nothing, or two set one field to different values.
    """
    values: dict[Target, Value] = {}
    setters: dict[Target, str] = {}
    for pattern, value in edits.items():
        for target in find_targets(pattern, base):
            if target in values and values[target] != value:
                raise SpaceError(
                    f"{setters[target]!r} and {pattern!r} contradict each other: they set {target}"
                    f" to {values[target]!r} and to {value!r}"
                )
            values[target] = value
            setters[target] = pattern
    return values


def apply_edits(base: ArchSpec, edits: Edits) -> ArchSpec:
    """The architecture with some fields changed; fields that an attention kind ignores stay unset.

    Raises:
        SpaceError: A pattern is at fault, two edits contradict each other, or no architecture has
            these values.
    """
    values = edited_fields(base, edits)

    def of(module: int | None = None, branch: int | None = None) -> dict[str, Any]:
        return {
            target.name: value
            for target, value in values.items()
            if (target.module, target.branch) == (module, branch)
        }

    try:
        modules = tuple(
            replace(
                module,
                **of(m),
                branches=tuple(
                    replace(branch, **as_read({**vars(branch), **of(m, b)}))
                    for b, branch in enumerate(module.branches)
                ),
            )
            for m, module in enumerate(base.modules)
        )
        return replace(base, **of(), modules=modules)
    except ArchError as error:
        raise SpaceError(str(error)) from error
