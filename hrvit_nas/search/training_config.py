"""What a training of one architecture, from its first step to its last, is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from .._messages import first_fault, one_line
from ..arch import Arch, ArchError, ArchSpec, parse_arch
from ..data.layouts import Task
from ..execution import merged_resources
from ..results import read_sealed, write_sealed
from .config_parts import ConfigError
from .layout import RunLayout
from .run_config import RunConfig


class TrainingConfig(RunConfig):
    """One architecture, trained to the end.

    Attributes:
        arch: The architecture, as canonical JSON.
        initial: What its first weights are, in words; None = drawn from the seed.
    """

    tasks: ClassVar[tuple[Task, ...]] = get_args(Task)

    kind: Literal["training"] = "training"
    arch: str = Field(repr=False)
    initial: str | None = None

    @field_validator("arch")
    @classmethod
    def _check_arch(cls, value: str) -> str:
        parse_arch(value)
        return value

    @model_validator(mode="after")
    def _check_classifier(self) -> TrainingConfig:
        if self.data.task == "classification" and not isinstance(self.spec, ArchSpec):
            raise ValueError(
                f"a classifier must be an HRViT, got a {self.spec.family} pyramid, which has no"
                " classification head here"
            )
        return self

    @cached_property
    def spec(self) -> Arch:
        """The architecture."""
        return parse_arch(self.arch)

    @property
    def named_architectures(self) -> tuple[Arch, ...]:
        """See `RunConfig`."""
        return (self.spec,)

    @property
    def seeds(self) -> range:
        """See `RunConfig`."""
        return range(self.seed, self.seed + 1)


@dataclass(frozen=True)
class TrainingLayout(RunLayout):
    """Where the files of a training lie, beside those that all runs have."""

    @property
    def start(self) -> Path:
        """Its first weights, where they are not drawn from the seed."""
        return self.training / "start.pt"

    @property
    def state(self) -> Path:
        """What it goes on from."""
        return self.training / "network.pt"

    @property
    def steps(self) -> Path:
        """A line of each step whose loss has been read."""
        return self.training / "steps.jsonl"

    @property
    def curve(self) -> Path:
        """Its losses and scores, a row a step."""
        return self.directory / "curve.csv"

    @property
    def scores(self) -> Path:
        """What the trained network scores on the validation split."""
        return self.directory / "scores.json"

    @property
    def model(self) -> Path:
        """The trained network, as `save_pretrained` writes it."""
        return self.directory / "model"


def write_training(layout: TrainingLayout, config: TrainingConfig) -> None:
    """Writes a training's configuration with a checksum."""
    write_sealed(layout.config, {"config": config.model_dump(mode="json")})


def read_training(
    directory: Path, resources: Mapping[str, object], tracking: Mapping[str, object]
) -> TrainingConfig:
    """Reads a training's configuration, with some of its resources, or its tracking, changed.

    Raises:
        ConfigError: There is none, or it is damaged.
    """
    path = TrainingLayout(directory).config
    try:
        content = read_sealed(path)["config"]
        kind = content["kind"]
        if kind == "training":
            content["resources"] = merged_resources(content["resources"], dict(resources))
            return TrainingConfig.model_validate({**content, **tracking})
    except FileNotFoundError:
        raise ConfigError(f"{directory} holds no training ({path.name} is missing)") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_fault(error, model=TrainingConfig)}") from error
    except (ValueError, LookupError, TypeError, AttributeError, ArchError) as error:
        words = str(error) if isinstance(error, ValueError) else repr(error)
        raise ConfigError(f"{path} is damaged: {one_line(words, 160)}") from error
    raise ConfigError(f"{directory} holds a run of kind {kind!r}, and no training")
