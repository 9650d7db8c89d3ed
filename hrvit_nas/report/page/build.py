"""A page from runs: which sections there are, and the template that they go into."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

import hrvit_nas
from hrvit_nas.search.ablation_config import AblationConfig
from hrvit_nas.search.config import AnySearch, CalibrationConfig, SupernetSearchConfig
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.stored import KINDS

from ..figures import ReportError
from ..grid import Grid
from ..growth import comparable, growth_data
from ..learning import learning_data
from ..run import ReportedRun
from . import ablation, charts, search
from .charts import Chart
from .section import Chapter, Section

MOST_ERRORS = 10


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
    sections = [_facts(prefix, run)]
    for name, make in _sections(prefix, run).items():
        try:
            section = make()
        except (ReportError, ConfigError) as error:
            reason = str(error).removeprefix(f"{run.directory}: ")
            words = [f"not shown: {reason}"]
            section = Section(id=f"{prefix}-{name}", title=name.capitalize(), words=words)
        if section is not None:
            sections.append(section)
    return Chapter(id=prefix, title=run.name, sections=sections)


def _sections(prefix: str, run: ReportedRun) -> dict[str, Callable[[], Section | None]]:
    """What makes each section of a run, in order, by name."""
    config, rows = run.config, run.summary.rows
    if isinstance(config, AblationConfig):
        specs = [spec.id for _, spec in config.architectures()]
        return {
            "ablation": lambda: ablation.ablation(prefix, run, config),
            "arms": lambda: ablation.arms(prefix, run, config),
            "learning": lambda: _learning(prefix, run, specs),
        }
    shown = [row.arch_id for row in rows if row.reference]
    shown += [row.arch_id for row in rows if row.on_frontier]
    curves = {"learning": lambda: _learning(prefix, run, shown)}
    if isinstance(config, CalibrationConfig):
        return {"calibration": lambda: search.calibration(prefix, run, config), **curves}
    sections = {
        "frontier": lambda: search.frontier(prefix, run, config),
        "members": lambda: search.members(prefix, run),
        "drawings": lambda: search.drawings(prefix, run),
        "published": lambda: search.published(prefix, run),
        "parallel": lambda: search.parallel(prefix, run),
        "importance": lambda: search.importance(prefix, run),
        "allocation": lambda: search.allocation(prefix, run),
        **curves,
    }
    if isinstance(config, SupernetSearchConfig):
        sections["trust"] = lambda: search.trust(prefix, run, config)
    return sections


def _facts(prefix: str, run: ReportedRun) -> Section:
    config = run.config
    complete = sum(record.state == "complete" for record in run.records)
    height, width = run.image_size
    seconds = sum(record.seconds for record in run.records)
    facts = {"kind": KINDS[config.kind][1]}
    if isinstance(config, AblationConfig):
        facts |= {"plan": config.plan, "base": f"{config.base}, widths times {config.factor:g}"}
    else:
        facts |= {"space": config.space, "seed": str(config.seed)}
    if isinstance(config, AnySearch):
        facts |= {"sampler": config.sampler}
    facts |= {
        "data": f"{run.dataset} at {height}x{width}",
        "steps": _steps(run),
        "trials": f"{complete:,} complete, {len(run.records) - complete:,} failed",
        "seeds": ", ".join(map(str, run.seeds)) or "none yet",
        "time of trials, all workers": f"{seconds / 3600:.3g} h"
        + (" (without training the supernet)" if config.supernet_seeds else ""),
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


def _steps(run: ReportedRun) -> str:
    config, kinds = run.config, []
    if isinstance(config, (AblationConfig, SupernetSearchConfig)) and config.supernet is not None:
        kinds.append(f"{config.supernet.steps:,} of a supernet")
    if isinstance(config, AnySearch) or config.first_stage.evaluator == "trained":
        kinds.append(f"{config.recipe.trained_steps:,} a trial")
    return ", ".join(kinds)


def _learning(prefix: str, run: ReportedRun, chosen: Sequence[str]) -> Section | None:
    """How chosen architectures learnt; nothing where that is not on record."""
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
