"""What a search says before it starts and when it ends, and the files it leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from ..arch import parse_arch
from ..evaluation.fvcore_count import count_macs
from ..models import build_segmentor
from ..report import ReportError
from ..report.render import print_section, write_section
from ..report.run import ReportedRun
from ..report.section import Section, sentences
from ..report.sections import search
from ..report.units import UNITS
from ..results import ArchSummary, write_text
from ..search.config import (
    AnySearch,
    CalibrationConfig,
    SearchConfig,
    SpaceConfig,
    SupernetSearchConfig,
)
from ..search.opened import Run
from ..search.validity import valid_from
from .data_words import described_data
from .hints import HINTS
from .running import say

CONSISTENCY_WORDS_NAME = "ranking_consistency.txt"


def announce(console: Console, run: Run[SpaceConfig]) -> None:
    """Says what is about to happen."""
    config, space = run.config, run.space
    assert space is not None
    narrowed = f", {len(space.narrowing)} genes narrowed" if space.narrowing else ""
    say(
        console,
        f"space {space.name}: {space.size:.3g} architectures before limits{narrowed}",
        described_data(run),
        f"{_plan(config)}; run directory {run.directory}",
        *_early_rung(config),
    )


def _early_rung(config: SpaceConfig) -> Iterator[str]:
    """A warning of a lowest rung whose scores do not rank yet."""
    if not isinstance(config, SearchConfig) or config.scheduler is None:
        return
    first = valid_from(config)
    if first is not None and config.rungs[0] < first.step:
        yield (
            f"warning: the lowest rung, {config.rungs[0]} steps, is below {first.step}, the first"
            f" at which scores rank as long training does (Kendall's tau"
            f" {first.tau.describe()}, the table {first.table!r}): what goes on from there is"
            " largely luck"
        )


def _plan(config: SpaceConfig) -> str:
    steps = config.recipe.described_steps
    long = f" and {config.long.described_steps}" if config.long else ""
    if isinstance(config, CalibrationConfig):
        return (
            f"calibration of the proxy: {config.architectures} architectures spread over the cost"
            f" range, {config.num_seeds} seeds each, {steps}{long}, seed"
            f" {config.seed}"
        )
    if isinstance(config, SupernetSearchConfig):
        count = config.ranking_check
        check = f", {count} architectures to check that ranking" if count else ""
        return (
            f"a supernet of {config.supernet.steps} steps, {config.trials} architectures scored by"
            f" {UNITS[config.searched_by][0]} with its weights, sampler {config.sampler}, the best"
            f" {config.retrain} trained alone for"
            f" {steps}{check}, seed {config.seed}, {_confirming(config)}"
        )
    assert isinstance(config, SearchConfig)
    halving = ""
    if config.scheduler is not None:
        halving = (
            f" on rungs of {', '.join(map(str, config.rungs))} steps, one in"
            f" {config.scheduler.reduction_factor} going on by {config.scheduler.mo_selector}"
        )
    return (
        f"{config.trials} trials of {steps}{halving}, sampler {config.sampler}, seed {config.seed},"
        f" {_confirming(config)}"
    )


def _confirming(config: AnySearch) -> str:
    which = f"the best {config.finalists} " if config.finalists else ""
    seeds = f"{which}confirmed with {config.confirm} further seeds"
    return f"{seeds} of {config.long.described_steps}" if config.confirm and config.long else seeds


def close(console: Console, run: Run[SpaceConfig], notes: list[str]) -> bool:
    """Writes the files, prints the closing table, and says how far to trust it.

    Returns:
        Whether any trial is complete.
    """
    config, summary = run.config, run.summary()
    say(console, *notes)
    if not summary.rows:
        scored = len(summary.inherited)
        begun = f"{scored} subnets are scored with inherited weights, and " if scored else ""
        say(
            console,
            f"{begun}no trial is complete ({summary.num_failed} failed), so there is no frontier",
        )
        return False
    reported = ReportedRun(
        directory=run.directory,
        config=config,
        store=run.store,
        records=tuple(run.store.records()),
        summary=summary,
        opened_space=run.space,
    )
    if isinstance(config, CalibrationConfig):
        _close_calibration(console, reported, config)
        return True
    assert isinstance(config, AnySearch)
    _show(console, reported, search.frontier(reported, config))
    say(console, recount(summary.frontier, run.data.num_classes, config.image_size))
    if isinstance(config, SupernetSearchConfig):
        _close_supernet(console, reported, config)
    kept = ["frontier.csv", "trials.parquet"]
    if not config.data.synthetic:
        kept.append("the frontier's checkpoints")
    say(
        console,
        f"{run.directory / 'frontier.png'}, {', '.join(kept[:-1])} and {kept[-1]} are in"
        f" {run.directory}; hrvit-report {run.directory} shows it as a page",
    )
    return True


def recount(rows: Sequence[ArchSummary], num_classes: int, image_size: tuple[int, int]) -> str:
    """Says whether fvcore counts the multiply-adds that a table shows, on the networks themselves.

    Args:
        rows: The architectures.
        num_classes: Of the networks.
        image_size: Height and width that they are counted at.
    """
    off = []
    for row in rows:
        model = build_segmentor(parse_arch(row.arch), num_classes)
        counted = sum(count_macs(model, image_size).values())
        if counted != row.macs:
            off.append(f"{row.arch_id} {row.macs:,} here, {counted:,} there")
    what = f"multiply-adds of the frontier's {len(rows)} architectures, counted again by fvcore"
    return f"{what}, differ: {'; '.join(off)}" if off else f"{what}, are the same"


def _show(console: Console, run: ReportedRun, section: Section) -> None:
    """Keeps the files of a section in the run directory, and prints it."""
    write_section(section, run.directory)
    print_section(console, section, HINTS)


def _close_supernet(console: Console, run: ReportedRun, config: SupernetSearchConfig) -> None:
    """Ranking consistency of the inherited scores, as far as this run says."""
    try:
        section = search.ranking_consistency(run, config)
    except ReportError as error:
        say(console, str(error))
        return
    _show(console, run, section)
    if section.records:
        words = sentences(section.findings, HINTS)
        write_text(run.directory / CONSISTENCY_WORDS_NAME, "\n".join(words) + "\n")


def _close_calibration(console: Console, run: ReportedRun, config: CalibrationConfig) -> None:
    try:
        section = search.calibration(run, config)
    except ReportError as error:
        say(console, str(error))
        return
    _show(console, run, section)
    say(
        console,
        f"calibration.csv and trials.parquet are in {run.directory}; a search stands on this"
        f" calibration with --calibration {run.directory}",
    )
