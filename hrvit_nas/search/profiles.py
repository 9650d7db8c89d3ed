"""Profiles and recipes: YAML that says on which machine a search runs, and how it trains.

A profile (`experiments/NAME.yaml`) fits a search to a machine: how the space is narrowed, how
many trials, which recipe for which data set. A recipe (`experiments/recipes/NAME.yaml`) is how
one architecture is trained, with the size that images are brought to.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator

from .._files import declarations_dir, load_yaml
from .._messages import close_to, first_fault
from ..data.config import DataName
from ..data.layouts import LAYOUTS
from ..execution import Resources
from ..training import Recipe, SupernetRecipe
from .config_parts import ConfigError, Frozen, Narrowing

T = TypeVar("T", bound=BaseModel)
Size = tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]]


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
        recipes: Recipe for each data set; `folder`'s is that of those for segmentation that are not
            named.
        resources: What a trial asks of the machine.
    """

    description: str
    trials: int = Field(ge=1)
    inherited: int = Field(default=200, ge=1)
    narrowing: Narrowing = Narrowing()
    data: DataDefaults = DataDefaults()
    recipes: Mapping[DataName, str]
    resources: Resources = Resources()

    def recipe_for(self, data: str) -> str | None:
        """Name of the recipe for a data set, if there is one."""
        others = "folder" if LAYOUTS[data].task == "segmentation" else data
        return self.recipes.get(data, self.recipes.get(others))


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
            try:
                Recipe.model_validate(base | dict(value))
            except ValidationError as error:
                raise ValueError(first_fault(error, model=Recipe)) from error
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
        raise ConfigError(f"{path}: {first_fault(error, model=model)}") from error
