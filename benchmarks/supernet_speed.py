"""What a supernet costs beside subnets built alone, as ratios within one run.

Prints for the `laptop` profile: assembling a subnet; switching between subnets; scoring a subnet
with BN recalibration beside its proxy training; memory of the process over many scored subnets; and
for a whole space (`--full joint`): speed, peak memory and parameters of its largest subnet in the
supernet and alone. Run as
`python benchmarks/supernet_speed.py [--subnets 12] [--scored 500] [--full joint]`; one thread. Peak
memory is that of child processes, one for each measurement.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import torch

from hrvit_nas import build_segmentor, build_supernet, load_space
from hrvit_nas.arch import ArchSpec
from hrvit_nas.cost import estimate_cost
from hrvit_nas.data import DataConfig, load_data
from hrvit_nas.search.config import SupernetSearchConfig
from hrvit_nas.search.profiles import load_profile, load_recipe
from hrvit_nas.space.by_cost import extreme_arch
from hrvit_nas.training import SubnetScorer, train

SIZE = (64, 96)
FULL_SIZE, FULL_BATCH = (256, 256), 2


def median_ms(work: Callable[[], object], repeats: int) -> float:
    """Median time of a call."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def laptop(subnets: int) -> None:
    """Assembling, switching and scoring, with the laptop profile on drawn scenes."""
    plan, profile = load_recipe("laptop"), load_profile("laptop")
    config = SupernetSearchConfig(
        space="heterogeneous_branches",
        narrowing=profile.narrowing,
        data=DataConfig(num_train=400, num_val=60, image_size=SIZE),
        recipe=plan.recipe,
        supernet=plan.supernet,
        trials=1,
    )
    data = load_data(config.data)
    space = config.load_space()
    supernet = build_supernet(space, data.num_classes)
    rng = Random(0)
    specs = [space.sample(rng) for _ in range(subnets)]
    for spec in specs:  # as in a search after its first subnets
        supernet.subnet(spec)

    supernet.eval()
    images = torch.randn(1, 3, *SIZE)
    with torch.inference_mode():
        assembling = median_ms(lambda: [supernet.subnet(s) for s in specs], 9) / subnets
        supernet(images, specs[0])
        same = median_ms(lambda: [supernet(images, s) for s in specs for _ in (0, 1)], 9)
        other = median_ms(lambda: [supernet(images, s) for _ in (0, 1) for s in specs], 9)
    print(f"assembling a subnet             {assembling:7.2f} ms (aim 5)")
    print(f"switching subnets               {(other - same) / subnets:7.2f} ms (aim 5)")

    scorer = SubnetScorer(supernet, data, config.recipe, config.supernet, torch.device("cpu"))
    ratios = []
    for spec in specs[:3]:
        begun = time.perf_counter()
        scorer.score(spec)
        scoring = time.perf_counter() - begun
        model = build_segmentor(spec, data.num_classes)
        begun = time.perf_counter()
        train(model, data, config.recipe, seed=0)
        training = time.perf_counter() - begun
        ratios.append(training / scoring)
        print(f"scoring with BN recalibration   {scoring:7.2f} s, proxy training {training:.1f} s")
    print(f"proxy training over scoring     {statistics.median(ratios):7.1f} (aim 20)")


def memory(scored: int) -> None:
    """Resident memory after the first fifth of the subnets scored, and after all of them."""
    profile = load_profile("laptop")
    plan = load_recipe("laptop")
    config = SupernetSearchConfig(
        space="heterogeneous_branches",
        narrowing=profile.narrowing,
        data=DataConfig(num_train=16, num_val=8, image_size=SIZE),
        recipe=plan.recipe,
        supernet=plan.supernet.model_copy(update={"recalibration_batches": 1}),
        trials=1,
    )
    data = load_data(config.data)
    space = config.load_space()
    supernet = build_supernet(space, data.num_classes)
    scorer = SubnetScorer(supernet, data, config.recipe, config.supernet, torch.device("cpu"))
    rng = Random(0)
    resident = {}
    for count in range(1, scored + 1):
        scorer.score(space.sample(rng))
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        resident[count] = pages * resource.getpagesize() / 2**20
    first = scored // 5
    print(
        f"resident memory                 {resident[first]:7.0f} MiB after {first} scored subnets,"
        f" {resident[scored]:.0f} after {scored}"
    )


def step_of(space_name: str, within: str) -> None:
    """Prints seconds a training step and peak memory of the largest subnet, as JSON."""
    space = load_space(space_name)

    def macs(spec: ArchSpec) -> float:
        return float(estimate_cost(spec, FULL_SIZE).macs)

    largest = extreme_arch(space, macs, Random(0), largest=True)
    call: Callable[[torch.Tensor], torch.Tensor]
    if within == "supernet":
        supernet = build_supernet(space, 19)
        parameters = list(supernet.parameters())
        call = lambda images: supernet(images, largest)  # noqa: E731
    else:
        model = build_segmentor(largest, 19)
        parameters = list(model.parameters())
        call = model
    images = torch.randn(FULL_BATCH, 3, *FULL_SIZE)

    def step() -> None:
        for parameter in parameters:
            parameter.grad = None
        call(images).mean().backward()

    step()
    seconds = median_ms(step, 5) / 1000
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    count = sum(parameter.numel() for parameter in parameters)
    print(json.dumps({"seconds": seconds, "bytes": peak, "parameters": count}))


def full(space: str) -> None:
    """The largest subnet of a space in the supernet and alone."""
    found = {}
    for within in ("alone", "supernet"):
        command = [sys.executable, __file__, "--step-of", space, "--within", within]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[within] = json.loads(output.splitlines()[-1])
    alone, shared = found["alone"], found["supernet"]
    height, width = FULL_SIZE
    print(f"largest subnet of {space}, training step, {FULL_BATCH} images of {height}x{width}")
    for name, unit, scale in (
        ("seconds", "s", 1.0),
        ("bytes", "GiB at the peak", 2.0**-30),
        ("parameters", "M parameters", 1e-6),
    ):
        ratio = shared[name] / alone[name]
        print(
            f"  {shared[name] * scale:8.2f} {unit} in the supernet, {alone[name] * scale:.2f}"
            f" alone: {ratio:.2f} times (aim 1.15)"
        )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subnets", type=int, default=12)
    parser.add_argument("--scored", type=int, default=500)
    parser.add_argument("--full", default="joint", help="space whose largest subnet is measured")
    parser.add_argument("--step-of", help=argparse.SUPPRESS)
    parser.add_argument("--within", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.step_of:
        step_of(options.step_of, options.within)
        return
    laptop(options.subnets)
    memory(options.scored)
    full(options.full)


if __name__ == "__main__":
    main()
