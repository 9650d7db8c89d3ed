"""What a search says before it starts and when it ends, and the files it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from ..arch import parse_arch
from ..evaluation.fvcore_count import count_macs
from ..models import build_segmentor
from ..report import (
    calibration_table,
    calibration_verdict,
    criteria_table,
    draw_pareto,
    draw_trust,
    frontier_table,
    pareto_data,
    search_verdict,
    trust_by_criterion,
    trust_table,
    trust_verdict,
    write_calibration_csv,
    write_frontier_csv,
    write_trust_csv,
)
from ..report.calibration import UNITS
from ..results import ArchSummary, CalibrationError, calibrate_criteria, write_text
from ..results.trust import MIN_FOR_TRUST
from ..search.config import AnySearch, CalibrationConfig, SpaceConfig, SupernetSearchConfig
from ..search.opened import Run
from ..search.plan import outside_space, trust_scores
from ..search.validity import validity_of
from .running import say

CSV_NAME, FIGURE_NAME, CALIBRATION_NAME = "frontier.csv", "frontier.png", "calibration.csv"
TRUST_NAME, TRUST_FIGURE_NAME, TRUST_WORDS_NAME = "trust.csv", "trust.png", "trust.txt"


def announce(console: Console, run: Run[SpaceConfig]) -> None:
    """Says what is about to happen."""
    config, space = run.config, run.space
    assert space is not None
    height, width = config.image_size
    narrowed = f", {len(space.narrowing)} genes narrowed" if space.narrowing else ""
    say(
        console,
        f"space {space.name}: {space.size:.3g} architectures before limits{narrowed}",
        f"data {run.data.name}: {len(run.data.train)} training and {len(run.data.val)} validation"
        f" images at {height}x{width}, {run.data.num_classes} classes",
        f"{_plan(config)}; run directory {run.directory}",
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
        trust = f", {count} members to tell how far to trust that" if count else ""
        return (
            f"a supernet of {config.supernet.steps} steps, {config.trials} architectures scored by"
            f" {UNITS[config.searched_by][0]} with its weights, sampler {config.sampler}, the best"
            f" {config.retrain} trained alone for"
            f" {steps}{trust}, seed {config.seed}, {_confirming(config)}"
        )
    assert isinstance(config, AnySearch)
    return (
        f"{config.trials} trials of {steps}, sampler {config.sampler}, seed {config.seed},"
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
        begun = f"{scored} members are scored with inherited weights, and " if scored else ""
        say(
            console,
            f"{begun}no trial is complete ({summary.num_failed} failed), so there is no frontier",
        )
        return False
    if isinstance(config, CalibrationConfig):
        _close_calibration(console, run, config)
        return True
    assert isinstance(config, AnySearch)
    assert run.space is not None
    height, width = config.image_size
    figure = pareto_data(summary, dataset=run.data.name, image_size=(height, width))
    draw_pareto(figure, run.directory / FIGURE_NAME)
    write_frontier_csv(summary, run.directory / CSV_NAME)
    title = f"frontier on {run.data.name}, multiply-adds per image at {height}x{width}"
    console.print(frontier_table(summary, title=title))
    references = (parse_arch(row.arch) for row in summary.references)
    outside = outside_space(references, run.space)
    say(
        console,
        *search_verdict(
            summary, config.seed, config.proxy_noise, validity=validity_of(config), outside=outside
        ),
    )
    say(console, recount(summary.frontier, run.data.num_classes, (height, width)))
    if isinstance(config, SupernetSearchConfig):
        _close_supernet(console, run, config)
    say(
        console,
        f"{run.directory / FIGURE_NAME}, {CSV_NAME}, trials.parquet and the frontier's"
        f" checkpoints are in {run.directory}; hrvit-report {run.directory} shows it as a page",
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


def _close_supernet(console: Console, run: Run[Any], config: SupernetSearchConfig) -> None:
    """How far the inherited scores can be trusted, as far as this run says."""
    if not config.ranking_check:
        say(
            console,
            "how far the scores with inherited weights rank as training alone does is unknown"
            " here; --resume with --trust N measures it",
        )
        return
    scores = trust_scores(run.store.records(), run.space, config)
    if len(scores.arch_ids) < MIN_FOR_TRUST:
        say(
            console,
            f"there is no trust report yet: {len(scores.arch_ids)} of {config.ranking_check}"
            f" members are scored and trained with every seed, and it takes {MIN_FOR_TRUST}",
        )
        return
    rows, figure = trust_by_criterion(scores, config.searched_by)
    name, found = next(iter(rows.items()))
    write_trust_csv(rows, run.directory / TRUST_NAME)
    draw_trust(figure, run.directory / TRUST_FIGURE_NAME)
    title = "scores with inherited weights against mIoU of training alone"
    console.print(trust_table(rows, title))
    verdict = [f"by {name}, which this search goes by:", *trust_verdict(found)]
    write_text(run.directory / TRUST_WORDS_NAME, "\n".join(verdict) + "\n")
    say(console, *verdict)


def _close_calibration(console: Console, run: Run[Any], config: CalibrationConfig) -> None:
    try:
        calibrations = calibrate_criteria(run.store.records(), config.ranked_by)
    except CalibrationError as error:
        say(console, f"there is no calibration yet: {error}")
        return
    write_calibration_csv(calibrations.values(), run.directory / CALIBRATION_NAME)
    title = f"calibration of the proxy on {run.data.name}"
    calibration = calibrations[config.ranked_by]
    console.print(calibration_table(calibration, title=title))
    console.print(criteria_table(calibrations))
    say(
        console,
        *calibration_verdict(calibration, config.wanted_tau),
        f"{CALIBRATION_NAME} and trials.parquet are in {run.directory}; a search stands on this"
        f" calibration with --calibration {run.directory}",
    )
