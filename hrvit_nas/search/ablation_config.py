"""What one ablation is to do: its architectures, resolved, and how they are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from ..arch import Arch, parse_arch
from ..results import Stage
from ..results.ablation import ArmRole
from ..training import SupernetRecipe
from .config_parts import Frozen, SupernetPlan
from .run_config import MOST_SEEDS, RunConfig

MIN_SEEDS = 3
"""Seeds below which an interval of a difference says next to nothing."""
MOST_SEED = 2**32
CONTROL_LABEL = "control of {}"

Fact = Literal["params", "macs", "imagenet_top1", "cityscapes_miou", "ade20k_miou"]
Text = Annotated[str, BeforeValidator(str)]


class Arm(Frozen):
    """One architecture of an ablation, as it is stored with the run.

    Attributes:
        name: Of the change, or `base`.
        role: Whether it is the base, or is compared with it.
        description: What it means, for a reader.
        arch: Canonical JSON.
        control: Canonical JSON of the base at the arm's multiply-adds; None where it needs none.
        published: Published figures, as text.
    """

    name: str
    role: ArmRole
    description: str = ""
    arch: str
    control: str | None = None
    published: Mapping[Fact, Text] = {}

    @property
    def spec(self) -> Arch:
        """The architecture."""
        return parse_arch(self.arch)


def check_seeds(seeds: int) -> None:
    """Refuses what gives no interval worth printing.

    Raises:
        ValueError: There are fewer than 3 seeds.
    """
    if seeds < MIN_SEEDS:
        raise ValueError(
            f"an ablation must have at least {MIN_SEEDS} seeds, got {seeds}: differences are paired"
            " by seed, and fewer leave their interval unknown or next to it"
        )


class AblationConfig(RunConfig):
    """One ablation, resolved; see `RunConfig`.

    Attributes:
        plan: Name of its plan.
        base: The base, as it was named.
        factor: What widths were multiplied by.
        arms: The base, then what is compared with it.
        num_classes: Classes that every network has.
        supernet: How the supernets are trained, one a seed, whose weights score the arms; None =
            each arm is trained alone.
        as_started: The space of those supernets, which all arms are in.
        num_seeds: Number of seeds.
    """

    kind: Literal["ablation"] = "ablation"
    plan: str
    base: str
    factor: float = Field(gt=0)
    arms: tuple[Arm, ...] = Field(min_length=2)
    num_classes: int = Field(ge=1)
    supernet: SupernetRecipe | None = None
    as_started: Mapping[str, Any] | None = Field(default=None, repr=False)
    num_seeds: int = Field(le=MOST_SEEDS)

    @model_validator(mode="after")
    def _check(self) -> AblationConfig:
        check_seeds(self.num_seeds)
        if self.seed + self.num_seeds > MOST_SEED:
            raise ValueError(f"seeds must be below {MOST_SEED}, got {self.seeds[-1]}")
        return self

    @property
    def title(self) -> str:
        """What was done to what, at which scale, on which data."""
        scale = "" if self.factor == 1 else f", widths times {self.factor:g}"
        height, width = self.image_size
        return f"{self.plan}: {self.base}{scale}, {self.data.title} at {height}x{width}"

    @property
    def conditions(self) -> dict[str, object]:
        """Under which scores were had: data, size, steps and scale."""
        height, width = self.image_size
        return {
            "data": self.data.name,
            "image_height": height,
            "image_width": width,
            "steps": self.budget,
            "width_factor": self.factor,
        }

    @property
    def budget(self) -> int:
        """Optimiser steps behind every score: of an arm, or of the supernet of its seed."""
        return self.recipe.trained_steps if self.supernet is None else self.supernet.steps

    @property
    def first_stage(self) -> Stage:
        """See `RunConfig`."""
        return Stage("ablation", "trained" if self.supernet is None else "inherited")

    @property
    def seeds(self) -> range:
        """See `RunConfig`."""
        return range(self.seed, self.seed + self.num_seeds)

    @property
    def num_trials(self) -> int:
        """Trials in all: every architecture with every seed."""
        return len({spec.id for _, spec in self.architectures()}) * self.num_seeds

    @property
    def supernet_seeds(self) -> tuple[int, ...]:
        """See `RunConfig`."""
        return () if self.supernet is None else tuple(self.seeds)

    def supernet_plan(self, seed: int) -> SupernetPlan:
        """See `RunConfig`."""
        assert self.supernet is not None
        assert self.as_started is not None
        return SupernetPlan(
            space=self.as_started,
            data=self.data,
            num_classes=None,  # subnets drawn are those of runs before classes were stored
            recipe=self.recipe,
            supernet=self.supernet,
            seed=seed,
        )

    @property
    def named_architectures(self) -> tuple[Arch, ...]:
        """See `RunConfig`."""
        return tuple(spec for _, spec in self.architectures())

    def architectures(self) -> Iterator[tuple[str, Arch]]:
        """Name and architecture of each arm, and of its control after it."""
        for arm in self.arms:
            yield arm.name, arm.spec
            if arm.control is not None:
                yield CONTROL_LABEL.format(arm.name), parse_arch(arm.control)
