"""A table of measured latencies on disk, and how far its predictions agree with measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy  # whose parts load when they are first used
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .._messages import first_fault, one_line
from ..arch import ArchSpec
from ..cost.latency import Calibration, Conditions, Estimator, LatencyError, LatencyModel
from .estimates import Estimate, Floats, bootstrap
from .ranking import tau_interval
from .sealed import read_sealed, write_sealed

CLOSE = 0.1
"""Share of the measured latency within which a prediction counts as close."""
LEAST_COMPARED = 4
"""Architectures from which predictions are compared with measurements."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Timed(_Frozen):
    """Milliseconds of one pass.

    Attributes:
        median_ms: Median over the repeats.
        p10_ms: 10th percentile.
        p90_ms: 90th percentile.
        repeats: Timings that count.
    """

    median_ms: float = Field(gt=0)
    p10_ms: float = Field(gt=0)
    p90_ms: float = Field(gt=0)
    repeats: int = Field(ge=1)


class TimedNetwork(Timed):
    """A whole network.

    Attributes:
        arch: Its architecture, as canonical JSON.
        purpose: Whether the model was fitted to it, or is held to it.
    """

    arch: str
    purpose: Literal["calibration", "validation"]


class Fit(_Frozen):
    """What was fitted to the measurements; see `LatencyModel`."""

    estimators: tuple[Estimator, ...]
    calibration: Calibration


class LatencyTable(_Frozen):
    """All that was measured in a space, and the model of it.

    Attributes:
        schema_version: Of this layout.
        space: What the architectures were drawn from, in words.
        date: Of the last measurement, as YYYY-MM-DD.
        conditions: Of all measurements.
        warmup: Passes in a row before the first that counts.
        parts: Parts, by their keys.
        networks: Whole networks.
        fit: None until all is measured.
    """

    schema_version: Literal[1] = 1
    space: str
    date: str
    conditions: Conditions
    warmup: int = Field(ge=0)
    parts: dict[str, Timed] = Field(default={}, repr=False)
    networks: tuple[TimedNetwork, ...] = Field(default=(), repr=False)
    fit: Fit | None = Field(default=None, repr=False)

    def of(self, purpose: str) -> list[tuple[ArchSpec, float]]:
        """Architectures that were measured as a whole for a purpose, and their medians in ms."""
        return [
            (ArchSpec.from_json(row.arch), row.median_ms)
            for row in self.networks
            if row.purpose == purpose
        ]

    @property
    def parts_ms(self) -> dict[str, float]:
        """Median of each part, by its key."""
        return {key: row.median_ms for key, row in self.parts.items()}

    @property
    def model(self) -> LatencyModel:
        """What predicts.

        Raises:
            LatencyError: The measurement was interrupted.
        """
        if self.fit is None:
            raise LatencyError(
                "the latency table is not complete; go on with the same hrvit-latency measure"
            )
        return LatencyModel(
            conditions=self.conditions,
            parts_ms=self.parts_ms,
            estimators=self.fit.estimators,
            calibration=self.fit.calibration,
        )

    def agreement(self) -> LatencyAgreement | None:
        """How far the model agrees with the networks it is held to; None where they are too few."""
        held = self.of("validation")
        if len(held) < LEAST_COMPARED:
            return None
        model = self.model
        predicted = [model.predict(spec).ms for spec, _ in held]
        return latency_agreement(predicted, [ms for _, ms in held])


def read_latency_table(path: Path) -> LatencyTable:
    """Reads a table.

    Raises:
        LatencyError: It cannot be read, is damaged, or is no table.
    """
    try:
        content: dict[str, Any] = read_sealed(path)
    except FileNotFoundError:
        raise LatencyError(
            f"there is no latency table {path}; hrvit-latency measure makes one"
        ) from None
    except OSError as error:
        raise LatencyError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise LatencyError(f"{path} is no latency table: {one_line(str(error), 120)}") from error
    try:
        return LatencyTable.model_validate(content)
    except ValidationError as error:
        raise LatencyError(
            f"{path} is no latency table: {first_fault(error, model=LatencyTable)}"
        ) from error


def write_latency_table(path: Path, table: LatencyTable) -> None:
    """Writes a table with a checksum, replacing an older one in one step."""
    write_sealed(path, table.model_dump(mode="json"))


@dataclass(frozen=True, kw_only=True)
class LatencyAgreement:
    """How far predicted latencies agree with measured ones.

    Attributes:
        num_networks: Networks that were compared, none of which the model was fitted to.
        close: Share of them whose prediction is within `CLOSE` of what was measured.
        spearman: Spearman's rank correlation.
        tau: Kendall's tau-b.
        typical_error: Median of the relative errors' sizes.
        largest_error: The relative error of largest size, predicted over measured less one.
    """

    num_networks: int
    close: Estimate
    spearman: Estimate
    tau: Estimate
    typical_error: float
    largest_error: float

    def lines(self) -> list[str]:
        """It in words."""
        return [
            f"{self.close.describe(scale=100, digits=0)}% of {self.num_networks} random"
            f" architectures within {CLOSE:.0%} of what was measured",
            f"rank correlation {self.spearman.describe(digits=3)} (Spearman),"
            f" {self.tau.describe(digits=3)} (Kendall)",
            f"relative error {self.typical_error:.1%} in the median, {self.largest_error:+.1%} at"
            " worst",
        ]


def latency_agreement(
    predicted: Sequence[float],
    measured: Sequence[float],
    confidence: float = 0.95,
    seed: int = 0,
) -> LatencyAgreement:
    """Compares predicted with measured latencies.

    The interval of the share is Wilson's; those of the correlations are a bootstrap over
    architectures.

    Args:
        predicted: (num_architectures,), in ms.
        measured: (num_architectures,), in ms and positive.
        confidence: Coverage of the intervals.
        seed: Of the resampling.

    Raises:
        ValueError: The two differ in length, or hold fewer than 2 values.
    """
    tau = tau_interval(predicted, measured, confidence, seed)
    errors = np.asarray(predicted) / np.asarray(measured) - 1
    close = int((np.abs(errors) <= CLOSE).sum())
    interval = scipy.stats.binomtest(close, len(errors)).proportion_ci(confidence, "wilson")
    return LatencyAgreement(
        num_networks=len(errors),
        close=Estimate(
            value=close / len(errors),
            low=float(interval.low),
            high=float(interval.high),
            confidence=confidence,
        ),
        spearman=_spearman(predicted, measured, confidence, seed),
        tau=tau,
        typical_error=float(np.median(np.abs(errors))),
        largest_error=float(errors[np.abs(errors).argmax()]),
    )


def _spearman(first: ArrayLike, second: ArrayLike, confidence: float, seed: int) -> Estimate:
    table = np.stack([np.asarray(first, np.float64), np.asarray(second, np.float64)], axis=1)

    def statistic(rows: Floats) -> Floats:
        ranks = scipy.stats.rankdata(rows, axis=-2)
        ranks = ranks - ranks.mean(-2, keepdims=True)
        product = ranks.prod(-1).sum(-1)
        found: Floats = product / np.sqrt((ranks**2).sum(-2).prod(-1))
        return found

    return bootstrap(table, statistic, confidence, seed)
