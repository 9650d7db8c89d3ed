"""What went wrong, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

LONGEST = 300
"""Characters of a message."""
LONGEST_VALUE = 60
LONGEST_CAUSE = 120


def one_line(text: str, longest: int = LONGEST) -> str:
    """A text in one line; of one that is too long the middle is left out.

    What is wrong stands at the beginning of a message, and how to mend it at the end.
    """
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    gap = " ... "
    end = (longest - len(gap)) // 2
    return f"{line[: longest - len(gap) - end].rstrip()}{gap}{line[-end:].lstrip()}"


def shown(value: object, longest: int = LONGEST_VALUE) -> str:
    """A value as a message shows it: not all of one that is long."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]}..."


def first_fault(
    error: ValidationError,
    names: Mapping[str, str] | None = None,
    model: type[BaseModel] | None = None,
) -> str:
    """The first fault that pydantic found, as `key: message, got value`.

    Args:
        error: What pydantic found.
        names: What to call a key instead.
        model: What was validated; of an unknown key the message then says what it may have meant.
    """
    fault = error.errors(include_url=False)[0]
    *above, key = fault["loc"] or ("",)
    where = ".".join(map(str, fault["loc"]))
    where = (names or {}).get(where, where)
    where = one_line(where, LONGEST_CAUSE)
    message = one_line(fault["msg"].removeprefix("Value error, "), LONGEST - LONGEST_CAUSE)
    if fault["type"] == "extra_forbidden":
        known = _known_keys(model, above)
        hint = close_to(str(key), known) or (f"; known: {', '.join(known)}" if known else "")
        return one_line(f"{where}: unknown key{hint}")
    value = fault["input"]
    got = "" if isinstance(value, dict) or " got " in message else f", got {shown(value)}"
    return f"{where}: {message}{got}" if where else f"{message}{got}"


def _known_keys(model: type[BaseModel] | None, path: Iterable[int | str]) -> list[str]:
    """Keys of the part of a model that a path leads to, as far as its annotations tell."""
    fields = _fields_in(model)
    for key in path:
        if key in fields:  # else the place of one of several
            fields = _fields_in(fields[key])
    return [str(key) for key in fields]


def _fields_in(annotation: Any) -> dict[int | str, Any]:
    """Annotations of the keys of the one model that an annotation has, or nothing."""
    found = set(_models_in(annotation))
    fields = found.pop().model_fields if len(found) == 1 else {}
    return {field.alias or name: field.annotation for name, field in fields.items()}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def first_line(error: BaseException) -> str:
    """The first line of a library's message, or its type where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def close_to(name: str, known: Iterable[str]) -> str:
    """A hint at what a misspelt name may have meant, for the end of a message; or nothing."""
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""
