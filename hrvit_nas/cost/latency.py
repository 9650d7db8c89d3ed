"""Latency of an architecture, predicted from those of its parts.

What is measured are parts (`timed_parts`) and a few tens of whole networks; `hrvit_nas.evaluation`
does it. A network's latency is a constant and, a slope a kind of part, the sum of its parts: slopes
say what a part takes within a network, where caches hold less of what it needs. A part that was not
measured is estimated from the work of those like it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..arch import Arch, ArchSpec
from .timed_parts import NUM_FEATURES, PART_KINDS, PartKind, TimedPart, features_of, timed_parts

Milliseconds = Annotated[float, Field(gt=0)]
AtLeastZero = Annotated[float, Field(ge=0)]


class LatencyError(ValueError):
    """A latency cannot be predicted, or what it would be predicted from is not usable."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Conditions(_Frozen):
    """What latencies were measured on; they hold for nothing else.

    Attributes:
        device: Name of the processor or GPU.
        threads: CPU threads inside an operator.
        precision: `float32`, or `bfloat16` for autocast on a GPU.
        torch_version: Release of torch.
        image_size: Height and width, in pixels.
        batch_size: Images a pass.
        num_classes: Classes that networks tell apart.
    """

    device: str
    threads: int = Field(ge=1)
    precision: str
    torch_version: str
    image_size: tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]]
    batch_size: int = Field(ge=1)
    num_classes: int = Field(ge=1)

    def check(self, image_size: tuple[int, int], num_classes: int) -> None:
        """Refuses another image size or number of classes, and batches.

        Raises:
            LatencyError: They are not those of the measurements.
        """
        for words, mine, wanted in (
            ("images of {}", self.image_size, tuple(image_size)),
            ("{} classes", self.num_classes, num_classes),
            ("batches of {}", self.batch_size, 1),
        ):
            if mine != wanted:
                raise LatencyError(
                    f"the latency table must be of {words.format(_said(wanted))}, got"
                    f" {words.format(_said(mine))}; measure another"
                )

    def differing(self, other: Conditions) -> str | None:
        """The first condition that is another one, in words; None where all agree."""
        for name in type(self).model_fields:
            mine, others = getattr(self, name), getattr(other, name)
            if mine != others:
                return f"{name} {_said(others)}, not {_said(mine)}"
        return None


def _said(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


class Estimator(_Frozen):
    """How long parts of a make take by their work, for those that were not measured.

    Attributes:
        kind: Of the parts.
        branches: Whose they are; None = of any.
        make: Their settings but for strip width and heads; None = any.
        coefficients_ms: Milliseconds for each of `features_of`.
        num_parts: Measured parts that it was fitted to.
    """

    kind: PartKind
    branches: tuple[int, ...] | None = None
    make: tuple[int | str, ...] | None = None
    coefficients_ms: tuple[AtLeastZero, ...] = Field(
        min_length=NUM_FEATURES, max_length=NUM_FEATURES
    )
    num_parts: int = Field(ge=1)


class Calibration(_Frozen):
    """How sums of parts become the latency of a network.

    Attributes:
        intercept_ms: What is in no part.
        slopes: Of each kind of part.
        num_networks: Networks that it was fitted to.
    """

    intercept_ms: AtLeastZero
    slopes: Mapping[PartKind, AtLeastZero]
    num_networks: int = Field(ge=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if missing := [kind for kind in PART_KINDS if kind not in self.slopes]:
            raise ValueError(f"slopes must be of every kind of part, and lack {missing[0]}")
        return self


@dataclass(frozen=True, kw_only=True)
class PredictedLatency:
    """A prediction.

    Attributes:
        ms: Milliseconds a pass.
        by_kind: Those of each kind of part, calibrated; with the calibration's constant they sum to
            `ms`.
        estimated_ms: How many of them are of parts that were not measured.
        num_estimated: Different parts that were not measured.
    """

    ms: float
    by_kind: Mapping[PartKind, float]
    estimated_ms: float
    num_estimated: int


class LatencyModel(_Frozen):
    """Predicts latencies under the conditions that parts were measured in.

    Attributes:
        conditions: Of the measurements.
        parts_ms: Median milliseconds of each measured part, by its key.
        estimators: For parts that were not measured, the most like them first.
        calibration: From sums of parts to networks.
    """

    conditions: Conditions
    parts_ms: Mapping[str, Milliseconds] = Field(repr=False)
    estimators: tuple[Estimator, ...] = Field(repr=False)
    calibration: Calibration

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in self.parts_ms:
            TimedPart.parse(key)
        return self

    def __hash__(self) -> int:
        return hash((self.conditions, len(self.parts_ms), self.calibration.intercept_ms))

    @cached_property
    def _measured(self) -> dict[TimedPart, float]:
        return {TimedPart.parse(key): ms for key, ms in self.parts_ms.items()}

    def part_ms(self, part: TimedPart) -> tuple[float, bool]:
        """Milliseconds of a part on its own, and whether it was measured.

        Raises:
            LatencyError: No part of its kind was.
        """
        found = self._measured.get(part)
        return (found, True) if found is not None else (self._estimated(part), False)

    def predict(self, spec: Arch) -> PredictedLatency:
        """Predicts the latency of an architecture.

        Raises:
            LatencyError: It is a pyramid, or has a kind of part of which none was measured.
        """
        if not isinstance(spec, ArchSpec):
            raise LatencyError(
                f"a latency can be predicted of an HRViT, whose parts are in the table, got a"
                f" {spec.family} pyramid"
            )
        by_kind: dict[PartKind, float] = dict.fromkeys(PART_KINDS, 0.0)
        estimated_ms, num_estimated = 0.0, 0
        for part, times in timed_parts(spec, self.conditions.image_size).items():
            ms, measured = self.part_ms(part)
            calibrated = self.calibration.slopes[part.kind] * times * ms
            by_kind[part.kind] += calibrated
            if not measured:
                estimated_ms += calibrated
                num_estimated += 1
        return PredictedLatency(
            ms=self.calibration.intercept_ms + sum(by_kind.values()),
            by_kind=by_kind,
            estimated_ms=estimated_ms,
            num_estimated=num_estimated,
        )

    def _estimated(self, part: TimedPart) -> float:
        for estimator in self.estimators:
            if (
                estimator.kind == part.kind
                and estimator.branches in (None, part.branches)
                and estimator.make in (None, part.make)
            ):
                at = self.conditions
                features = features_of(part, at.image_size, at.num_classes)
                pairs = zip(estimator.coefficients_ms, features, strict=True)
                return sum(coefficient * feature for coefficient, feature in pairs)
        raise LatencyError(
            f"the latency table has no part of kind {part.kind}, which the architecture has;"
            " measure it in a space that has some"
        )

    def to_dict(self) -> dict[str, Any]:
        """It as plain data, from which `model_validate` makes an equal one."""
        return self.model_dump(mode="json")
