"""Sections on an ablation."""

from __future__ import annotations

from hrvit_nas.results import Ablation
from hrvit_nas.search.ablation_config import AblationConfig
from hrvit_nas.search.ablation_results import found

from ..ablation import ablation_grid, ablation_records, ablation_verdict
from ..forest import forest_data
from ..run import ReportedRun
from ..section import Figure, Section
from ..verdict import SYNTHETIC
from .architectures import ablation_archs


def ablation(ablation: Ablation, config: AblationConfig) -> Section:
    """What each change does.

    Raises:
        ReportError: No change has an effect yet.
    """
    data = forest_data(ablation, config.arms, caption=config.title)
    return Section(
        name="ablation",
        title="What each change does",
        findings=[
            *([SYNTHETIC] if config.data.synthetic else ()),
            *ablation_verdict(ablation),
        ],
        figures=[
            Figure(
                name="forest",
                title="forest plot",
                data=data,
                caption=f"{data.caption.partition(chr(10))[0]}; thick: {ablation.confidence:.0%}"
                f" interval; thin: adjusted for {ablation.num_comparisons} comparisons; shaded: too"
                " small to be told",
                file="ablation",
            )
        ],
        grids=[ablation_grid(ablation, config.arms, title=config.title)],
        records=[ablation_records(ablation, config.arms, config.conditions)],
    )


def arms(run: ReportedRun, ablation: Ablation, config: AblationConfig) -> Section:
    """The architectures."""
    return Section(
        name="arms",
        title="Architectures and their controls",
        archs=ablation_archs(run, config.architectures(), ablation),
    )


def ablation_of(run: ReportedRun, config: AblationConfig) -> Ablation:
    """What a run directory has so far, by mIoU.

    Raises:
        ConfigError: Its measured latencies are damaged.
    """
    return found(run.directory, config, run.records)
