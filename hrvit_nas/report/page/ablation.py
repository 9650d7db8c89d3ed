"""Sections of a page on an ablation."""

from __future__ import annotations

from hrvit_nas.results import Ablation
from hrvit_nas.search.ablation_config import AblationConfig
from hrvit_nas.search.ablation_results import found

from ..ablation import ablation_grid
from ..forest import forest_data
from ..grid import Grid
from ..run import ReportedRun
from . import charts
from .charts import Chart
from .members import ablation_members
from .section import Section


def ablation(prefix: str, run: ReportedRun, config: AblationConfig) -> Section:
    """What each change does."""
    ablation = _found(run, config)
    data = forest_data(ablation, config.arms, caption=config.title)
    grid = ablation_grid(ablation, config.arms, title=config.title)
    return Section(
        id=f"{prefix}-ablation",
        title="What each change does",
        words=grid.notes,
        charts=[
            Chart(
                id=f"{prefix}-forest",
                title="forest plot",
                figure=charts.forest_figure(data),
                caption=f"{data.caption.partition(chr(10))[0]}; thick: {ablation.confidence:.0%}"
                f" interval; thin: adjusted for {ablation.num_comparisons} comparisons; shaded: too"
                " small to be told",
            )
        ],
        grids=[Grid(title=grid.title, headings=grid.headings, rows=grid.rows, dim=grid.dim)],
    )


def arms(prefix: str, run: ReportedRun, config: AblationConfig) -> Section:
    """The architectures."""
    return Section(
        id=f"{prefix}-arms",
        title="Architectures and their controls",
        members=ablation_members(
            run,
            config.architectures(),
            _found(run, config),
        ),
    )


def _found(run: ReportedRun, config: AblationConfig) -> Ablation:
    return found(run.directory, config, run.records)
