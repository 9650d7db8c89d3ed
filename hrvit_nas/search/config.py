"""What one search is to do: everything a run needs, resolved before anything is trained.

A profile (`experiments/NAME.yaml`) fits a search to a machine: how the space is narrowed, how
many trials, which recipe for which data set. A recipe (`experiments/recipes/NAME.yaml`) is how
one architecture is trained, with the size that images are brought to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from .._files import declarations_dir, load_yaml
from .._messages import close_to, first_fault
from ..arch import ArchSpec, get_arch, get_hrvit, scale_widths
from ..cost import estimate_cost
from ..data import DataConfig
from ..data.config import DataName
from ..execution import Resources
from ..results import CostName, Criterion, Evaluator, Stage
from ..samplers import SamplerName
from ..space import Limit, Space, load_space
from ..space.genes import Value
from ..training import Recipe, SupernetRecipe

T = TypeVar("T", bound=BaseModel)

StrategyName = Literal["trials", "supernet"]
Size = tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]]


CONFIG_NAME = "config.json"
COMMANDS = {"config": "hrvit-search", "ablation": "hrvit-ablate"}
"""Which command a run is of, by the key that its configuration stands at."""
MOST_SEEDS = 1000
MIN_CALIBRATION = 6
"""Members below which the interval of a rank correlation does not hold what it says."""


class ConfigError(ValueError):
    """A profile, recipe or option is not usable; one line that says which and what is allowed."""


def _tracking_uri(uri: str) -> str:
    if not re.match(r"[A-Za-z][\w+.-]*:(//.|/.)", uri):
        raise ValueError(
            f"a tracking URI must be such as http://HOST:5000 or sqlite:///mlflow.db, got {uri!r}"
        )
    return uri


TrackingUri = Annotated[str, AfterValidator(_tracking_uri)]
"""Where MLflow keeps its runs."""


class Frozen(BaseModel):
    """Frozen, and refuses unknown keys and numbers that are none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Base(Frozen):
    """A preset architecture with its widths multiplied by a factor."""

    arch: str
    width_factor: float = Field(default=1.0, gt=0, le=16)


class Narrowing(Frozen):
    """How a profile or the command line narrows a space.

    Attributes:
        choices: Genes and the choices that are left; a gene the space lacks is passed over.
        base: What genes do not set; None = as the space says.
        limits: Hard bounds beside the space's own.
    """

    choices: Mapping[str, tuple[Value, ...]] = {}
    base: Base | None = None
    limits: tuple[Limit, ...] = ()


class Standing(Frozen):
    """What is known of the noise of a search's scores, from a calibration of its proxy.

    Attributes:
        run: Run directory of the calibration.
        steps: Optimiser steps of a trial.
        num_architectures: Architectures that were trained for it.
        num_seeds: Seeds of each.
        macs: Multiply-adds of the cheapest and the dearest of them.
        noise: Standard deviation of one score between seeds, a fraction of mIoU.
        seed_tau: Kendall's tau between two seeds, with its interval, as text.
        residual_tau: The same with MACs regressed out.
    """

    run: str
    steps: int
    num_architectures: int
    num_seeds: int
    macs: tuple[int, int]
    noise: float = Field(ge=0)
    seed_tau: str
    residual_tau: str

    @property
    def num_free(self) -> int:
        """Degrees of freedom that the noise is known from."""
        return (self.num_architectures - 1) * (self.num_seeds - 1)


class SearchConfig(Frozen):
    """One search, or one calibration of its proxy.

    Attributes:
        space: Name or path of the declared space.
        narrowing: How the space is narrowed for this run.
        as_started: The space, narrowed, as it was when the run was started, which it goes on with
            whatever has become of the declaration; None = declared and narrowed now.
        data: Data set.
        num_classes: Its classes; None in runs of versions that did not store them, which go on
            counting costs for 19 as they did, so that they choose the same members again.
        recipe: How each architecture is trained.
        long: How the frontier's members and the references are trained to confirm them, and those
            of a calibration to tell how valid the scores by `recipe` are; None = by `recipe`.
        initial: Presets whose allocation, at costs evenly over the space's range, is among the
            first proposals.
        strategy: `trials` trains each architecture that is proposed; `supernet` trains a supernet,
            scores what is proposed with its weights, and trains the best alone.
        trials: Architectures to propose: to train, or to score with inherited weights.
        inherited_criterion: Score with inherited weights that is searched by. Cross entropy ranks
            members more surely than mIoU, which a supernet leaves nearly alike (docs/supernet.md).
        retrain: Of those scored with inherited weights, how many of the best are trained alone.
        trust: Members spread over the cost range that are both scored with inherited weights and
            trained alone with `calibration_seeds` seeds, to tell how far the former can be
            trusted; 0 = none.
        sampler: Optuna sampler that proposes them.
        population: NSGA-II's population; None = from the number of trials.
        cost: What is minimised beside maximising mIoU.
        seed: Seed of the proposals, and of initialisation and data order of every trial.
        references: Presets, rivals among them, whose allocation, scaled to the cost of each
            frontier member, is trained beside it.
        confirm: Further seeds that the finalists and the references are trained with.
        finalists: How many of the frontier's members those are: the ones that dominate most
            between them; None = all.
        calibrate: Members of the space that a calibration of the proxy trains, which then takes
            the search's place; 0 = search.
        calibration_seeds: Seeds that a calibration trains each of them with.
        wanted_tau: Agreement between two seeds that a calibration looks for.
        standing: The calibration that a search stands on; None = none.
        supernet: How the supernet is trained.
        storage: URL of Optuna's storage; None = an SQLite file in the run directory.
        study: Name of the study there, which no other run of the same storage may have.
        mlflow: MLflow's tracking URI, to which trials are copied; None = to none.
        resources: What a trial asks of the machine.
    """

    space: str
    narrowing: Narrowing = Narrowing()
    as_started: Mapping[str, Any] | None = Field(default=None, repr=False)
    data: DataConfig
    num_classes: int | None = Field(default=None, ge=1)
    recipe: Recipe
    long: Recipe | None = None
    initial: tuple[str, ...] = ()
    strategy: StrategyName = "trials"
    trials: int = Field(ge=1)
    inherited_criterion: Literal["miou", "cross_entropy"] = "cross_entropy"
    retrain: int = Field(default=4, ge=1)
    trust: int = Field(default=0, ge=0)
    sampler: SamplerName = "nsga2"
    population: int | None = Field(default=None, ge=2)
    cost: CostName = "macs"
    seed: int = Field(default=0, ge=0, lt=2**32)
    references: tuple[str, ...] = ("hrvit_b1",)
    confirm: int = Field(default=0, ge=0, le=MOST_SEEDS)
    finalists: int | None = Field(default=None, ge=1)
    calibrate: int = Field(default=0, ge=0)
    calibration_seeds: int = Field(default=2, ge=2, le=MOST_SEEDS)
    wanted_tau: float = Field(default=0.7, gt=0, lt=1)
    standing: Standing | None = None
    supernet: SupernetRecipe = SupernetRecipe()
    storage: str | None = None
    study: str = "search"
    mlflow: TrackingUri | None = None
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _check_size(self) -> SearchConfig:
        image_size_of(self.data, self.recipe)
        for name in self.references:
            get_arch(name)
        for name in self.initial:
            get_hrvit(name)
        if self.long is not None:
            if self.long.augment.crop_size != self.recipe.augment.crop_size:
                raise ValueError("the long recipe must have the recipe's augment.crop_size")
            if self.long.trained_steps <= self.recipe.trained_steps:
                raise ValueError(
                    "the long recipe must train for more steps than the recipe's"
                    f" {self.recipe.trained_steps}, got {self.long.trained_steps}"
                )
        if 0 < self.calibrate < MIN_CALIBRATION:
            raise ValueError(
                f"a calibration must train at least {MIN_CALIBRATION} members, got {self.calibrate}"
            )
        if 0 < self.trust < MIN_CALIBRATION:
            raise ValueError(
                f"a trust report must compare at least {MIN_CALIBRATION} members, got {self.trust}"
            )
        for name in ("weight_averaging", "tied_initialisation"):
            if self.strategy == "supernet" and getattr(self.recipe, name):
                raise ValueError(f"a search with a supernet must leave the recipe's {name} off")
        if self.trust and self.strategy != "supernet":
            raise ValueError("a trust report is of a supernet's scores; set strategy to supernet")
        if self.calibrate and self.strategy != "trials":
            raise ValueError("a calibration trains each member alone; leave strategy at trials")
        if self.finalists is not None and not self.confirm:
            raise ValueError("finalists are trained to confirm them; set confirm to 1 or more")
        if self.calibrate and self.confirm:
            raise ValueError("a calibration has no frontier to confirm; leave confirm at 0")
        return self

    @property
    def criterion(self) -> Criterion:
        """The score of a trial, as its history names it."""
        return "averaged_miou" if self.recipe.weight_averaging else "miou"

    @property
    def ranked_by(self) -> Criterion:
        """The score by which trials are ranked, as their histories name it."""
        return "cross_entropy" if self.recipe.criterion == "cross_entropy" else self.criterion

    @property
    def searched_by(self) -> Criterion:
        """The score that the search maximises; a cross entropy is negated."""
        return self.inherited_criterion if self.strategy == "supernet" else self.recipe.criterion

    @property
    def ranking(self) -> dict[str, Any]:
        """How what the search found is summed up: arguments of `results.summarise`."""
        return {
            "cost": self.cost,
            "noise": self.standing and self.standing.noise,
            "criterion": self.recipe.criterion,
            "finalists": self.finalists,
        }

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """How architectures are trained alone, each to a budget of its own: the shorter first."""
        return (self.recipe,) if self.long is None else (self.recipe, self.long)

    @property
    def first_stage(self) -> Stage:
        """What the trials of the first stage are for, and how they are scored."""
        if self.calibrate:
            return Stage("calibration", "trained")
        return Stage("search", "inherited" if self.strategy == "supernet" else "trained")

    def budget(self, evaluator: Evaluator) -> int:
        """Optimiser steps behind the score of a search's trial."""
        return self.supernet.steps if evaluator == "inherited" else self.recipe.trained_steps

    @property
    def num_trials(self) -> int:
        """Trials of the first stage."""
        kinds = 1 if self.long is None else 2  # of training that a calibration compares
        return kinds * self.calibrate * self.calibration_seeds or self.trials

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that architectures are trained, scored and costed at."""
        return image_size_of(self.data, self.recipe)

    @property
    def counted_cost(self) -> Literal["macs", "params"]:
        """The closed-form cost that stands for `cost`: multiply-adds for a latency."""
        return "params" if self.cost == "params" else "macs"

    def cost_of(self, spec: ArchSpec) -> float:
        """An architecture's `counted_cost` at the run's image size and number of classes."""
        cost = estimate_cost(spec, self.image_size, num_classes=self.num_classes)
        return float(getattr(cost, self.counted_cost))

    def with_num_classes(self, num_classes: int) -> SearchConfig:
        """The same, its limits too, for networks of the data set's number of classes."""
        if self.num_classes is not None:
            return self
        limits = tuple(
            limit
            if "num_classes" in limit.model_fields_set
            else limit.model_copy(update={"num_classes": num_classes})
            for limit in self.narrowing.limits
        )
        narrowing = self.narrowing.model_copy(update={"limits": limits})
        return self.model_copy(update={"narrowing": narrowing, "num_classes": num_classes})

    def load_space(self) -> Space:
        """The space as the run was started with, else as declared, narrowed as this run asks.

        Raises:
            SpaceError: The declaration or the narrowing is at fault.
        """
        if self.as_started is not None:
            return Space.from_dict(self.as_started)
        narrowing = self.narrowing
        base = None
        if narrowing.base is not None:
            base = scale_widths(get_hrvit(narrowing.base.arch), narrowing.base.width_factor)
        return load_space(self.space).narrow(
            narrowing.choices,
            base=base,
            limits=narrowing.limits,
            ignore_unknown=True,
            by="profile and options",
        )


def image_size_of(data: DataConfig, recipe: Recipe) -> tuple[int, int]:
    """Height and width that networks are trained, scored and costed at.

    Raises:
        ValueError: Neither the data nor the recipe says.
    """
    size = data.image_size or recipe.augment.crop_size
    if size is None:
        raise ValueError("a recipe must set image_size or augment.crop_size, got neither")
    return size


class DataDefaults(Frozen):
    """The part of a `DataConfig` that a profile can know: not where the files lie.

    Attributes:
        name: Data set.
        num_train: Number of training images (`scenes` only).
        num_val: Number of validation images (`scenes` only).
    """

    name: DataName = "scenes"
    num_train: int | None = Field(default=None, ge=1)
    num_val: int | None = Field(default=None, ge=1)


class Profile(Frozen):
    """A search fitted to a machine.

    Attributes:
        description: What the profile is for.
        trials: Architectures to train.
        inherited: Architectures to score with the weights of a supernet.
        narrowing: How it narrows spaces.
        data: Data set when none is named on the command line.
        recipes: Recipe for each data set.
        resources: What a trial asks of the machine.
    """

    description: str
    trials: int = Field(ge=1)
    inherited: int = Field(default=200, ge=1)
    narrowing: Narrowing = Narrowing()
    data: DataDefaults = DataDefaults()
    recipes: Mapping[str, str]
    resources: Resources = Resources()


class TrainingPlan(Frozen):
    """A recipe file: the recipe, and the size that images are brought to before it.

    Attributes:
        description: What the recipe is for.
        image_size: Height and width of images as loaded; None = as stored.
        recipe: How one architecture is trained.
        long: What differs in the recipe of long training, by which finalists and references are
            compared in the end; empty = nothing is trained longer.
        supernet: How a supernet is trained, beside the recipe.
    """

    description: str
    image_size: Size | None = None
    recipe: Recipe
    long: Mapping[str, Any] = {}
    supernet: SupernetRecipe = SupernetRecipe()

    @field_validator("long")
    @classmethod
    def _check_long(cls, value: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        if "recipe" in info.data:
            base = info.data["recipe"].model_dump() | {"stop_after": None}
            Recipe.model_validate(base | dict(value))
        return value

    @property
    def long_recipe(self) -> Recipe:
        """The recipe of long training: to the end of the schedule, unless it says otherwise."""
        base = self.recipe.model_dump() | {"stop_after": None}
        return Recipe.model_validate(base | dict(self.long))


def list_profiles() -> tuple[str, ...]:
    """Names of the shipped profiles."""
    return declaration_names(declarations_dir("experiments"))


def list_recipes() -> tuple[str, ...]:
    """Names of the shipped recipes."""
    return declaration_names(declarations_dir("experiments") / "recipes")


def load_profile(name_or_path: str) -> Profile:
    """Loads a profile by name or path.

    Raises:
        ConfigError: There is none, or a key or value in it is at fault.
    """
    return load_declaration(Profile, name_or_path, declarations_dir("experiments"), "profile")


def load_recipe(name_or_path: str) -> TrainingPlan:
    """Loads a recipe file by name or path.

    Raises:
        ConfigError: There is none, or a key or value in it is at fault.
    """
    folder = declarations_dir("experiments") / "recipes"
    return load_declaration(TrainingPlan, name_or_path, folder, "recipe")


def read_config(
    directory: Path, changes: Mapping[str, Any] | None = None, *, kind: str = "run"
) -> SearchConfig:
    """Reads a run's configuration.

    Args:
        directory: The run directory.
        changes: Fields to change before it is checked; `resources` are merged.
        kind: What the directory should hold, for the message.

    Returns:
        The configuration, which holds the space as it was stored.

    Raises:
        ConfigError: There is none, or it is damaged.
    """
    config, content = read_run(directory, SearchConfig, "config", changes, kind=kind)
    if not isinstance(content.get("space"), dict):
        raise ConfigError(f"{directory / CONFIG_NAME} is damaged: it has no space")
    return config.model_copy(update={"as_started": content["space"]})


def read_run(
    directory: Path,
    model: type[T],
    key: str,
    changes: Mapping[str, Any] | None = None,
    *,
    kind: str,
) -> tuple[T, dict[str, Any]]:
    """Reads what configures a run of any kind.

    Args:
        directory: The run directory.
        model: What the configuration is.
        key: Where it stands in the file; one of `COMMANDS`.
        changes: Fields to change before it is checked; `resources` are merged.
        kind: What the directory should hold, for the message.

    Returns:
        The configuration, and the whole of the file.

    Raises:
        ConfigError: There is none, it is of a run of another command, or it is damaged.
    """
    path = directory / CONFIG_NAME
    changes = dict(changes or {})
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for other, command in COMMANDS.items():
            if other in content and key not in content:
                raise ConfigError(f"{directory} holds no {kind}, but a run of {command}")
        config = content[key]
        resources = config["resources"] | changes.pop("resources", {})
        return model.model_validate(config | changes | {"resources": resources}), content
    except ConfigError:
        raise
    except FileNotFoundError:
        raise ConfigError(f"{directory} holds no {kind} ({CONFIG_NAME} is missing)") from None
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_fault(error)}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise ConfigError(f"{path} is damaged: {error!r}") from error


def declaration_names(folder: Path) -> tuple[str, ...]:
    """Names of the declarations in a folder."""
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def load_declaration(model: type[T], name_or_path: str, folder: Path, kind: str) -> T:
    """Loads a YAML declaration by name or path.

    Args:
        model: What it declares.
        name_or_path: Name of a file in `folder` without its suffix, or a path.
        folder: Where the shipped ones lie.
        kind: What to call it in a message.

    Raises:
        ConfigError: There is none, or a key or value in it is at fault.
    """
    path = Path(name_or_path)
    if path.suffix != ".yaml" and len(path.parts) == 1:
        path = folder / f"{name_or_path}.yaml"
    if not path.is_file():
        known = declaration_names(folder)
        hint = close_to(name_or_path, known)
        raise ConfigError(f"no {kind} {name_or_path!r}; known: {', '.join(known)}{hint}")
    try:
        data = load_yaml(path)
    except yaml.MarkedYAMLError as error:
        line = getattr(error.problem_mark, "line", -1) + 1
        raise ConfigError(f"{path}:{line}: {error.problem}") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_fault(error)}") from error
