"""Sections on a search, or on a calibration."""

from __future__ import annotations

from hrvit_nas.results import CalibrationError, calibrate_criteria
from hrvit_nas.results.consistency import MIN_FOR_CONSISTENCY
from hrvit_nas.search.config import AnySearch, CalibrationConfig, SupernetSearchConfig
from hrvit_nas.search.search_plan import consistency_scores, outside_space
from hrvit_nas.search.validity import validity_of

from ..allocation import allocation_data
from ..calibration import (
    calibration_grid,
    calibration_records,
    calibration_verdict,
    criteria_grid,
)
from ..consistency import (
    consistency_by_criterion,
    consistency_grid,
    consistency_records,
    consistency_verdict,
)
from ..figures import ReportError
from ..importance import importance_data
from ..parallel import parallel_data
from ..pareto import pareto_data
from ..published import PublishedData, published_results
from ..run import ReportedRun
from ..section import Figure, Finding, Section
from ..tables import frontier_grid, frontier_records
from ..verdict import SYNTHETIC, search_verdict
from .architectures import beside_reference, search_archs


def frontier(run: ReportedRun, config: AnySearch) -> Section:
    """The frontier, and what it decides.

    Raises:
        ReportError: Nothing is complete, or an architecture is damaged.
    """
    data = pareto_data(run.summary, dataset=run.dataset, image_size=run.image_size)
    height, width = run.image_size
    specs = run.specs(row.arch_id for row in run.summary.shown)
    references = [specs[row.arch_id] for row in run.summary.references if row.arch_id in specs]
    title = f"frontier on {run.dataset}, multiply-adds per image at {height}x{width}"
    return Section(
        name="frontier",
        title="Frontier",
        findings=search_verdict(
            run.summary,
            config.seed,
            config.proxy_noise,
            validity=validity_of(config),
            lower=[found for step in config.rungs[:-1] if (found := validity_of(config, step))],
            outside=outside_space(references, run.space) if run.space else (),
            synthetic=config.data.synthetic,
        ),
        grids=[frontier_grid(run.summary, title=title)],
        figures=[
            Figure(
                name="pareto",
                title=f"{data.score.word} against cost",
                data=data,
                caption=f"{data.caption} \N{MIDDLE DOT} seeds {', '.join(map(str, run.seeds))}",
                file="frontier",
            )
        ],
        records=[
            frontier_records(run.summary, {key: spec.to_json() for key, spec in specs.items()})
        ],
    )


def architectures(run: ReportedRun) -> Section | None:
    """The architectures of the frontier, and the references."""
    archs = search_archs(run)
    if not archs:
        return None
    return Section(
        name="architectures",
        title="Frontier architectures and references",
        archs=archs,
        findings=[
            Finding(
                name="intervals",
                text=f"intervals are of {run.summary.confidence:.0%} over the seeds of the row;"
                " n=1: one seed, so the interval is unknown",
            )
        ],
    )


def drawings(run: ReportedRun) -> Section | None:
    """The best architecture beside its reference."""
    drawings = beside_reference(run)
    if not drawings:
        return None
    return Section(
        name="drawings",
        title="The reference, the best architecture, and their difference",
        drawings=drawings,
        findings=[
            Finding(
                name="best",
                text="the best architecture is the one with the highest mean mIoU here; the"
                " reference is its neighbour in cost",
            )
        ],
    )


def published(run: ReportedRun) -> Section | None:
    """Published networks."""
    results = published_results(run.dataset)
    if not results:
        return None
    return Section(
        name="published",
        title="Published networks",
        figures=[
            Figure(
                name="published-chart",
                title=f"published results on {run.dataset}",
                data=PublishedData(results),
                caption=f"SegFormer head, {run.dataset} validation, single scale, trained in full,"
                f" one published number each, n = {len(results)} networks, seeds not published; on"
                " axes of its own, since a proxy's scores are no match for them",
            )
        ],
    )


def parallel(run: ReportedRun) -> Section:
    """Genes of what was searched.

    Raises:
        ReportError: Nothing was searched, or the run's space is not there any more.
    """
    data = parallel_data(run)
    return Section(
        name="parallel",
        title="Genes",
        figures=[
            Figure(
                name="parallel-chart",
                title="parallel coordinates",
                data=data,
                caption=data.caption,
            )
        ],
    )


def importance(run: ReportedRun) -> Section:
    """How much each gene matters.

    Raises:
        ReportError: The run has no space, or too few architectures were searched.
    """
    data = importance_data(run)
    return Section(
        name="importance",
        title="Importance of genes",
        findings=data.findings,
        figures=[
            Figure(
                name=f"importance-{number}",
                title=f"for {panel.target}",
                data=panel,
                caption=data.caption,
            )
            for number, panel in enumerate(data.panels)
            if panel.importance.genes
        ],
    )


def allocation(run: ReportedRun) -> Section:
    """Where the frontier spends over the branches.

    Raises:
        ReportError: There is no frontier, or nothing beside it.
    """
    data = allocation_data(run)
    return Section(
        name="allocation",
        title="Allocation over branches",
        findings=data.findings,
        figures=[
            Figure(
                name=f"allocation-{panel.trait}",
                title=panel.label,
                data=panel,
                caption=f"{data.caption}; a whisker that reaches the height of the hatched bar:"
                " undecided; stars: decided",
            )
            for panel in data.panels
        ],
    )


def ranking_consistency(run: ReportedRun, config: SupernetSearchConfig) -> Section:
    """How far inherited scores rank as training alone does.

    Raises:
        ReportError: Too few architectures have both kinds of score so far.
    """
    title = "Ranking consistency of the supernet's scores"
    if not config.ranking_check or run.space is None:
        unknown = Finding(
            name="ranking_unknown",
            text="how far the scores with inherited weights rank as training alone does is unknown"
            " here",
            hint=None if config.ranking_check else "measure_ranking",
        )
        return Section(name="consistency", title=title, findings=[unknown])
    scores = consistency_scores(run.records, run.space, config)
    if len(scores.arch_ids) < MIN_FOR_CONSISTENCY:
        raise ReportError(
            f"there is no ranking consistency yet: {len(scores.arch_ids)} of {config.ranking_check}"
            f" subnets are scored and trained with every seed, and it takes {MIN_FOR_CONSISTENCY}"
        )
    rows, data = consistency_by_criterion(scores, config.searched_by)
    name, first = next(iter(rows.items()))
    return Section(
        name="consistency",
        title=title,
        findings=[
            Finding(
                name="searched_by",
                text=f"by {name}, which this search goes by:",
                facts={"criterion": config.searched_by},
            ),
            *consistency_verdict(first),
        ],
        figures=[
            Figure(
                name="consistency-chart",
                title="inherited scores against training alone",
                data=data,
                caption=f"{data.caption}; seeds {', '.join(map(str, first.seeds))}",
                file="ranking_consistency",
            )
        ],
        grids=[
            consistency_grid(rows, "scores with inherited weights against mIoU of training alone")
        ],
        records=[consistency_records(rows)],
    )


def calibration(run: ReportedRun, config: CalibrationConfig) -> Section:
    """How noisy the proxy is, and how valid.

    Raises:
        ReportError: Too few architectures have every seed so far.
    """
    try:
        calibrations = calibrate_criteria(run.records, config.ranked_by)
    except CalibrationError as error:
        raise ReportError(f"there is no calibration yet: {error}") from error
    calibration = calibrations[config.ranked_by]
    return Section(
        name="calibration",
        title="Calibration of the proxy",
        findings=[
            *([SYNTHETIC] if config.data.synthetic else ()),
            *calibration_verdict(calibration, config.wanted_tau),
        ],
        grids=[
            calibration_grid(calibration, title=f"calibration of the proxy on {run.dataset}"),
            criteria_grid(calibrations),
        ],
        records=[calibration_records(calibrations.values())],
    )
