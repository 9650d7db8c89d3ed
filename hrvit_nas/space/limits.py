"""Hard limits on what an architecture may cost, checked before anything is built."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hrvit_nas.arch import ArchSpec
from hrvit_nas.cost import Cost, estimate_cost
from hrvit_nas.cost.latency import LatencyModel

Metric = Literal["macs", "params", "peak_activation_bytes", "predicted_latency_ms"]
METRICS: tuple[Metric, ...] = get_args(Metric)


class Limit(BaseModel):
    """Bounds, both included, on one cost of a segmentation network.

    Attributes:
        metric: `macs` (multiply-adds of one image), `params`, `peak_activation_bytes` or
            `predicted_latency_ms`.
        max: Upper bound, in the metric's unit.
        min: Lower bound, in the metric's unit.
        image_size: Height and width of the image, in pixels.
        num_classes: Classes of the segmentation head.
        latency: What predicts, for `predicted_latency_ms`, at its own image size and classes; None
            for other metrics.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Metric
    max: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    min: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    image_size: tuple[int, int] = (512, 512)
    num_classes: int = Field(default=19, ge=1)
    latency: LatencyModel | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max is None and self.min is None:
            raise ValueError(f"a limit on {self.metric} needs max, min or both")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError(f"min must be at most max, got min {self.min:g} and max {self.max:g}")
        if (self.metric == "predicted_latency_ms") != (self.latency is not None):
            raise ValueError(
                "a limit on predicted_latency_ms, and no other, must have a latency model; got"
                f" {'one' if self.latency else 'none'} for {self.metric}"
            )
        if self.latency is not None:
            self.latency.conditions.check(self.image_size, self.num_classes)
        if min(self.image_size) < 32:
            raise ValueError(f"image_size must be at least 32, 32, got {self.image_size}")
        return self

    def value(self, spec: ArchSpec) -> float:
        """What an architecture costs in this metric."""
        if self.latency is not None:
            return _latency_ms(spec, self.latency)
        value: float = getattr(_cost(spec, self.image_size, self.num_classes), self.metric)
        return value

    def excess(self, spec: ArchSpec) -> float:
        """How far outside the bounds an architecture is (log of the ratio); 0 inside them."""
        value = self.value(spec)
        if self.max is not None and value > self.max:
            return math.log(value / self.max)
        if self.min is not None and value < self.min:
            return math.log(self.min / value)
        return 0.0

    def refusal(self, spec: ArchSpec) -> str | None:
        """Why an architecture is outside the bounds, or `None`."""
        if self.excess(spec) == 0:
            return None
        return f"{self.metric} must be {self}, got {self.value(spec):.6g}"

    def __str__(self) -> str:
        bounds = []
        if self.min is not None:
            bounds.append(f"at least {self.min:.6g}")
        if self.max is not None:
            bounds.append(f"at most {self.max:.6g}")
        height, width = self.image_size
        return f"{' and '.join(bounds)} at {height}x{width}, {self.num_classes} classes"


@lru_cache(maxsize=4096)
def _cost(spec: ArchSpec, image_size: tuple[int, int], num_classes: int) -> Cost:
    return estimate_cost(spec, image_size=image_size, task="segmentation", num_classes=num_classes)


@lru_cache(maxsize=4096)
def _latency_ms(spec: ArchSpec, latency: LatencyModel) -> float:
    return latency.predict(spec).ms


def total_excess(limits: Iterable[Limit], spec: ArchSpec) -> float:
    """Sum of the excesses of all limits; 0 exactly where every limit holds."""
    return sum(limit.excess(spec) for limit in limits)
