"""Options: how a command takes those that it declares, and what those of several mean together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar, get_type_hints

import typer

from .._names import EXECUTORS
from ..data.layouts import LAYOUTS

if TYPE_CHECKING:
    from ..search.profiles import Profile, TrainingPlan

RESOURCES = (
    "executor",
    "cpus_per_trial",
    "gpus_per_trial",
    "workers",
    "address",
    "max_retries",
)
"""Options that say what trials run on, and what each asks of it."""
OF_OBJECTIVE = {
    "objective_noise": "noise",
    "objective_delay": "delay_s",
    "objective_failures": "failure_rate",
}
"""Fields of the data set by the options that set those of a synthetic objective."""
DATA_HELP = (
    "Data set; none: nothing is trained, and scores are of a synthetic objective, to try what runs"
    " trials. Default: the profile's."
)


class Data(StrEnum):
    """Data sets."""

    vars().update({name.upper(): name for name in LAYOUTS})


class Executor(StrEnum):
    """What can run trials."""

    vars().update({name.upper(): name for name in EXECUTORS})


DataRootOption = Annotated[
    Path | None, typer.Option(help="Folder of the data set (not for those drawn, nor none).")
]
ClassesOption = Annotated[
    Path | None, typer.Option(help="YAML file of class names, for --data folder.")
]
NoiseOption = Annotated[
    float | None,
    typer.Option(
        help="With --data none: deviation of a score between seeds, a fraction of mIoU. Default: 0."
    ),
]
DelayOption = Annotated[
    float | None, typer.Option(help="With --data none: seconds that a trial takes. Default: 0.")
]
FailuresOption = Annotated[
    float | None,
    typer.Option(help="With --data none: share of the trials that fail. Default: 0."),
]
RecipeOption = Annotated[
    str | None,
    typer.Option(help="How each trial is trained: a name or a path. Default: by data set."),
]
StepsOption = Annotated[
    int | None, typer.Option(help="Training steps of a trial. Default: the recipe's.")
]
ExecutorOption = Annotated[
    Executor | None,
    typer.Option(
        help="What runs trials. ray_tune: processes of Ray. inline: this process, one trial after"
        " the other, for debugging. Default: the profile's, else ray_tune."
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option(help="Most trials at a time. Default: all that fit.")
]
CpusPerTrialOption = Annotated[
    int | None, typer.Option(help="CPU cores of a trial. Default: the profile's.")
]
GpusPerTrialOption = Annotated[
    float | None, typer.Option(help="GPUs of a trial; may be a fraction.")
]
AddressOption = Annotated[
    str | None,
    typer.Option(help="An existing Ray cluster (auto, or HOST:PORT). Default: local."),
]
MaxRetriesOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="How often a trial that failed is tried again, in another process; with --resume also"
        " those that failed before. Default: 1.",
    ),
]
MlflowOption = Annotated[
    str | None,
    typer.Option(
        help="MLflow to copy what is trained to, such as http://HOST:5000 or sqlite:///mlflow.db;"
        " none ends it. Default: none."
    ),
]


D = TypeVar("D")


def takes(declared: type[D]) -> Callable[[Callable[[D, set[str]], int]], Callable[..., int]]:
    """Lets a command have the fields of a dataclass as its options.

    Args:
        declared: A dataclass whose fields are annotated as Typer's parameters are.

    Returns:
        A decorator for what is called with an instance, and the names of the options that stand on
        the command line.
    """
    hints = get_type_hints(declared, include_extras=True)
    kind = Parameter.KEYWORD_ONLY
    context = Parameter("context", kind, annotation=typer.Context)
    options = [
        Parameter(
            field.name,
            kind,
            default=Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(declared)  # type: ignore[arg-type]
    ]

    def decorate(command: Callable[[D, set[str]], int]) -> Callable[..., int]:
        def call(context: typer.Context, **values: Any) -> int:
            given = {name for name in values if is_given(context, name)}
            return command(declared(**values), given)

        call.__doc__ = command.__doc__
        call.__annotations__ = {p.name: p.annotation for p in (context, *options)}
        vars(call)["__signature__"] = Signature([context, *options])
        return call

    return decorate


class TrainingOptions(Protocol):
    """Options that say what is trained on, and how."""

    @property
    def profile(self) -> str | None:
        """What the run is fitted to: a name or a path."""

    @property
    def data(self) -> Data | None:
        """The data set."""

    @property
    def data_root(self) -> Path | None:
        """Its folder."""

    @property
    def classes(self) -> Path | None:
        """File of its class names."""

    @property
    def objective_noise(self) -> float | None:
        """Noise of a synthetic objective."""

    @property
    def objective_delay(self) -> float | None:
        """Seconds that a trial of it takes."""

    @property
    def objective_failures(self) -> float | None:
        """Share of its trials that fail."""

    @property
    def recipe(self) -> str | None:
        """How each trial is trained: a name or a path."""

    @property
    def steps(self) -> int | None:
        """Training steps of a trial."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is trained on, and how; `data`, `recipe` and `resources` as plain data."""

    profile: Profile
    plan: TrainingPlan
    data: dict[str, Any]
    recipe: dict[str, Any]
    resources: dict[str, Any]


def training_of(options: TrainingOptions, *, long: bool = False) -> Training:
    """Resolves the options that say what is trained on, and how.

    Args:
        options: They and those of `RESOURCES`; None = not given.
        long: Whether by the recipe's long form, where `steps` says nothing else.

    Raises:
        ConfigError: A profile or recipe is not usable, the profile names none for the data set, or
            an option is of a synthetic objective, and the data set is none.
    """
    from ..execution import merged_resources
    from ..search.config_parts import ConfigError
    from ..search.profiles import load_profile, load_recipe

    embedded = options.data is None and options.data_root is None
    profile = load_profile(options.profile or ("laptop" if embedded else _default_profile()))
    data_name = str(options.data or profile.data.name)
    if (task := LAYOUTS[data_name].task) != "segmentation":
        raise ConfigError(
            f"--data must be for segmentation, got {data_name}, which is for {task}; hrvit-train"
            " trains on it"
        )
    recipe_name = options.recipe or profile.recipe_for(data_name)
    if recipe_name is None:
        raise ConfigError(f"the profile names no recipe for {data_name}; give one with --recipe")
    plan = load_recipe(recipe_name)
    defaults = profile.data.model_dump(exclude_none=True)
    data: dict[str, Any] = defaults if data_name == profile.data.name else {}
    data |= {"name": data_name, "image_size": plan.image_size}
    # Workers run in folders of their own, so paths are made absolute here.
    data |= {"root": options.data_root.resolve()} if options.data_root else {}
    data |= {"classes": options.classes.resolve()} if options.classes else {}
    for name, value in given_of(options, OF_OBJECTIVE).items():
        if OF_OBJECTIVE[name] not in LAYOUTS[data_name].reads:
            raise ConfigError(f"{option(name)} needs --data none, got {data_name}; drop it")
        data[OF_OBJECTIVE[name]] = value
    recipe = (plan.long_recipe if long else plan.recipe).model_dump()
    if options.steps is not None:
        recipe = with_steps(recipe, options.steps)
    resources = merged_resources(profile.resources.model_dump(), given_resources(options))
    return Training(profile=profile, plan=plan, data=data, recipe=recipe, resources=resources)


def with_steps(recipe: dict[str, Any], steps: int) -> dict[str, Any]:
    """A recipe as plain data, with a whole schedule of another length."""
    return recipe | {
        "steps": steps,
        "stop_after": None,
        "warmup_steps": min(recipe["warmup_steps"], max(0, steps - 1)),
        "evaluations": min(recipe["evaluations"], max(1, steps)),
    }


def given_resources(options: object) -> dict[str, Any]:
    """The resources that were given."""
    given = given_of(options, RESOURCES)
    return given | {name: str(value) for name, value in given.items() if name == "executor"}


def given_of(options: object, names: Iterable[str]) -> dict[str, Any]:
    """Values of those of some options that were given, by name."""
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def given_tracking(uri: str | None) -> dict[str, Any]:
    """The tracking URI, if `--mlflow` was given; `none` stands for none."""
    if uri is None:
        return {}
    # Otherwise a run that is resumed from elsewhere would start another database there.
    if (path := uri.removeprefix("sqlite:///")) != uri and path:
        uri = f"sqlite:///{Path(path).resolve()}"
    return {"mlflow": None if uri == "none" else uri}


def is_given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def listed(text: str) -> tuple[str, ...]:
    """The names in a list separated by commas."""
    return tuple(filter(None, map(str.strip, text.split(","))))


def option(name: str) -> str:
    """A parameter's name as it is typed."""
    return f"--{name.replace('_', '-')}"


def default_directory(name: str) -> Path:
    """A new run directory, named after what runs and when."""
    from datetime import datetime

    return Path("runs") / f"{name}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"


def _default_profile() -> str:
    import torch

    return "cluster" if torch.cuda.is_available() else "laptop"
