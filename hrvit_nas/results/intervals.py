"""Means over seeds with Student-t intervals, and paired differences between architectures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import scipy  # whose parts load when they are first used

Verdict = Literal["higher", "lower", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean and the confidence interval of the mean, in the unit of the values.

    Attributes:
        mean: Arithmetic mean.
        low: Lower end; NaN where the interval is unknown.
        high: Upper end; NaN where the interval is unknown.
        num_values: Values behind the mean.
        confidence: Coverage asked for, between 0 and 1.
    """

    mean: float
    low: float
    high: float
    num_values: int
    confidence: float

    @property
    def known(self) -> bool:
        """Whether there is an interval: one value alone says nothing about the spread."""
        return not math.isnan(self.low)


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """The mean difference between two architectures over the seeds that both were trained with.

    Attributes:
        interval: Interval of the mean of first minus second.
        verdict: `higher` or `lower` (of the first), or `undecided` if the interval holds 0 or
            is unknown.
    """

    interval: Interval
    verdict: Verdict

    def describe(self, *, scale: float = 100.0, digits: int = 2) -> str:
        """The difference and its verdict in words, by default in points of a percentage."""
        text = format_interval(self.interval, scale=scale, digits=digits, signed=True)
        return f"{text}: {self.verdict}"


def mean_interval(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """Student-t confidence interval for the mean of independent, roughly normal values.

    The ends are mean +- t * s / sqrt(n), with s the sample standard deviation (n - 1) and t
    the quantile (1 + confidence) / 2 of Student's distribution with n - 1 degrees of freedom.
    With one value the interval is unknown, and its ends are NaN.

    Raises:
        ValueError: There is no value, a value is not finite, or the confidence is not
            between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, both excluded, got {confidence}")
    numbers = [float(value) for value in values]
    count = len(numbers)
    if not count:
        raise ValueError("a mean needs at least one value, got none")
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"the values of a mean must be finite, got {numbers}")
    mean = math.fsum(numbers) / count
    half = math.nan
    if count > 1:
        deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in numbers) / (count - 1))
        quantile = float(scipy.special.stdtrit(count - 1, (1 + confidence) / 2))
        half = quantile * deviation / math.sqrt(count)
    return Interval(
        mean=mean, low=mean - half, high=mean + half, num_values=count, confidence=confidence
    )


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], confidence: float = 0.95
) -> PairedDifference:
    """Compares two architectures over common seeds; what a seed gives both cancels out.

    Args:
        first: Score by seed.
        second: Score by seed, in the same unit.
        confidence: Coverage of the interval that the verdict rests on.

    Raises:
        ValueError: No seed is common, or a score is not finite.
    """
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        raise ValueError(
            f"a paired difference needs a common seed, got seeds {sorted(first)}"
            f" and {sorted(second)}"
        )
    interval = mean_interval((first[seed] - second[seed] for seed in seeds), confidence)
    return PairedDifference(interval=interval, verdict=verdict_of(interval))


def verdict_of(interval: Interval) -> Verdict:
    """Which way a difference goes; `undecided` if its interval holds 0 or is unknown."""
    if interval.low > 0:
        return "higher"
    return "lower" if interval.high < 0 else "undecided"


def format_interval(
    interval: Interval, *, scale: float = 100.0, digits: int = 2, signed: bool = False
) -> str:
    """Writes `mean [low, high] (n=3)`, or `mean (n=1)` where the interval is unknown.

    Args:
        interval: What to write.
        scale: Factor before writing; 100 turns a fraction into percent.
        digits: Digits after the point.
        signed: Whether positive numbers carry a plus sign, as differences do.
    """
    style = f"{'+' if signed else ''}.{digits}f"
    text = f"{interval.mean * scale:{style}}"
    if interval.known:
        text += f" [{interval.low * scale:{style}}, {interval.high * scale:{style}}]"
    return f"{text} (n={interval.num_values})"
