"""Which sections a report of some runs has, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from hrvit_nas.search.ablation_config import AblationConfig
from hrvit_nas.search.config import AnySearch, CalibrationConfig, SupernetSearchConfig
from hrvit_nas.search.config_parts import ConfigError

from ..figures import ReportError
from ..run import ReportedRun
from ..section import Chapter, Finding, Section
from . import ablation, comparison, search
from .run import facts, learning

Builder = Callable[[], Section | None]


def chapters_of(runs: Sequence[ReportedRun]) -> list[Chapter]:
    """A chapter a run, and one that sets the searches among them side by side."""
    chapters = [_chapter(number, run) for number, run in enumerate(runs)]
    histories = comparison.hypervolume_histories(runs)
    if histories:
        beside = Chapter(
            name="hypervolume-history", title="Hypervolume history", sections=histories
        )
        # Of several runs, what sets them side by side comes first.
        chapters.insert(0 if len(runs) > 1 else 1, beside)
    return chapters


def _chapter(number: int, run: ReportedRun) -> Chapter:
    sections = [facts(run)]
    for name, make in _builders(run).items():
        try:
            section = make()
        except (ReportError, ConfigError) as error:
            reason = str(error).removeprefix(f"{run.directory}: ")
            why = Finding(name="not_shown", text=f"not shown: {reason}")
            section = Section(name=name, title=name.capitalize(), findings=[why])
        if section is not None:
            sections.append(section)
    return Chapter(name=f"run-{number}", title=run.name, sections=sections)


def _builders(run: ReportedRun) -> dict[str, Builder]:
    """What makes each section of a run, in order, by name."""
    config, rows = run.config, run.summary.rows
    if isinstance(config, AblationConfig):
        return _ablation_builders(run, config)
    shown = [row.arch_id for row in rows if row.reference]
    shown += [row.arch_id for row in rows if row.on_frontier]
    curves: dict[str, Builder] = {"learning": partial(learning, run, shown)}
    if isinstance(config, CalibrationConfig):
        return {"calibration": partial(search.calibration, run, config), **curves}
    if not isinstance(config, AnySearch):
        return {"learning": partial(learning, run, [row.arch_id for row in rows])}
    builders: dict[str, Builder] = {
        # The rows of its table stand, with all that belongs to them, in the next section.
        "frontier": lambda: replace(search.frontier(run, config), grids=()),
        "architectures": partial(search.architectures, run),
        "drawings": partial(search.drawings, run),
        "published": partial(search.published, run),
        "parallel": partial(search.parallel, run),
        "importance": partial(search.importance, run),
        "allocation": partial(search.allocation, run),
        **curves,
    }
    if isinstance(config, SupernetSearchConfig):
        builders["consistency"] = partial(search.ranking_consistency, run, config)
    return builders


def _ablation_builders(run: ReportedRun, config: AblationConfig) -> dict[str, Builder]:
    found = partial(ablation.ablation_of, run, config)
    return {
        "ablation": lambda: ablation.ablation(found(), config),
        "arms": lambda: ablation.arms(run, found(), config),
        "learning": lambda: learning(run, [spec.id for _, spec in config.architectures()]),
    }
