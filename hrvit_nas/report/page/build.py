"""A page from runs: which sections there are, and the template that they go into."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined

import hrvit_nas
from hrvit_nas.results import CalibrationError, calibrate_criteria
from hrvit_nas.results.allocation import TRAITS
from hrvit_nas.results.trust import MIN_FOR_TRUST
from hrvit_nas.search.ablation_run import AblationConfig, found
from hrvit_nas.search.config import ConfigError, SearchConfig
from hrvit_nas.search.plan import outside_space, trust_scores
from hrvit_nas.search.validity import validity_of

from ..ablation import ablation_grid
from ..allocation import allocation_data
from ..calibration import calibration_table, calibration_verdict, criteria_table
from ..figures import ReportError
from ..forest import forest_data
from ..grid import Grid
from ..growth import comparable, growth_data
from ..importance import importance_data
from ..learning import learning_data
from ..parallel import ParallelData, parallel_data
from ..pareto import pareto_data
from ..published import published_results
from ..run import ReportedRun
from ..trust import trust_by_criterion, trust_table, trust_verdict
from ..verdict import search_verdict
from . import charts
from .charts import Chart
from .members import Member, Picture, ablation_members, beside_reference, search_members

if TYPE_CHECKING:
    from rich.table import Table

AXIS_WIDTH = 62
"""Pixels that an axis of parallel coordinates wants."""
MOST_ERRORS = 10


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of a page.

    Attributes:
        id: Unique on the page.
        title: One line.
        words: Sentences.
        charts: Charts.
        grids: Tables.
        pictures: Drawings side by side.
        members: Rows of the table of architectures.
        parallel: What the script needs to brush the parallel coordinates among the charts.
    """

    id: str
    title: str
    words: Sequence[str] = ()
    charts: Sequence[Chart] = ()
    grids: Sequence[Grid] = ()
    pictures: Sequence[Picture] = ()
    members: Sequence[Member] = ()
    parallel: ParallelData | None = None

    @property
    def headings(self) -> list[str]:
        """Of the table of architectures: every one that any of them has."""
        return list(dict.fromkeys(name for member in self.members for name in member.cells))


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """All sections of one run, or of a comparison of several."""

    id: str
    title: str
    sections: Sequence[Section]


def build_page(runs: Sequence[ReportedRun], *, live: str = "") -> str:
    """Makes the page: one HTML document that needs no other file and no network.

    Args:
        runs: At least one.
        live: Version of what is shown, where the page is served and refreshes; empty for a file.
    """
    chapters = [_chapter(number, run) for number, run in enumerate(runs)]
    # Of several runs, what sets them side by side comes first.
    chapters.insert(0 if len(runs) > 1 else 1, _comparison(runs))
    chapters = [chapter for chapter in chapters if chapter.sections]
    shown = [chart for chapter in chapters for part in chapter.sections for chart in part.charts]
    parallels = {
        part.id: {
            "axes": [
                {"name": axis.name, "values": axis.values, "choices": axis.choices}
                for axis in part.parallel.axes
            ],
            "archIds": part.parallel.arch_ids,
        }
        for chapter in chapters
        for part in chapter.sections
        if part.parallel is not None
    }
    data = {
        "charts": {chart.id: json.loads(chart.figure.to_json()) for chart in shown},
        "parallels": parallels,
        "live": live,
    }
    names = [run.name for run in runs]
    return (
        _template()
        .render(
            title=names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more",
            chapters=chapters,
            version=hrvit_nas.__version__,
            live=live,
            data=_for_script(data),
            style=_asset("page.css"),
            script=_asset("page.js"),
            plotly=_plotly(),
        )
        .strip()
        + "\n"
    )


def _comparison(runs: Sequence[ReportedRun]) -> Chapter:
    """Hypervolume of all searches that may be compared."""
    sections = []
    for number, group in enumerate(comparable(runs)):
        data = growth_data(group)
        if data is None:
            continue
        name = f"growth-{number}"
        config = group[0].config
        assert not isinstance(config, AblationConfig)
        sections.append(
            Section(
                id=name,
                title=f"Hypervolume: {config.space} on {group[0].dataset},"
                f" {config.recipe.described_steps}",
                words=data.words,
                charts=[
                    Chart(
                        id=f"{name}-evaluations",
                        title="over evaluations",
                        figure=charts.growth_figure(data.by_evaluations, data, "trials that ended"),
                        caption=data.caption,
                    ),
                    Chart(
                        id=f"{name}-seconds",
                        title="over compute",
                        figure=charts.growth_figure(
                            data.by_seconds, data, "time of workers (s), wherever they ran"
                        ),
                        caption=data.caption,
                    ),
                ],
            )
        )
    return Chapter(id="growth", title="How hypervolume grew", sections=sections)


def _chapter(number: int, run: ReportedRun) -> Chapter:
    prefix = f"run-{number}"
    parts: tuple[Callable[[str, ReportedRun], Section | None], ...]
    if run.kind == "ablation":
        parts = (_ablation, _arms, _learning)
    elif run.kind == "calibration":
        parts = (_calibration, _learning)
    else:
        parts = (
            _frontier,
            _members,
            _drawings,
            _published,
            _parallel,
            _importance,
            _allocation,
            _learning,
            _trust,
        )
    sections = [_facts(prefix, run)]
    for part in parts:
        try:
            section = part(prefix, run)
        except (ReportError, ConfigError) as error:
            name = part.__name__.strip("_")
            reason = str(error).removeprefix(f"{run.directory}: ")
            section = Section(
                id=f"{prefix}-{name}", title=name.capitalize(), words=[f"not shown: {reason}"]
            )
        if section is not None:
            sections.append(section)
    return Chapter(id=prefix, title=run.name, sections=sections)


def _facts(prefix: str, run: ReportedRun) -> Section:
    config = run.config
    complete = sum(record.state == "complete" for record in run.records)
    height, width = run.image_size
    seconds = sum(record.seconds for record in run.records)
    facts = {"kind": run.kind}
    if isinstance(config, AblationConfig):
        facts |= {"plan": config.plan, "base": f"{config.base}, widths times {config.factor:g}"}
    else:
        facts |= {"space": config.space, "strategy": f"{config.strategy}, {config.sampler}"}
        facts |= {"seed of the search": str(config.seed)}
    facts |= {
        "data": f"{run.dataset} at {height}x{width}",
        "steps": _steps(config),
        "trials": f"{complete:,} complete, {len(run.records) - complete:,} failed",
        "seeds": ", ".join(map(str, run.seeds)) or "none yet",
        "time of trials, all workers": f"{seconds / 3600:.3g} h"
        + (" (without training the supernet)" if _has_supernet(config) else ""),
    }
    if run.started_and_ended is not None:
        first, last = run.started_and_ended
        facts["first and last trial ended"] = f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
    words = []
    if not complete:
        words.append("no trial is complete yet")
    errors = Counter(record.error for record in run.records if record.state == "failed")
    words += [
        f"failed {count} time{'s' if count > 1 else ''}: {message}"
        for message, count in errors.most_common(MOST_ERRORS)
    ]
    grid = Grid(title="", headings=("", ""), rows=[list(item) for item in facts.items()])
    return Section(id=f"{prefix}-facts", title="What was run", words=words, grids=[grid])


def _has_supernet(config: SearchConfig | AblationConfig) -> bool:
    if isinstance(config, AblationConfig):
        return config.supernet is not None
    return config.strategy == "supernet"


def _steps(config: SearchConfig | AblationConfig) -> str:
    if not _has_supernet(config) or config.supernet is None:
        return f"{config.recipe.trained_steps:,} a trial"
    supernet = f"{config.supernet.steps:,} of a supernet"
    alone = (
        "" if isinstance(config, AblationConfig) else f", {config.recipe.trained_steps:,} a trial"
    )
    return f"{supernet}{alone}"


def _frontier(prefix: str, run: ReportedRun) -> Section:
    config = run.config
    assert not isinstance(config, AblationConfig)
    data = pareto_data(run.summary, dataset=run.dataset, image_size=run.image_size)
    seeds = ", ".join(map(str, run.seeds))
    references = run.specs(row.arch_id for row in run.summary.references)
    return Section(
        id=f"{prefix}-frontier",
        title="Frontier",
        words=search_verdict(
            run.summary,
            config.seed,
            config.standing,
            validity=validity_of(config),
            outside=outside_space(references.values(), run.space) if run.space else (),
        ),
        charts=[
            Chart(
                id=f"{prefix}-pareto",
                title="mIoU against cost",
                figure=charts.pareto_figure(data),
                caption=f"{data.caption} \N{MIDDLE DOT} seeds {seeds}",
                kind="frontier",
            )
        ],
    )


def _members(prefix: str, run: ReportedRun) -> Section | None:
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


def _drawings(prefix: str, run: ReportedRun) -> Section | None:
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


def _published(prefix: str, run: ReportedRun) -> Section | None:
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


def _parallel(prefix: str, run: ReportedRun) -> Section:
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


def _importance(prefix: str, run: ReportedRun) -> Section:
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


def _allocation(prefix: str, run: ReportedRun) -> Section:
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


def _learning(prefix: str, run: ReportedRun) -> Section | None:
    if isinstance(run.config, AblationConfig):
        chosen = [spec.id for _, spec in run.config.architectures()]
    else:
        rows = run.summary.rows
        chosen = [row.arch_id for row in rows if row.reference]
        chosen += [row.arch_id for row in rows if row.on_frontier]
    data = learning_data(run, chosen)
    if data is None:
        return None
    return Section(
        id=f"{prefix}-learning",
        title="Learning curves",
        charts=[
            Chart(
                id=f"{prefix}-learning-chart",
                title="mIoU against steps",
                figure=charts.learning_figure(data),
                caption=data.caption,
            )
        ],
    )


def _trust(prefix: str, run: ReportedRun) -> Section | None:
    config = run.config
    assert not isinstance(config, AblationConfig)
    if config.strategy != "supernet":
        return None
    title = "Trust in the supernet's scores"
    if not config.trust or run.space is None:
        words = ["how far inherited scores rank as training alone does is unknown in this run"]
        return Section(id=f"{prefix}-trust", title=title, words=words)
    scores = trust_scores(run.records, run.space, config)
    if len(scores.arch_ids) < MIN_FOR_TRUST:
        raise ReportError(
            f"{len(scores.arch_ids)} of {config.trust} members are scored and trained with every"
            f" seed, and it takes {MIN_FOR_TRUST}"
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
        grids=[_grid(trust_table(rows))],
    )


def _calibration(prefix: str, run: ReportedRun) -> Section:
    config = run.config
    assert not isinstance(config, AblationConfig)
    try:
        calibrations = calibrate_criteria(run.records, config.ranked_by)
    except CalibrationError as error:
        raise ReportError(f"there is no calibration yet: {error}") from error
    calibration = calibrations[config.ranked_by]
    return Section(
        id=f"{prefix}-calibration",
        title="Calibration of the proxy",
        words=calibration_verdict(calibration, config.wanted_tau),
        grids=[_grid(calibration_table(calibration)), _grid(criteria_table(calibrations))],
    )


def _ablation(prefix: str, run: ReportedRun) -> Section:
    config = run.config
    assert isinstance(config, AblationConfig)
    ablation = found(config, run.directory, run.records, "miou")
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


def _arms(prefix: str, run: ReportedRun) -> Section:
    assert isinstance(run.config, AblationConfig)
    return Section(
        id=f"{prefix}-arms",
        title="Architectures and their controls",
        members=ablation_members(
            run,
            run.config.architectures(),
            found(run.config, run.directory, run.records, "miou"),
        ),
    )


def _grid(table: Table) -> Grid:
    """A table made for the terminal, for a page."""
    cells = [[str(cell) for cell in column.cells] for column in table.columns]
    return Grid(
        title=str(table.title or ""),
        headings=[str(column.header) for column in table.columns],
        rows=[list(row) for row in zip(*cells, strict=True)],
    )


def _for_script(data: object) -> str:
    """JSON that ends no script element and holds no NaN."""
    text = json.dumps(_finite(data), separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _finite(data: object) -> object:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _template():
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(_asset("page.html"))


@cache
def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()
