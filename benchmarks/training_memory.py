"""Memory of a training with and without gradient checkpointing and accumulation.

    python benchmarks/training_memory.py
    python benchmarks/training_memory.py --arch hrvit_b2 --size 512 --batch-size 8 --device cuda

Each row is a training of three steps on drawn images, scored once, in a process of its own with one
thread. Memory is the most that the process had resident, over what it had before the network was
made; on a GPU, what torch had allocated there. Losses say that the result is the same.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hrvit_nas.arch import get_hrvit
from hrvit_nas.data import AugmentConfig, DataConfig, load_data
from hrvit_nas.models import build_segmentor
from hrvit_nas.training import Recipe, train

STEPS = 3
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gradient_checkpointing": {"gradient_checkpointing": True},
    "accumulation_steps: 2": {"accumulation_steps": 2},
    "both": {"gradient_checkpointing": True, "accumulation_steps": 2},
}


@dataclass(frozen=True)
class Options:
    """What is trained.

    Attributes:
        arch: A preset.
        size: Sides of a crop, in pixels.
        batch_size: Crops a step.
        device: `cpu` or `cuda`.
    """

    arch: str
    size: int
    batch_size: int
    device: str


def measured(options: Options, variant: str) -> dict[str, Any]:
    """MiB, seconds a step and the last loss of one training."""
    import torch

    torch.set_num_threads(1)
    size = (options.size, options.size)
    data = load_data(DataConfig(num_train=options.batch_size, num_val=1, image_size=size))
    recipe = Recipe(
        steps=STEPS,
        warmup_steps=0,
        batch_size=options.batch_size,
        eval_batch_size=1,
        augment=AugmentConfig(crop_size=size),
        **VARIANTS[variant],
    )
    before = _resident()
    torch.manual_seed(0)
    model = build_segmentor(get_hrvit(options.arch), data.num_classes)
    result = train(model, data, recipe, seed=0, device=options.device)
    if options.device == "cuda":
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    return {"mib": peak / 2**20, "s": result.seconds / STEPS, "loss": result.losses[-1]}


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", default="hrvit_b1")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--variant", choices=tuple(VARIANTS), help=argparse.SUPPRESS)
    given = vars(parser.parse_args())
    variant = given.pop("variant")
    options = Options(**given)
    if variant is not None:
        print(json.dumps(measured(options, variant)))
        return
    arguments = [
        word
        for name, value in asdict(options).items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    print(f"{options.arch}, {options.batch_size} crops of {options.size}x{options.size}")
    print("| training | MiB | of plain | s a step | of plain | last loss |")
    print("|---|---|---|---|---|---|")
    plain: dict[str, float] = {}
    for name in VARIANTS:
        command = [sys.executable, __file__, *arguments, "--variant", name]
        done = subprocess.run(
            command,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        plain = plain or found
        print(
            f"| {name} | {found['mib']:,.0f} | {found['mib'] / plain['mib']:.2f} | {found['s']:.2f}"
            f" | {found['s'] / plain['s']:.2f} | {found['loss']:.6f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
