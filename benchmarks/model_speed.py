"""Speed of forward pass and training step, as a share of the machine's own matrix rate.

The rate is that of a 2048 x 2048 float32 matrix product, measured in the same process between the
timings. Work is counted twice: as the published form's multiply-adds (what the literature quotes)
and as those that our model executes; a training step counts three times a forward pass. Run as
`python benchmarks/model_speed.py [--arch hrvit_b1] [--threads 2] [--repeats 15]`.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from hrvit_nas import build_segmentor, estimate_cost, get_arch
from hrvit_nas.training import Recipe, build_optimizer, segmentation_loss

SIDE = 2048
CASES = ((512, 1), (128, 1), (128, 8))
"""Image side in pixels, and images a step."""


def cpu_model() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def timed(work: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Median and least seconds of `work`, and the matrix rate (MACs/s) between its runs."""
    left, right = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    torch.mm(left, right)
    work()
    seconds, products = [], []
    for _ in range(repeats):
        begun = time.perf_counter()
        torch.mm(left, right)
        between = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - between)
        products.append(between - begun)
    return statistics.median(seconds), min(seconds), SIDE**3 / statistics.median(products)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", default="hrvit_b1")
    parser.add_argument("--num-classes", type=int, default=19)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    spec = get_arch(options.arch)
    model = build_segmentor(spec, options.num_classes)
    optimizer = build_optimizer(model, Recipe())
    print(
        f"{options.arch}, {options.num_classes} classes, torch {torch.__version__}, {cpu_model()},"
    )
    print(f"{options.threads} threads, {options.repeats} repeats, float32")
    header = ("pass", "image", "batch", "median s", "least s", "GMAC/s", "published", "executed")
    print("".join(f"{name:>10}" for name in header))
    for side, batch in CASES:
        cost = estimate_cost(spec, (side, side), num_classes=options.num_classes)
        images = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
        labels = torch.randint(0, options.num_classes, (batch, side, side))

        def forward(images: torch.Tensor = images) -> None:
            with torch.inference_mode():
                model(images)

        def step(images: torch.Tensor = images, labels: torch.Tensor = labels) -> None:
            optimizer.zero_grad(set_to_none=True)
            segmentation_loss(model(images), labels, 255).backward()
            optimizer.step()

        for name, work, times in (("forward", forward, 1), ("training", step, 3)):
            model.train(name == "training")
            median, least, rate = timed(work, options.repeats)
            shares = (
                times * batch * macs / median / rate for macs in (cost.published_macs, cost.macs)
            )
            numbers = (
                f"{median:.3f}",
                f"{least:.3f}",
                f"{rate / 1e9:.1f}",
                *map("{:.0%}".format, shares),
            )
            print("".join(f"{text:>10}" for text in (name, f"{side}x{side}", batch, *numbers)))


if __name__ == "__main__":
    main()
