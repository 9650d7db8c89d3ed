"""Wall-clock latency of a model, with how it was measured beside the figure."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .inference import inference


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Time of one forward pass in eval mode, from input on the device to finished output.

    Attributes:
        median_ms: Median over the repeats, in milliseconds.
        p10_ms: 10th percentile, in milliseconds.
        p90_ms: 90th percentile, in milliseconds.
        device: Name of the processor or GPU.
        threads: CPU threads that torch used inside an operator.
        precision: `float32`, or `bfloat16` for autocast on a GPU.
        image_size: Height and width, in pixels.
        batch_size: Images a pass.
        warmup: Passes before the first that counts.
        repeats: Passes that count.
    """

    median_ms: float
    p10_ms: float
    p90_ms: float
    device: str
    threads: int
    precision: str
    image_size: tuple[int, int]
    batch_size: int
    warmup: int
    repeats: int


def measure_latency(
    model: nn.Module,
    image_size: tuple[int, int],
    *,
    device: str | torch.device = "cpu",
    batch_size: int = 1,
    warmup: int = 3,
    repeats: int = 20,
    threads: int | None = None,
) -> Latency:
    """Times forward passes on noise, one at a time.

    Args:
        model: Takes (B, 3, H, W); already on `device`. Its mode is put back afterwards.
        image_size: Height and width, in pixels.
        device: Where to run.
        batch_size: Images a pass.
        warmup: Passes before the first that counts.
        repeats: Passes that count.
        threads: CPU threads inside an operator while measuring; None = as torch is set.

    Raises:
        ValueError: A count is out of range.
    """
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("warmup", warmup, 0),
        ("repeats", repeats, 1),
        ("threads", 1 if threads is None else threads, 1),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    device = torch.device(device)
    images = noise_images(batch_size, image_size, device)
    with num_threads(threads), inference(model, device):
        used_threads = torch.get_num_threads()
        times = [time_ms(model, (images,), device) for _ in range(warmup + repeats)][warmup:]
    p10, median, p90 = np.quantile(times, (0.1, 0.5, 0.9)).tolist()
    return Latency(
        median_ms=median,
        p10_ms=p10,
        p90_ms=p90,
        device=device_name(device),
        threads=used_threads,
        precision=precision_of(device),
        image_size=image_size,
        batch_size=batch_size,
        warmup=warmup,
        repeats=repeats,
    )


def compare_latencies(
    models: Sequence[nn.Module],
    image_size: tuple[int, int],
    *,
    device: str | torch.device = "cpu",
    warmup: int = 2,
    rounds: int = 20,
) -> list[list[float]]:
    """Times several models by turns, so that what slows the machine slows all of them alike.

    Args:
        models: Each takes (1, 3, H, W); already on `device`.
        image_size: Height and width, in pixels.
        device: Where to run.
        warmup: Rounds before the first that counts.
        rounds: Rounds that count; every model has one pass in each.

    Returns:
        Milliseconds of each pass, one row a model, its columns the rounds: differences between
        rows are paired by column.

    Raises:
        ValueError: A count is out of range.
    """
    for name, value, least in (("warmup", warmup, 0), ("rounds", rounds, 1)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    device = torch.device(device)
    images = noise_images(1, image_size, device)
    times: list[list[float]] = [[] for _ in models]
    with ExitStack() as modes:
        for model in models:
            modes.enter_context(inference(model, device))
        for number in range(warmup + rounds):
            for row, model in zip(times, models, strict=True):
                elapsed = time_ms(model, (images,), device)
                if number >= warmup:
                    row.append(elapsed)
    return times


def noise_images(
    batch_size: int, image_size: tuple[int, int], device: torch.device
) -> torch.Tensor:
    """Images (B, 3, H, W) of noise, the same at each call."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch_size, 3, *image_size, generator=generator)
    return images.to(device, memory_format=torch.channels_last)


def time_ms(
    model: nn.Module, inputs: Sequence[torch.Tensor], device: torch.device, passes: int = 1
) -> float:
    """Milliseconds a pass, of passes that follow upon each other."""
    # GPU work is queued: without waiting on both sides one would time the queueing alone.
    _wait(device)
    start = time.perf_counter()
    for _ in range(passes):
        model(*inputs)
    _wait(device)
    return 1000 * (time.perf_counter() - start) / passes


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def num_threads(threads: int | None) -> Iterator[None]:
    """Lets torch use so many CPU threads inside an operator; None = as it is set."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def precision_of(device: torch.device) -> str:
    """What `inference` computes in there."""
    return "bfloat16" if device.type == "cuda" else "float32"


def device_name(device: torch.device) -> str:
    """Name of the processor or GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
