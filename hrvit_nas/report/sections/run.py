"""Sections on any run: what was run, and how architectures learnt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hrvit_nas.results import seconds_spent
from hrvit_nas.search.ablation_config import AblationConfig
from hrvit_nas.search.config import AnySearch, SpaceConfig, SupernetSearchConfig
from hrvit_nas.search.kinds import KINDS

from ..grid import Grid, named
from ..learning import learning_data
from ..run import ReportedRun
from ..section import Figure, Finding, Section
from ..verdict import SYNTHETIC

MOST_ERRORS = 10


def facts(run: ReportedRun) -> Section:
    """What was run, how far it is, and why trials failed."""
    config = run.config
    complete = sum(record.state == "complete" for record in run.records)
    failed = len(run.records) - complete
    height, width = run.image_size
    seconds = sum(seconds_spent(run.records))
    facts = {"kind": KINDS[config.kind].words}
    if isinstance(config, AblationConfig):
        facts |= {"plan": config.plan, "base": f"{config.base}, widths times {config.factor:g}"}
    elif isinstance(config, SpaceConfig):
        facts |= {"space": config.space, "seed": str(config.seed)}
    if isinstance(config, AnySearch):
        facts |= {"sampler": config.sampler}
    facts |= {
        "data": f"{run.dataset} at {height}x{width}",
        "steps": _steps(run),
        "trials": f"{complete:,} complete, {failed:,} failed",
        "seeds": ", ".join(map(str, run.seeds)) or "none yet",
        "time of trials, all workers": f"{seconds / 3600:.3g} h"
        + (" (without training the supernet)" if config.supernet_seeds else ""),
    }
    if run.started_and_ended is not None:
        first, last = run.started_and_ended
        facts["first and last trial ended"] = f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
    grid = Grid(title="", columns=named("", ""), rows=[list(item) for item in facts.items()])
    return Section(
        name="facts", title="What was run", findings=_faults(run, complete), grids=[grid]
    )


def learning(run: ReportedRun, chosen: Sequence[str]) -> Section | None:
    """How chosen architectures learnt; nothing where that is not on record."""
    data = learning_data(run, chosen)
    if data is None:
        return None
    return Section(
        name="learning",
        title="Learning curves",
        figures=[
            Figure(
                name="learning-chart", title="mIoU against steps", data=data, caption=data.caption
            )
        ],
    )


def _faults(run: ReportedRun, complete: int) -> list[Finding]:
    found = [SYNTHETIC] if run.config.data.synthetic else []
    if not complete:
        found.append(Finding(name="none_complete", text="no trial is complete yet"))
    errors = Counter(record.error for record in run.records if record.state == "failed")
    return found + [
        Finding(
            name="failed",
            text=f"failed {count} time{'s' if count > 1 else ''}: {message}",
            facts={"num_trials": count, "error": message},
        )
        for message, count in errors.most_common(MOST_ERRORS)
    ]


def _steps(run: ReportedRun) -> str:
    config, kinds = run.config, []
    if isinstance(config, (AblationConfig, SupernetSearchConfig)) and config.supernet is not None:
        kinds.append(f"{config.supernet.steps:,} of a supernet")
    if isinstance(config, AnySearch) or config.first_stage.evaluator == "trained":
        kinds.append(f"{config.recipe.trained_steps:,} a trial")
    return ", ".join(kinds)
