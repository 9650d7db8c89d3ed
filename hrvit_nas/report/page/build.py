"""A page from runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..run import ReportedRun
from ..section import Hint
from ..sections.chapters import chapters_of
from .html import html_page


def build_page(
    runs: Sequence[ReportedRun], *, live: str = "", hints: Mapping[Hint, str] | None = None
) -> str:
    """Makes the page: one HTML document that needs no other file and no network.

    Args:
        runs: At least one.
        live: Version of what is shown, where the page is served and refreshes; empty for a file.
        hints: What is added to findings; none without.
    """
    names = [run.name for run in runs]
    title = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    return html_page(chapters_of(runs), title=title, live=live, hints=hints or {})
