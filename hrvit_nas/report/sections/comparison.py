"""Sections that set several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from hrvit_nas.search.config import SpaceConfig

from ..hypervolume_history import comparable, hypervolume_history
from ..run import ReportedRun
from ..section import Figure, Section


def hypervolume_histories(runs: Sequence[ReportedRun]) -> list[Section]:
    """Hypervolume of all searches that may be compared, a section a group of them."""
    sections = []
    for number, group in enumerate(comparable(runs)):
        data = hypervolume_history(group)
        if data is None:
            continue
        config = group[0].config
        assert isinstance(config, SpaceConfig)
        sections.append(
            Section(
                name=str(number),
                title=f"Hypervolume: {config.space} on {group[0].dataset},"
                f" {config.recipe.described_steps}",
                findings=data.findings,
                figures=[
                    Figure(
                        name=f"{number}-evaluations",
                        title="over evaluations",
                        data=data.by_evaluations,
                        caption=data.caption,
                    ),
                    Figure(
                        name=f"{number}-seconds",
                        title="over compute",
                        data=data.by_seconds,
                        caption=data.caption,
                    ),
                ],
            )
        )
    return sections
