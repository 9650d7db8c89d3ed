"""`hrvit-search`: trains architectures of a space and shows the frontier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import typer

from ..objectives import OBJECTIVES
from .errors import run_app
from .options import (
    OF_OBJECTIVE,
    RESOURCES,
    default_directory,
    given_of,
    given_resources,
    given_tracking,
    listed,
    option,
    takes,
    training_of,
    with_steps,
)
from .running import config_to_resume, go
from .search_options import EXAMPLES, Scheduler, SearchOptions, Strategy

if TYPE_CHECKING:
    from ..cost.latency import LatencyModel
    from ..search.config import SpaceConfig
    from ..search.opened import Run
    from ..search.profiles import Profile, TrainingPlan
    from ..search.run_config import RunConfig

NAME = "hrvit-search"
CALIBRATION_EVALUATIONS = 4
"""Fidelities that a calibration looks at, at least."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog=EXAMPLES)
@takes(SearchOptions)
def search(options: SearchOptions, given: set[str]) -> int:
    """Searches a space of HRViT architectures for the frontier of a score against cost.

    Trials are trained for a short time each, locally or on a Ray cluster. The run directory
    holds everything; an interrupted run goes on with --resume and trains nothing twice.
    """
    if options.resume is None:
        _check_kind(given, options.strategy, options.scheduler)
        run = _created(options)
    else:
        run = _resumed(options.resume, options, given)
    return _go(run)


def main() -> None:
    """Entry point."""
    run_app(app, NAME)


_FIELDS = {
    "trials": "trials",
    "confirm": "confirm",
    "finalists": "finalists",
    "retrain": "retrain",
    "ranking_check": "ranking_check",
    "calibration_seeds": "num_seeds",
    "wanted_tau": "wanted_tau",
}
"""Fields of configurations by the options that set them, which may also be given on resume."""
_OF_SUPERNET = {"supernet", "supernet_steps", "retrain", "ranking_check"}
_OF_HALVING = {"grace_period", "reduction_factor", "max_t", "mo_selector"}
_OF_SEARCH = {
    *(
        "strategy",
        "scheduler",
        "trials",
        "sampler",
        "population",
        "references",
        "initial",
        "confirm",
        "deterministic",
    ),
    "finalists",
    "storage",
    "calibration",
    *_OF_SUPERNET,
    *_OF_HALVING,
}
_LIMITS = {
    "max_macs": "macs",
    "max_params": "params",
    "max_activation_bytes": "peak_activation_bytes",
    "max_latency": "predicted_latency_ms",
}
_WITH_RESUME = {*_FIELDS, *RESOURCES, "calibration", "mlflow"}


def _check_kind(given: set[str], strategy: Strategy, scheduler: Scheduler) -> None:
    """Refuses an option that would be ignored."""
    from ..search.config_parts import ConfigError

    calibrates = "calibrate_proxy" in given
    misplaced: dict[str, str] = {}
    if calibrates:
        why = "has no meaning with --calibrate-proxy, which does not search"
        misplaced |= dict.fromkeys(_OF_SEARCH, why)
    else:
        misplaced["wanted_tau"] = "needs --calibrate-proxy"
        if "ranking_check" not in given:
            misplaced["calibration_seeds"] = "needs --calibrate-proxy or --ranking-check"
        if strategy is not Strategy.SUPERNET:
            misplaced |= dict.fromkeys(_OF_SUPERNET, "needs --strategy supernet")
        else:
            misplaced["scheduler"] = "pauses trainings, and a supernet's scores need none"
            misplaced["deterministic"] = "is for --strategy trials"
        if scheduler is not Scheduler.MO_ASHA:
            misplaced |= dict.fromkeys(_OF_HALVING, "needs --scheduler mo_asha")
    if "supernet" in given:
        misplaced["supernet_steps"] = "has no meaning with --supernet, which is trained already"
    for name in sorted(given & misplaced.keys()):
        raise ConfigError(f"{option(name)} {misplaced[name]}; drop it")


def _fields(kind: str) -> dict[str, str]:
    """Fields by option, in a kind of configuration; it need not have all of them."""
    checks = {"calibration_seeds": "ranking_seeds"} if kind == "supernet_search" else {}
    return _FIELDS | checks


def _resumed(directory: Path, options: SearchOptions, given: set[str]) -> Run[SpaceConfig]:
    from ..search.config import SpaceConfig, SupernetSearchConfig
    from ..search.config_parts import ConfigError
    from ..search.kinds import KINDS
    from ..search.proxy_noise import proxy_noise
    from ..search.run import open_run

    for name in sorted(given - _WITH_RESUME - {"resume"}):
        raise ConfigError(f"{option(name)} cannot be changed on --resume; it is {directory}'s own")
    config = config_to_resume(directory, NAME)
    assert isinstance(config, SpaceConfig)
    changes = given_tracking(options.mlflow)
    for name, field in {**_fields(config.kind), "calibration": "proxy_noise"}.items():
        if (value := getattr(options, name)) is not None:
            if field not in type(config).model_fields:
                what = KINDS[config.kind].words
                raise ConfigError(f"{directory} holds {what}, and {option(name)} is not for that")
            changes[field] = value
    if (
        isinstance(config, SupernetSearchConfig)
        and "ranking_seeds" in changes
        and not changes.get("ranking_check", config.ranking_check)
    ):
        raise ConfigError("--calibration-seeds needs --ranking-check: no ranking is checked so far")
    if options.calibration is not None:
        changes["proxy_noise"] = proxy_noise(options.calibration, config)
    return open_run(directory, changes, given_resources(options))


def _created(options: SearchOptions) -> Run[SpaceConfig]:
    from ..search.run import create_run

    config = _configured(options)
    name = Path(options.space).stem + ("-calibration" if config.kind == "calibration" else "")
    directory = options.output or default_directory(name)
    return create_run(config, directory, supernet=options.supernet)


def _configured(options: SearchOptions) -> SpaceConfig:
    """Profile, recipe and options as one configuration."""
    from pydantic import ValidationError

    from .._messages import first_fault
    from ..search.config import SpaceConfig
    from ..search.config_parts import ConfigError
    from ..search.proxy_noise import proxy_noise
    from ..search.stored import parse_config

    training = training_of(options)
    profile, plan, recipe = training.profile, training.plan, training.recipe
    if options.max_t is not None:
        recipe |= _stopping_after(recipe, options.max_t)
    if options.calibrate_proxy is not None:
        recipe["evaluations"] = min(
            max(recipe["evaluations"], CALIBRATION_EVALUATIONS),
            recipe["stop_after"] or recipe["steps"],
        )
    narrowing = profile.narrowing.model_dump(exclude_unset=True)
    latency = _latency(options)
    narrowing["limits"] = [*narrowing.get("limits", ()), *_limits(options, plan, latency)]
    content = {
        "space": _located(options.space),
        "narrowing": narrowing,
        "data": training.data,
        "recipe": recipe,
        "long": _long(options, plan),
        **({"costs": list(map(str, options.cost))} if options.cost else {}),
        "latency": latency,
        "seed": options.seed,
        **given_tracking(options.mlflow),
        "resources": training.resources,
    }
    if options.calibrate_proxy is not None:
        kind = "calibration"
        content["architectures"] = options.calibrate_proxy
    else:
        kind = "supernet_search" if options.strategy == "supernet" else "search"
        content |= _of_search(options, profile, plan)
    fields = _fields(kind)
    goals = {fields[name]: value for name, value in given_of(options, fields).items()}
    try:
        whole = {"kind": kind, **content, **goals}
        if (halving := whole.pop("scheduler", None)) is not None:
            given = "grace_period" in halving
            whole["scheduler"] = halving if given else _lowest_rung(parse_config(whole)) | halving
        config = parse_config(whole)
    except ValidationError as error:
        options_of = {field: option(name) for name, field in fields.items()}
        options_of |= {"architectures": option("calibrate_proxy"), "costs": option("cost")}
        options_of |= {f"data.{field}": option(name) for name, field in OF_OBJECTIVE.items()}
        raise ConfigError(first_fault(error, options_of)) from error
    assert isinstance(config, SpaceConfig)
    if options.calibration is None:
        return config
    noise = proxy_noise(options.calibration, config)
    return config.model_copy(update={"proxy_noise": noise})


def _lowest_rung(config: RunConfig) -> dict[str, int]:
    """The lowest rung of halving where nothing is given: the first step of the schedule at which
    scores rank as long training does, if it is known which.
    """
    from ..search.config import SearchConfig
    from ..search.config_parts import ConfigError
    from ..search.validity import valid_from

    first = valid_from(config) if isinstance(config, SearchConfig) else None
    if first is None:
        return {}
    if first.step >= (highest := config.recipe.trained_steps):
        raise ConfigError(
            f"--max-t must be above {first.step}, up to {config.recipe.steps}, got {highest}:"
            f" below, scores rank too little as long training does (table {first.table!r}, tau at"
            f" {first.step} {first.tau.describe()}); --grace-period sets a rung there all the same"
        )
    return {"grace_period": first.step}


def _latency(options: SearchOptions) -> LatencyModel | None:
    """What predicts latencies, from the table that is given."""
    from ..results.latency_table import read_latency_table
    from ..search.config_parts import ConfigError

    if options.latency_table is None:
        if "predicted_latency_ms" in (options.cost or ()):
            raise ConfigError("--cost predicted_latency_ms needs --latency-table, got none")
        if options.max_latency is not None:
            raise ConfigError("--max-latency needs --latency-table, got none")
        return None
    return read_latency_table(options.latency_table).model


def _limits(
    options: SearchOptions, plan: TrainingPlan, latency: LatencyModel | None
) -> list[dict[str, Any]]:
    """The ceilings on cost that are given, at the size that is trained at."""
    from ..search.config_parts import ConfigError

    ceilings = given_of(options, _LIMITS)
    for name, most in ceilings.items():
        if not most > 0:
            raise ConfigError(f"{option(name)} must be above 0, got {most:g}")
    image_size = plan.image_size or plan.recipe.crop_size
    limits = {
        name: {"metric": _LIMITS[name], "max": most, "image_size": image_size}
        for name, most in ceilings.items()
    }
    if "max_latency" in limits and latency is not None:
        at = latency.conditions
        at.check(image_size or at.image_size, at.num_classes)
        limits["max_latency"] |= {
            "image_size": at.image_size,
            "num_classes": at.num_classes,
            "latency": latency,
        }
    return list(limits.values())


def _stopping_after(recipe: dict[str, Any], steps: int) -> dict[str, Any]:
    """What makes a recipe stop there on the way through its schedule."""
    from ..search.config_parts import ConfigError

    if steps > recipe["steps"]:
        raise ConfigError(
            f"--max-t must be at most the {recipe['steps']} steps of the recipe's schedule, got"
            f" {steps}; --steps sets another length"
        )
    return {"stop_after": None if steps == recipe["steps"] else steps}


def _long(options: SearchOptions, plan: TrainingPlan) -> dict[str, Any] | None:
    """How what a search has found is trained in the end; None = as its trials were."""
    given = options.long_steps
    wanted = given if given is not None else plan.long and options.steps is None
    if not wanted or (options.calibrate_proxy and not given):
        return None
    long = plan.long_recipe.model_dump()
    if given:
        return with_steps(long, given)
    # With --max-t a search may itself train as long.
    through = options.max_t is not None and options.max_t >= plan.long_recipe.trained_steps
    return None if through else long


def _of_search(options: SearchOptions, profile: Profile, plan: TrainingPlan) -> dict[str, Any]:
    """The fields that searches have, and other runs have not."""
    references = options.references
    content: dict[str, Any] = {
        "initial": listed(options.initial or ""),
        "trials": profile.trials,
        "sampler": _sampler(options),
        "population": options.population,
        **({} if references is None else {"references": listed(references)}),
        "storage": options.storage,
        "study": f"search-{uuid4().hex[:8]}" if options.storage else "search",
    }
    if options.scheduler is Scheduler.MO_ASHA:
        of_halving = ("grace_period", "reduction_factor", "mo_selector")
        content["scheduler"] = given_of(options, of_halving)
    if options.deterministic:
        content["deterministic"] = True
    if options.strategy == "supernet":
        supernet = plan.supernet.model_dump()
        if options.supernet_steps is not None:
            supernet["steps"] = options.supernet_steps
        content |= {"trials": profile.inherited, "supernet": supernet}
    return content


def _sampler(options: SearchOptions) -> str:
    """The sampler that is asked for, or the one that finds most in replay where it can be used."""
    if options.sampler is not None:
        return str(options.sampler)
    computed = all(OBJECTIVES[str(cost)].source == "computed" for cost in options.cost or ())
    trains = options.strategy is Strategy.TRIALS
    return "ehvi" if computed and trains and not options.deterministic else "nsga2"


def _located(space: str) -> str:
    """A path made absolute, so that the run can be resumed from elsewhere; a name as it is."""
    is_path = "/" in space or space.endswith((".yaml", ".yml"))
    return str(Path(space).resolve()) if is_path else space


def _go(run: Run[SpaceConfig]) -> int:
    from rich.console import Console

    from .closing import announce, close

    console = Console()
    return go(
        run,
        NAME,
        console,
        lambda: announce(console, run),
        lambda notes: close(console, run, notes),
    )


if __name__ == "__main__":
    main()
