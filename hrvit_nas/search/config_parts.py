"""What configurations are made of, whatever kind of run they are of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..arch import Arch, ArchSpec, get_hrvit, scale_widths
from ..cost import estimate_cost
from ..cost.latency import LatencyModel
from ..data import DataConfig
from ..objectives import known_costs
from ..results import CostName, Criterion
from ..space import Limit, Space, load_space
from ..space.genes import Value
from ..training import Recipe, SupernetRecipe


class ConfigError(ValueError):
    """A configuration, profile or recipe is not usable; one line that says which and why."""


def _tracking_uri(uri: str) -> str:
    if not re.match(r"[A-Za-z][\w+.-]*:(//.|/.)", uri):
        raise ValueError(
            f"a tracking URI must be such as http://HOST:5000 or sqlite:///mlflow.db, got {uri!r}"
        )
    return uri


Costs = Annotated[tuple[CostName, ...], AfterValidator(known_costs)]
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


def load_narrowed(space: str, narrowing: Narrowing) -> Space:
    """A space as declared, narrowed.

    Args:
        space: Name or path of its declaration.
        narrowing: How it is narrowed.

    Raises:
        SpaceError: The declaration or the narrowing is at fault.
    """
    base = None
    if narrowing.base is not None:
        base = scale_widths(get_hrvit(narrowing.base.arch), narrowing.base.width_factor)
    return load_space(space).narrow(
        narrowing.choices,
        base=base,
        limits=narrowing.limits,
        ignore_unknown=True,
        by="profile and options",
    )


class ProxyNoise(Frozen):
    """What is known of the noise of a search's scores, from a calibration of its proxy.

    Attributes:
        run: Run directory of the calibration.
        steps: Optimiser steps of a trial.
        num_architectures: Architectures that were trained for it.
        num_seeds: Seeds of each.
        macs: Multiply-adds of the cheapest and the dearest of them.
        criterion: The score.
        noise: Standard deviation of one score between seeds, in the criterion's own unit.
        seed_tau: Kendall's tau between two seeds, with its interval, as text.
        residual_tau: The same with MACs regressed out.
    """

    run: str
    steps: int
    num_architectures: int
    num_seeds: int
    macs: tuple[int, int]
    criterion: Criterion = "miou"
    noise: float = Field(ge=0)
    seed_tau: str
    residual_tau: str

    @property
    def num_free(self) -> int:
        """Degrees of freedom that the noise is known from."""
        return (self.num_architectures - 1) * (self.num_seeds - 1)


class SupernetPlan(Frozen):
    """All that the training of one supernet depends on.

    Attributes:
        space: The space whose architectures are its subnets, as `Space.to_dict` gives it.
        data: Data set.
        num_classes: Classes that subnets are costed with; None as in `RunConfig`.
        recipe: How it and its subnets are trained, as far as `supernet` does not say.
        supernet: How it is trained.
        cost: By which subnets are told apart.
        seed: Of its weights, the subnets drawn and the data.
    """

    space: Mapping[str, Any] = Field(repr=False)
    data: DataConfig
    num_classes: int | None
    recipe: Recipe
    supernet: SupernetRecipe
    cost: CostName = "macs"
    seed: int

    def load_space(self) -> Space:
        """The space."""
        return Space.from_dict(self.space)

    def cost_of(self, spec: ArchSpec) -> float:
        """An architecture's cost at the size that it is trained at."""
        return counted_cost(
            spec, self.cost, image_size_of(self.data, self.recipe), self.num_classes
        )


def counted_cost(
    spec: Arch,
    metric: CostName,
    image_size: tuple[int, int],
    num_classes: int | None,
    latency: LatencyModel | None = None,
) -> float:
    """A cost of an architecture by its description alone, at an image size."""
    if metric == "predicted_latency_ms":
        assert latency is not None
        return latency.predict(spec).ms
    return float(getattr(estimate_cost(spec, image_size, num_classes=num_classes), metric))


def image_size_of(data: DataConfig, recipe: Recipe) -> tuple[int, int]:
    """Height and width that networks are trained, scored and costed at.

    Raises:
        ValueError: Neither the data nor the recipe says.
    """
    size = data.image_size or recipe.crop_size
    if size is None:
        raise ValueError("a recipe must set image_size or augment.crop_size, got neither")
    return size
