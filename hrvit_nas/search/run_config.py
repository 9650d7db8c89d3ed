"""What a run of any kind is told, whatever it is to do."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from ..arch import Arch
from ..data import DataConfig
from ..data.layouts import Task
from ..execution import Resources
from ..results import Stage
from ..training import Recipe
from .config_parts import Frozen, SupernetPlan, TrackingUri, image_size_of

MOST_SEEDS = 1000


class RunConfig(Frozen):
    """What a run of any kind has.

    Attributes:
        tasks: What a run of its kind can be of.
        kind: What it is.
        data: Data set.
        num_classes: Its classes; None in runs of versions that did not store them, which go on
            counting costs for 19 as they did, so that they choose the same architectures again.
        recipe: How each architecture is trained.
        seed: First seed of initialisation and data order, and that of proposals.
        mlflow: MLflow's tracking URI, to which trials are copied; None = to none.
        resources: What trials run on.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("segmentation",)

    kind: str
    data: DataConfig
    num_classes: int | None = Field(default=None, ge=1)
    recipe: Recipe
    seed: int = Field(default=0, ge=0, lt=2**32)
    mlflow: TrackingUri | None = None
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _check_task(self) -> RunConfig:
        task = self.data.task
        if task not in self.tasks:
            raise ValueError(
                f"a run of kind {self.kind!r} must be for {' or '.join(self.tasks)}, and data set"
                f" {self.data.name!r} is for {task}; hrvit-train trains on it"
            )
        for recipe in self.recipes:
            if recipe.task != task:
                raise ValueError(
                    f"data set {self.data.name!r} is for {task}, and the recipe for {recipe.task};"
                    f" give one for {task}"
                )
        return self

    @model_validator(mode="after")
    def _check_size(self) -> RunConfig:
        image_size_of(self.data, self.recipe)
        return self

    @model_validator(mode="after")
    def _check_trains(self) -> RunConfig:
        if self.data.synthetic and self.supernet_seeds:
            raise ValueError(
                f"a supernet must have images to be trained on, got data set {self.data.name!r},"
                " with which nothing is trained"
            )
        return self

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that architectures are trained, scored and costed at."""
        return image_size_of(self.data, self.recipe)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """How architectures are trained alone, each to a budget of its own: the shorter first."""
        return (self.recipe,)

    @property
    def ranking(self) -> dict[str, Any]:
        """How what the run found is summed up: arguments of `results.summarise`."""
        return {"criterion": self.recipe.criterion}

    @property
    def with_latency(self) -> bool:
        """Whether every trial measures its network's latency."""
        return False

    def predicted_latency_ms(self, spec: Arch) -> float | None:  # noqa: ARG002
        """What a latency table says of an architecture; None without one."""
        return None

    def with_num_classes(self, num_classes: int) -> Self:
        """The same, for networks of the data set's number of classes."""
        if self.num_classes is not None:
            return self
        return self.model_copy(update={"num_classes": num_classes})

    @property
    def named_architectures(self) -> tuple[Arch, ...]:
        """Architectures that it names, which must be such as can be built here."""
        return ()

    @property
    def first_stage(self) -> Stage:
        """What the trials of the first stage are for, and how they are scored."""
        raise NotImplementedError

    @property
    def seeds(self) -> range:
        """Seeds that the run trains with."""
        raise NotImplementedError

    @property
    def supernet_seeds(self) -> tuple[int, ...]:
        """Seeds of the supernets that score its trials."""
        return ()

    def supernet_plan(self, seed: int) -> SupernetPlan:
        """How the supernet of a seed is trained; only where there are such."""
        raise NotImplementedError
