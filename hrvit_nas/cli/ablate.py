"""`hrvit-ablate`: changes an architecture one part at a time and says what each change does."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .ablate_options import EXAMPLES, AblateOptions, Format
from .errors import run_app
from .hints import HINTS
from .options import (
    OF_OBJECTIVE,
    RESOURCES,
    Data,
    Training,
    default_directory,
    given_resources,
    given_tracking,
    listed,
    option,
    takes,
    training_of,
)
from .running import config_to_resume, go, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from ..arch import ArchSpec
    from ..data import SegmentationData
    from ..report.grid import Grid
    from ..report.section import Records
    from ..search.ablation import AblationPlan
    from ..search.ablation_config import AblationConfig
    from ..search.opened import Run

NAME = "hrvit-ablate"
FULL_SIZE = (512, 512)
MARKDOWN_NAME, LATEX_NAME = "ablation.md", "ablation.tex"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog=EXAMPLES)
@takes(AblateOptions)
def ablate(options: AblateOptions, given: set[str]) -> int:
    """Ablates an architecture: what does each part do, at what cost?

    Every architecture is trained with several seeds; differences are paired by seed, adjusted for
    the number of comparisons, and called undecided where their interval holds 0. What a change
    saves or costs is taken off by a control, the base at the same multiply-adds. The run directory
    holds everything; an interrupted run goes on with --resume and trains nothing twice.
    """
    _check_kind(given)
    if options.cost_only:
        return _print_costs(options)
    resumed = options.resume
    run = _created(options) if resumed is None else _resumed(resumed, options)
    return _go(run, options)


def main() -> None:
    """Entry point."""
    run_app(app, NAME)


_WITH_RESUME = {"resume", "seeds", "criterion", "output_format", "mlflow", *RESOURCES}
_WITH_COST_ONLY = {"plan", "cost_only", "output_format", "base", "only", "output"}


def _check_kind(given: set[str]) -> None:
    """Refuses an option that would be ignored."""
    from ..search.config_parts import ConfigError

    if "resume" in given:
        for name in sorted(given - _WITH_RESUME):
            raise ConfigError(f"{_named(name)} cannot be changed on --resume; drop it")
    elif "plan" not in given:
        from ..search.ablation import list_ablations

        raise ConfigError(f"name a plan: {', '.join(list_ablations())}, or a path; or --resume RUN")
    elif "supernet_steps" in given and "cheap" not in given:
        raise ConfigError("--supernet-steps needs --cheap; drop it")
    elif "cost_only" in given:
        for name in sorted(given - _WITH_COST_ONLY):
            raise ConfigError(f"{_named(name)} has no meaning with --cost-only; drop it")


def _named(name: str) -> str:
    return {"plan": "the plan", "output_format": "--format"}.get(name, option(name))


def _planned(options: AblateOptions) -> tuple[AblationPlan, ArchSpec, bool]:
    """The plan with the changes that are asked for, its base, and whether that is a preset."""
    from ..search.ablation import load_ablation
    from ..search.config_parts import ConfigError
    from ..search.named_arch import find_base

    assert options.plan is not None
    plan = load_ablation(options.plan)
    if options.only is not None:
        plan = plan.only(listed(options.only))
    name = plan.base if options.base is None else options.base
    if name != plan.base:
        plan = plan.of_another_base()
    if name is None:
        raise ConfigError(
            f"plan {options.plan!r} names no base; give one with --base: a preset, a .json file,"
            " a run directory, or RUN:ID"
        )
    return plan, *find_base(name)


def _print_costs(options: AblateOptions) -> int:
    from ..arch import Arch
    from ..cost import Cost, estimate_cost
    from ..report import cost_grid, cost_records
    from ..report.render import write_csv
    from ..search.arms import make_arms
    from ..search.config_parts import ConfigError

    plan, base, _ = _planned(options)
    if options.output is not None and options.output.is_dir():
        raise ConfigError(f"--output must be a file with --cost-only, got {options.output}")

    def cost(spec: Arch) -> Cost:
        return estimate_cost(spec, FULL_SIZE, num_classes=plan.num_classes)

    made = make_arms(plan, base, macs=lambda spec: float(cost(spec).macs), controls=False)
    _warn(made.warnings)
    arms = [(arm, cost(arm.spec)) for arm in made.arms]
    grid = cost_grid(
        arms,
        title=f"{options.plan}: cost of an image at {FULL_SIZE[0]}x{FULL_SIZE[1]},"
        f" {plan.num_classes} classes",
        notes=(
            "as published: multiply-adds as fvcore counts them, with half of the attention products"
            " (all of them for MiT); executed: what this program computes, attention in full, less"
            " where it pads no strip and joins the head's branches before they are resized",
            *plan.notes,
        ),
    )
    records = cost_records(arms)
    if options.output is not None:
        write_csv(records, options.output)
    _show(grid, (), options.output_format, records)
    return 0


def _created(options: AblateOptions) -> Run[AblationConfig]:
    from pydantic import ValidationError

    from .._messages import first_fault
    from ..search.config_parts import ConfigError
    from ..search.run import create_run

    try:
        config, data, warnings = _configured(options)
    except ValidationError as error:
        options_of = {field: option(name) for name, field in OF_OBJECTIVE.items()}
        raise ConfigError(first_fault(error, options_of)) from error
    _warn(warnings)
    directory = options.output or default_directory(config.plan)
    return create_run(config, directory, data=data)


def _configured(
    options: AblateOptions,
) -> tuple[AblationConfig, SegmentationData, tuple[str, ...]]:
    """Plan, profile, recipe and options as one configuration; its data; what to warn of."""
    from ..arch import Arch
    from ..cost import estimate_cost
    from ..data import DataConfig, load_data
    from ..search.ablation_config import AblationConfig
    from ..search.arms import make_arms
    from ..search.config_parts import image_size_of
    from ..training import Recipe

    plan, base, is_preset = _planned(options)
    assert options.plan is not None
    training = training_of(
        replace(
            options,
            profile=options.profile or plan.profile,
            recipe=options.recipe or plan.recipe,
            data=options.data or (Data(plan.data) if plan.data else None),
        ),
        long=True,
    )
    narrowed = training.profile.narrowing.base
    factor = narrowed.width_factor if narrowed and is_preset else 1.0
    where = DataConfig.model_validate(training.data)
    recipe = Recipe.model_validate(training.recipe)
    size = image_size_of(where, recipe)
    data = load_data(where)

    def macs(spec: Arch) -> float:
        return float(estimate_cost(spec, size, num_classes=data.num_classes).macs)

    made = make_arms(plan, base, factor=factor, macs=macs, controls=not options.cheap)
    content = {
        "plan": Path(options.plan).stem,
        "base": plan.base if options.base is None else options.base,
        "factor": factor,
        "arms": made.arms,
        "data": where,
        "num_classes": data.num_classes,
        "recipe": recipe,
        "seed": options.seed,
        "num_seeds": plan.seeds if options.seeds is None else options.seeds,
        "resources": training.resources,
        **(_of_supernets(options, plan, made.whole, training) if options.cheap else {}),
        **given_tracking(options.mlflow),
    }
    return AblationConfig.model_validate(content), data, made.warnings


def _of_supernets(
    options: AblateOptions, plan: AblationPlan, whole: ArchSpec, training: Training
) -> dict[str, Any]:
    """The fields that an ablation by supernets has, and others have not."""
    from ..search.ablation_space import plan_space

    space = plan_space(plan, whole).to_dict()
    supernet = training.plan.supernet.model_dump()
    if options.supernet_steps is not None:
        supernet["steps"] = options.supernet_steps
    return {"supernet": supernet, "as_started": space}


def _resumed(directory: Path, options: AblateOptions) -> Run[AblationConfig]:
    from ..search.run import open_run

    config_to_resume(directory, NAME)
    changes = {"num_seeds": options.seeds} if options.seeds is not None else {}
    changes |= given_tracking(options.mlflow)
    return open_run(directory, changes, given_resources(options))


def _go(run: Run[AblationConfig], options: AblateOptions) -> int:
    from rich.console import Console

    console = Console(stderr=options.output_format is not Format.TABLE)

    def show(notes: list[str]) -> bool:
        say(console, *notes)
        return _close(console, run, options)

    return go(run, NAME, console, lambda: _announce(console, run), show)


def _announce(console: Console, run: Run[AblationConfig]) -> None:
    """Says what is about to happen."""
    from .data_words import described_data

    config = run.config
    how = f"trials of {config.recipe.described_steps}"
    if config.supernet is not None:
        how = f"scores with a supernet of {config.supernet.steps} steps a seed,"
    say(
        console,
        f"ablation {config.plan} of {config.base}, widths times {config.factor:g}:"
        f" {len(config.arms) - 1} changes, {config.num_trials} {how}"
        f" with seeds {config.seed} to {config.seeds[-1]}",
        f"{described_data(run)}; run directory {run.directory}",
    )


def _close(console: Console, run: Run[AblationConfig], options: AblateOptions) -> bool:
    """Writes the files, prints the table; False while there is nothing to compare."""
    from ..report.render import latex, markdown, write_section
    from ..report.section import sentences
    from ..report.sections.ablation import ablation
    from ..results import write_text
    from ..search import ablation_results

    config, directory = run.config, run.directory
    found = ablation_results.found(directory, config, run.store.records(), str(options.criterion))
    if not any(row.effect for row in found.rows):
        say(console, f"nothing can be compared yet ({found.num_failed} trials failed)")
        return False
    section = ablation(found, config)
    words = sentences(section.findings, HINTS)
    (grid,), (records,) = section.grids, section.records
    figure, table = write_section(section, directory)
    write_text(directory / MARKDOWN_NAME, markdown(grid, words))
    write_text(directory / LATEX_NAME, latex(grid, words))
    _show(grid, words, options.output_format, records)
    say(
        console,
        f"{directory / figure}, {table}, {MARKDOWN_NAME}, {LATEX_NAME} and trials.parquet"
        f" are in {directory}",
    )
    return True


def _show(grid: Grid, words: Sequence[str], form: Format, records: Records) -> None:
    """Prints a table and what follows from it; as CSV, what it was made of."""
    from rich.console import Console

    from ..report.render import latex, markdown, print_csv, print_grid

    if form is Format.CSV:
        print_csv(records, sys.stdout)
    elif form is Format.MARKDOWN:
        print(markdown(grid, words), end="")
    elif form is Format.LATEX:
        print(latex(grid, words), end="")
    else:
        console = Console()
        print_grid(console, grid)
        say(console, *words)


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        print(f"{NAME}: warning: {warning}", file=sys.stderr)


if __name__ == "__main__":
    main()
