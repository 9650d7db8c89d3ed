"""Sections of a page on a search, or on a calibration."""

from __future__ import annotations

from hrvit_nas.results import CalibrationError, calibrate_criteria
from hrvit_nas.results.allocation import TRAITS
from hrvit_nas.results.trust import MIN_FOR_TRUST
from hrvit_nas.search.config import AnySearch, CalibrationConfig, SupernetSearchConfig
from hrvit_nas.search.plan import outside_space, trust_scores
from hrvit_nas.search.validity import validity_of

from ..allocation import allocation_data
from ..calibration import calibration_table, calibration_verdict, criteria_table
from ..figures import ReportError
from ..importance import importance_data
from ..parallel import parallel_data
from ..pareto import pareto_data
from ..published import published_results
from ..run import ReportedRun
from ..trust import trust_by_criterion, trust_table, trust_verdict
from ..verdict import search_verdict
from . import charts
from .charts import Chart
from .members import beside_reference, search_members
from .section import Section, grid_of

AXIS_WIDTH = 62
"""Pixels that an axis of parallel coordinates wants."""


def frontier(prefix: str, run: ReportedRun, config: AnySearch) -> Section:
    """The frontier, and what it decides."""
    data = pareto_data(run.summary, dataset=run.dataset, image_size=run.image_size)
    seeds = ", ".join(map(str, run.seeds))
    references = run.specs(row.arch_id for row in run.summary.references)
    return Section(
        id=f"{prefix}-frontier",
        title="Frontier",
        words=search_verdict(
            run.summary,
            config.seed,
            config.proxy_noise,
            validity=validity_of(config),
            outside=outside_space(references.values(), run.space) if run.space else (),
        ),
        charts=[
            Chart(
                id=f"{prefix}-pareto{number or ''}",
                title=f"{data.score.word} against {panel.cost}",
                figure=charts.pareto_figure(data, panel),
                caption=f"{data.caption} \N{MIDDLE DOT} seeds {seeds}",
                kind="frontier",
            )
            for number, panel in enumerate(data.panels)
        ],
    )


def members(prefix: str, run: ReportedRun) -> Section | None:
    """Members of the frontier, and references."""
    members = search_members(run)
    if not members:
        return None
    return Section(
        id=f"{prefix}-members",
        title="Members of the frontier and references",
        members=members,
        words=[
            f"intervals are of {run.summary.confidence:.0%} over the seeds of the row; n=1:"
            " one seed, so the interval is unknown"
        ],
    )


def drawings(prefix: str, run: ReportedRun) -> Section | None:
    """The best member beside its reference."""
    pictures = beside_reference(run)
    if not pictures:
        return None
    return Section(
        id=f"{prefix}-drawings",
        title="The reference, the best member, and their difference",
        pictures=pictures,
        words=[
            "the best member is the one with the highest mean mIoU here; the reference is its"
            " neighbour in cost"
        ],
    )


def published(prefix: str, run: ReportedRun) -> Section | None:
    """Published networks."""
    results = published_results(run.dataset)
    if not results:
        return None
    return Section(
        id=f"{prefix}-published",
        title="Published networks",
        charts=[
            Chart(
                id=f"{prefix}-published-chart",
                title=f"published results on {run.dataset}",
                figure=charts.published_figure(results),
                caption=f"SegFormer head, {run.dataset} validation, single scale, trained in full,"
                f" one published number each, n = {len(results)} networks, seeds not published; on"
                " axes of its own, since a proxy's scores are no match for them",
            )
        ],
    )


def parallel(prefix: str, run: ReportedRun) -> Section:
    """Genes of what was searched."""
    data = parallel_data(run)
    return Section(
        id=f"{prefix}-parallel",
        title="Genes",
        parallel=data,
        charts=[
            Chart(
                id=f"{prefix}-parallel-chart",
                title="parallel coordinates",
                figure=charts.parallel_figure(data),
                caption=f"{data.caption}. Drag along an axis to brush, click on it to clear; or use"
                " the form below",
                kind="parallel",
                min_width=AXIS_WIDTH * len(data.axes),
            )
        ],
    )


def importance(prefix: str, run: ReportedRun) -> Section:
    """How much each gene matters."""
    data = importance_data(run)
    return Section(
        id=f"{prefix}-importance",
        title="Importance of genes",
        words=data.words,
        charts=[
            Chart(
                id=f"{prefix}-importance-{number}",
                title=f"for {target}",
                figure=charts.importance_figure(data, target),
                caption=data.caption,
            )
            for number, target in enumerate(data.targets)
            if data.targets[target].genes
        ],
    )


def allocation(prefix: str, run: ReportedRun) -> Section:
    """Where the frontier spends over the branches."""
    data = allocation_data(run)
    return Section(
        id=f"{prefix}-allocation",
        title="Allocation over branches",
        words=data.words,
        charts=[
            Chart(
                id=f"{prefix}-allocation-{trait}",
                title=label,
                figure=charts.allocation_figure(data, trait, label),
                caption=f"{data.caption}; a whisker that reaches the height of the hatched bar:"
                " undecided; stars: decided",
            )
            for trait, label in TRAITS.items()
            if data.of(trait)
        ],
    )


def trust(prefix: str, run: ReportedRun, config: SupernetSearchConfig) -> Section:
    """How far inherited scores rank as training alone does."""
    title = "Trust in the supernet's scores"
    if not config.ranking_check or run.space is None:
        words = ["how far inherited scores rank as training alone does is unknown in this run"]
        return Section(id=f"{prefix}-trust", title=title, words=words)
    scores = trust_scores(run.records, run.space, config)
    if len(scores.arch_ids) < MIN_FOR_TRUST:
        raise ReportError(
            f"{len(scores.arch_ids)} of {config.ranking_check} members are scored and trained"
            f" with every seed, and it takes {MIN_FOR_TRUST}"
        )
    rows, data = trust_by_criterion(scores, config.searched_by)
    first = next(iter(rows.values()))
    return Section(
        id=f"{prefix}-trust",
        title=title,
        words=trust_verdict(first),
        charts=[
            Chart(
                id=f"{prefix}-trust-chart",
                title="inherited scores against training alone",
                figure=charts.trust_figure(data),
                caption=f"{data.caption}; seeds {', '.join(map(str, first.seeds))}",
            )
        ],
        grids=[grid_of(trust_table(rows))],
    )


def calibration(prefix: str, run: ReportedRun, config: CalibrationConfig) -> Section:
    """How noisy the proxy is, and how valid."""
    try:
        calibrations = calibrate_criteria(run.records, config.ranked_by)
    except CalibrationError as error:
        raise ReportError(f"there is no calibration yet: {error}") from error
    calibration = calibrations[config.ranked_by]
    return Section(
        id=f"{prefix}-calibration",
        title="Calibration of the proxy",
        words=calibration_verdict(calibration, config.wanted_tau),
        grids=[grid_of(calibration_table(calibration)), grid_of(criteria_table(calibrations))],
    )
