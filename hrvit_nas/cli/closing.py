"""What a search says before it starts and when it ends, and the files it leaves."""

from __future__ import annotations

from rich.console import Console

from ..report import draw_pareto, frontier_table, pareto_data, write_frontier_csv
from ..results import RunSummary
from ..search.run import Run

CSV_NAME, FIGURE_NAME = "frontier.csv", "frontier.png"


def announce(console: Console, run: Run) -> None:
    """Says what is about to happen."""
    config = run.config
    height, width = config.image_size
    narrowed = f", {len(run.space.narrowing)} genes narrowed" if run.space.narrowing else ""
    _say(
        console,
        f"space {run.space.name}: {run.space.size:.3g} architectures before limits{narrowed}",
        f"data {run.data.name}: {len(run.data.train)} training and {len(run.data.val)} validation"
        f" images at {height}x{width}, {run.data.num_classes} classes",
        f"{config.trials} trials of {config.recipe.steps} steps, sampler {config.sampler},"
        f" seed {config.seed}, confirmed with {config.confirm} further seeds;"
        f" run directory {run.directory}",
    )


def close(console: Console, run: Run, notes: list[str]) -> None:
    """Writes the frontier's files, prints the closing table, and says how far to trust it."""
    summary = run.summary()
    _say(console, *notes)
    if not summary.rows:
        _say(
            console, f"no trial is complete ({summary.num_failed} failed), so there is no frontier"
        )
        return
    height, width = run.config.image_size
    figure = pareto_data(summary, dataset=run.data.name, image_size=(height, width))
    draw_pareto(figure, run.directory / FIGURE_NAME)
    write_frontier_csv(summary, run.directory / CSV_NAME)
    title = f"frontier on {run.data.name}, multiply-adds per image at {height}x{width}"
    console.print(frontier_table(summary, title=title))
    _say(console, *trust(summary, run.config.seed))
    _say(
        console,
        f"{run.directory / FIGURE_NAME}, {CSV_NAME}, trials.parquet and the frontier's"
        f" checkpoints are in {run.directory}",
    )


def trust(summary: RunSummary, seed: int) -> list[str]:
    """What the scores can and cannot decide, in words."""
    failed = [f"{summary.num_failed} trials failed"] if summary.num_failed else []
    if not summary.confirmed:
        return [
            *failed,
            f"every score is of one seed ({seed}): the spread between seeds is unknown here, the"
            " winners are partly those that were lucky, and the order of close members cannot be"
            " told; --resume with --confirm N trains them with N further seeds",
            "this search stands on no calibration of its proxy",
        ]
    compared = [
        (row, *comparison)
        for row in summary.frontier
        if (comparison := summary.against_reference(row)) is not None
    ]
    verdicts = [difference.verdict for _, _, difference in compared]
    counts = {verdict: verdicts.count(verdict) for verdict in ("higher", "lower", "undecided")}
    cost = summary.cost
    gaps = [abs(reference.cost(cost) / row.cost(cost) - 1) for row, reference, _ in compared]
    return [
        *failed,
        f"of {len(compared)} frontier members, beside b1's allocation scaled to within"
        f" {max(gaps, default=0):.0%} of their cost:"
        f" {counts['higher']} higher, {counts['lower']} lower, {counts['undecided']} undecided"
        f" ({summary.confidence:.0%} intervals, paired by seed, not adjusted for"
        f" {len(compared)} comparisons)",
        "this search stands on no calibration of its proxy",
    ]


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
