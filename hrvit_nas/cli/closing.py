"""What a search says before it starts and when it ends, and the files it leaves."""

from __future__ import annotations

from rich.console import Console

from ..report.pareto import draw_pareto, pareto_data
from ..search.run import Run


def announce(console: Console, run: Run) -> None:
    """Says what is about to happen."""
    config = run.config
    height, width = config.image_size
    lines = [
        f"space {run.space.name}: {run.space.size:.3g} architectures before limits",
        f"data {run.data.name}: {len(run.data.train)} training and {len(run.data.val)} validation"
        f" images at {height}x{width}, {run.data.num_classes} classes",
        f"{config.trials} trials of {config.recipe.steps} steps, sampler {config.sampler},"
        f" seed {config.seed}; run directory {run.directory}",
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def close(console: Console, run: Run, notes: list[str]) -> None:
    """Writes the frontier's files and prints the closing table."""
    summary = run.summary()
    for note in notes:
        console.print(note, markup=False, soft_wrap=True)
    if summary.rows:
        data = pareto_data(summary, dataset=run.data.name, image_size=run.config.image_size)
        draw_pareto(data, run.directory / "frontier.png")
