"""Latencies of parts of networks and of whole ones, for a table to predict others from.

Both are timed by turns, so that what slows the machine for a while slows none of them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..arch import ArchSpec
from ..cost.latency import Conditions
from ..cost.timed_parts import TimedPart
from ..models import build_segmentor
from .inference import inference
from .latency import device_name, noise_images, num_threads, precision_of, time_ms
from .part_modules import part_inputs, part_module

GPU_PASSES = 10
"""Passes of a part that are queued at a time on a GPU, as within a network."""
BURST = 6
"""Passes of a network that count in each of its turns, after those that warm it up."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Milliseconds of one pass.

    Attributes:
        median_ms: Median over the repeats.
        p10_ms: 10th percentile.
        p90_ms: 90th percentile.
        repeats: Timings that count.
    """

    median_ms: float
    p10_ms: float
    p90_ms: float
    repeats: int


@dataclass(frozen=True, kw_only=True)
class Timer:
    """How latencies are measured.

    Attributes:
        device: Where.
        image_size: Height and width, in pixels.
        num_classes: Classes that networks tell apart.
        batch_size: Images a pass.
        threads: CPU threads inside an operator.
        warmup: Passes in a row before the first that counts.
        repeats: Timings that count, of a part or network.

    Raises:
        ValueError: A number is out of range.
    """

    device: torch.device
    image_size: tuple[int, int]
    num_classes: int
    batch_size: int = 1
    threads: int = 1
    warmup: int = 3
    repeats: int = 24

    def __post_init__(self) -> None:
        for name, least in (("warmup", 0), ("repeats", 1), ("threads", 1)):
            if (value := getattr(self, name)) < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        self.conditions  # noqa: B018  # checks the rest

    @property
    def conditions(self) -> Conditions:
        """What its measurements hold for."""
        return Conditions(
            device=device_name(self.device),
            threads=self.threads,
            precision=precision_of(self.device),
            torch_version=torch.__version__,
            image_size=self.image_size,
            batch_size=self.batch_size,
            num_classes=self.num_classes,
        )

    def time_parts(self, parts: Sequence[TimedPart]) -> list[Timing]:
        """Times parts on noise, each once in every round.

        Other parts run between two timings of one, so that it finds its weights where a network
        would; the maps that it reads have just been written, as there.
        """
        passes = GPU_PASSES if self.device.type == "cuda" else 1
        made = [self._made(part) for part in parts]
        times: list[list[float]] = [[] for _ in parts]
        with num_threads(self.threads), ExitStack() as modes:
            for module, _ in made:
                modes.enter_context(inference(module, self.device))
            for number in range(-self.warmup, self.repeats):
                for row, (module, sources) in zip(times, made, strict=True):
                    inputs = [source.clone() for source in sources]
                    elapsed = time_ms(module, inputs, self.device, passes)
                    if number >= 0:
                        row.append(elapsed)
        return [_summed_up(row) for row in times]

    def _made(self, part: TimedPart) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
        module = part_module(part, self.image_size, self.num_classes).to(self.device)
        inputs = part_inputs(part, self.image_size, batch_size=self.batch_size, device=self.device)
        return module, inputs

    def time_networks(
        self, specs: Sequence[ArchSpec], progress: Callable[[int, int], None] = lambda *_: None
    ) -> list[Timing]:
        """Times networks on noise: a few passes in a row of each, by turns over all of them.

        Each is built anew for every turn, so that memory holds one at a time, and no placement of
        its weights there tells its latency.

        Args:
            specs: Their architectures.
            progress: What is told how many turns are done, and how many there are.
        """
        images = noise_images(self.batch_size, self.image_size, self.device)
        times: list[list[float]] = [[] for _ in specs]
        bursts = [min(BURST, self.repeats - start) for start in range(0, self.repeats, BURST)]
        turns = [
            (count, row, spec) for count in bursts for row, spec in zip(times, specs, strict=True)
        ]
        with num_threads(self.threads):
            for done, (count, row, spec) in enumerate(turns):
                progress(done, len(turns))
                model = build_segmentor(spec, self.num_classes).to(self.device)
                with inference(model, self.device):
                    for number in range(-self.warmup, count):
                        elapsed = time_ms(model, (images,), self.device)
                        if number >= 0:
                            row.append(elapsed)
        progress(len(turns), len(turns))
        return [_summed_up(row) for row in times]


def _summed_up(times: Sequence[float]) -> Timing:
    p10, median, p90 = (round(float(ms), 6) for ms in np.quantile(times, (0.1, 0.5, 0.9)))
    return Timing(median_ms=median, p10_ms=p10, p90_ms=p90, repeats=len(times))
