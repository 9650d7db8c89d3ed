"""How long training waits for data, how soon it starts, and what memory its processes take.

    python benchmarks/data_wait.py --output runs/streets              # a drawn tree of streets
    python benchmarks/data_wait.py --data camvid --data-root DIR      # photographs, cached

Without `--data`, a tree in the layout of Cityscapes is drawn once into `--output`: scenes enlarged
to 1024x2048 with the noise of a camera, as PNG files of about 2 MB, a sixth of them for validation.
It is trained on in crops of 512x512 of images at full size, which the cache of decoded images does
not hold (of 600, 4 GB), so that every access decodes a file. Prints the seconds until a run on it
can start; then, by processes that prepare batches, the seconds of a training step, the share of
them spent waiting for a batch, and the memory of a training with its processes, pages that are
shared counted by share (PSS), the highest of twice a second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hrvit_nas.data import DataConfig, check_data, draw_scene, load_data
from hrvit_nas.data.layouts.cityscapes import SCORED

SIZE, DRAWN = (1024, 2048), (128, 256)
SCENES = 24
"""Scenes that are drawn; images differ beyond them by their noise."""
SKIPPED = 2
"""First steps, which are not counted."""
CAMVID = {"size": (96, 128), "crop": (96, 128), "batch": 8}
STREETS = {"size": SIZE, "crop": (512, 512), "batch": 2}


def draw_streets(root: Path, count: int) -> None:
    """Draws a tree, unless it is there."""
    missing = [number for number in range(count) if not _paths(root, number, count)[1].exists()]
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(_draw, [(root, number, count) for number in missing], chunksize=4):
            pass


def _paths(root: Path, number: int, count: int) -> tuple[Path, Path]:
    split = "val" if number < count // 6 else "train"
    image = root / f"leftImg8bit/{split}/ulm/ulm_{number:06}_leftImg8bit.png"
    return image, root / f"gtFine/{split}/ulm/ulm_{number:06}_gtFine_labelIds.png"


def _draw(job: tuple[Path, int, int]) -> None:
    root, number, count = job
    image, labels = draw_scene(0, number % SCENES, DRAWN)
    rng = np.random.default_rng(number)
    to = SIZE[::-1]
    large = np.asarray(Image.fromarray(image).resize(to, Image.Resampling.BICUBIC), np.float32)
    noise = rng.normal(0, 3, large.shape).astype(np.float32)
    ids = np.array(list(SCORED), np.uint8)[np.minimum(labels, len(SCORED) - 1)]
    image_path, mask_path = _paths(root, number, count)
    for path in (image_path, mask_path):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(large + noise, 0, 255).astype(np.uint8)).save(
        image_path, compress_level=1
    )
    mask = Image.fromarray(ids).resize(to, Image.Resampling.NEAREST)
    mask.save(mask_path)


def train_here(told: dict[str, Any]) -> None:
    """Trains in this process, and prints the seconds of a step and the share spent waiting."""
    import torch

    from hrvit_nas import build_segmentor, get_arch
    from hrvit_nas.arch import scale_widths
    from hrvit_nas.training import Recipe, plain, train

    torch.set_num_threads(1)
    waited: list[float] = []
    had: list[float] = []
    original = plain.train_batches

    def timed(*arguments: Any, **options: Any) -> Iterator[Any]:
        batches = original(*arguments, **options)
        while True:
            begun = time.perf_counter()
            if (batch := next(batches, None)) is None:
                return
            had.append(time.perf_counter())
            waited.append(had[-1] - begun)
            if len(had) == told["recipe"]["steps"]:
                raise _EnoughError
            yield batch

    plain.train_batches = timed
    data = load_data(DataConfig.model_validate(told["data"]), Path(told["cache"]))
    torch.manual_seed(0)
    model = build_segmentor(scale_widths(get_arch("hrvit_b1"), told["factor"]), data.num_classes)
    with suppress(_EnoughError):
        train(model, data, Recipe.model_validate(told["recipe"]), seed=0)
    seconds = had[-1] - had[SKIPPED]
    steps = len(had) - 1 - SKIPPED
    waiting = sum(waited[SKIPPED + 1 :]) / seconds
    print(json.dumps({"step": seconds / steps, "waiting": waiting, "first": waited[0]}))


class _EnoughError(Exception):
    """All steps that count were made; what follows them, as validation, is no part of one."""


def memory_mib(pid: int) -> float:
    """PSS of a process and those it started."""
    with suppress(OSError, StopIteration):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        kib = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return kib / 1024 + sum(memory_mib(int(child)) for child in children)
    return 0.0


def trained(told: dict[str, Any], at_once: int) -> list[dict[str, Any]]:
    """What so many trainings at once print, and the most memory that each takes."""
    command = [sys.executable, __file__, "--train", json.dumps(told)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(at_once)
    ]
    most = [0.0] * at_once
    while any(process.poll() is None for process in running):
        most = [max(had, memory_mib(p.pid)) for had, p in zip(most, running, strict=True)]
        time.sleep(0.5)
    found = []
    for process, mib in zip(running, most, strict=True):
        assert process.stdout is not None
        assert process.returncode == 0
        found.append({**json.loads(process.stdout.read().splitlines()[-1]), "mib": mib})
    return found


def main() -> None:
    """Prints seconds to start, then the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/streets"))
    parser.add_argument("--images", type=int, default=600, help="drawn")
    parser.add_argument("--data", choices=["camvid", "cityscapes"], help="default: a drawn tree")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--factor", type=float, default=0.5, help="of the widths of hrvit_b1")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--at-once", type=int, default=2, help="trainings")
    parser.add_argument("--num-workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--train", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train_here(json.loads(options.train))
        return
    root, kind = options.data_root, CAMVID if options.data == "camvid" else STREETS
    if options.data is None:
        root = options.output / "tree"
        draw_streets(root, options.images)
    data = DataConfig(name=options.data or "cityscapes", root=root, image_size=kind["size"])
    cache = options.output / "cache"
    for what, call in {"reading all masks": check_data, "loading": load_data}.items():
        for time_of in ("the first time", "again"):
            begun = time.perf_counter()
            call(data, cache)
            print(f"{what}, {time_of}: {time.perf_counter() - begun:.1f} s", flush=True)
    for workers in options.num_workers:
        recipe = {
            "steps": options.steps + 1,
            "warmup_steps": 0,
            "batch_size": kind["batch"],
            "augment": {"crop_size": kind["crop"]},
            "num_workers": workers,
        }
        told = {
            "data": data.model_dump(mode="json"),
            "cache": str(cache),
            "recipe": recipe,
            "factor": options.factor,
        }
        for row in trained(told, options.at_once):
            print(
                f"num_workers {workers}: {row['step']:.2f} s a step, {row['waiting']:.1%} of it"
                f" waiting (the first batch {row['first']:.1f} s), {row['mib']:.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
