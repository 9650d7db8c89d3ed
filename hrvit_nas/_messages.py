"""What went wrong, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


def first_fault(error: ValidationError, names: Mapping[str, str] | None = None) -> str:
    """The first fault that pydantic found, as `key: message, got value`.

    Args:
        error: What pydantic found.
        names: What to call a key instead.
    """
    fault = error.errors(include_url=False)[0]
    where = ".".join(str(key) for key in fault["loc"])
    where = (names or {}).get(where, where)
    message = fault["msg"].removeprefix("Value error, ")
    value = fault["input"]
    shown = "" if isinstance(value, dict) or " got " in message else f", got {value!r}"
    return f"{where}: {message}{shown}" if where else f"{message}{shown}"


def first_line(error: BaseException) -> str:
    """The first line of a library's message, or its type where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def close_to(name: str, known: Iterable[str]) -> str:
    """A hint at what a misspelt name may have meant, for the end of a message; or nothing."""
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""
