"""How long a report of many trials takes, and how much memory.

python benchmarks/report_speed.py [--trials 100000] [--keep FOLDER]

Makes a store of distinct architectures of the laptop's space with made-up scores, which takes a
minute, then times `hrvit-report` as a whole process: with nothing in the store but its first 20
trials, and with all of it. Frontier and hypervolume of the same points are timed in this process,
and compared with Optuna's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from optuna._hypervolume import compute_hypervolume

from hrvit_nas.cost import estimate_cost
from hrvit_nas.results import (
    Trial,
    TrialRecord,
    TrialResult,
    hypervolume,
    hypervolume_curve,
    pareto_front,
)
from hrvit_nas.results.store import journal_line
from hrvit_nas.search.config import SearchConfig
from hrvit_nas.search.profiles import load_profile, load_recipe

FEW = 20
NUM_CLASSES = 11
NOISE = 0.02


def main() -> None:
    """Runs the benchmark and prints a table in Markdown."""
    parser = argparse.ArgumentParser(description="Time hrvit-report.")
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument(
        "--keep", type=Path, help="folder for the stores, used again if it has them"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        few, many = folder / "few", folder / f"many-{options.trials}"
        for run, count in ((few, FEW), (many, options.trials)):
            if not (run / "config.json").exists():
                make_run(run, count)
        rows = [(run, *time_report(run)) for run in (few, many)]
        print("| trials | journal MB | hrvit-report, s | peak memory, MB | page, MB |")
        print("|---:|---:|---:|---:|---:|")
        for run, seconds, megabytes in rows:
            journal = run / "trials.jsonl"
            with journal.open() as file:
                count = sum(1 for _ in file)
            sizes = [path.stat().st_size / 1e6 for path in (journal, run / "report.html")]
            print(
                f"| {count:,} | {sizes[0]:.0f} | {seconds:.1f} | {megabytes:.0f} | {sizes[1]:.1f} |"
            )
        print(f"\nlarge less small: {rows[1][1] - rows[0][1]:.1f} s\n")
        time_frontier(options.trials)


def make_run(run: Path, count: int) -> None:
    """Writes a run directory as a search would have left it."""
    profile, plan = load_profile("laptop"), load_recipe("laptop")
    noise = {
        "run": "made up",
        "steps": plan.recipe.steps,
        "num_architectures": 24,
        "num_seeds": 2,
        "macs": (10**7, 10**8),
        "noise": NOISE,
        "seed_tau": "made up",
        "residual_tau": "made up",
    }
    config = SearchConfig(
        space="heterogeneous_branches",
        narrowing=profile.narrowing,
        data={**profile.data.model_dump(exclude_none=True), "image_size": plan.image_size},
        recipe=plan.recipe,
        trials=count,
        proxy_noise=noise,
    )
    config = config.with_num_classes(NUM_CLASSES)
    space, rng, noise = config.load_space(), random.Random(0), np.random.default_rng(0)
    run.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    with (run / "trials.jsonl").open("wb") as file:
        for number in itertools.count():
            if len(seen) == count:
                break
            spec = space.sample(rng)
            if spec.id in seen:
                continue
            seen.add(spec.id)
            cost = estimate_cost(spec, config.image_size, num_classes=NUM_CLASSES)
            score = 0.2 + 0.05 * np.log(cost.macs / 1e7) + NOISE * noise.standard_normal()
            miou = float(np.clip(score, 0, 1))
            steps = plan.recipe.steps
            trial = Trial(number=number, arch=spec, purpose="search", budget=steps, seed=0)
            result = TrialResult(
                state="complete",
                miou=miou,
                seconds=5.0,
                steps=steps,
                history=[(step, miou * step / 5) for step in range(1, 6)],
            )
            record = TrialRecord.of(trial, result, cost)
            file.write(journal_line(record))
    content = {"config": config.model_dump(mode="json"), "space": space.to_dict()}
    (run / "config.json").write_text(json.dumps(content))


def time_report(run: Path) -> tuple[float, float]:
    """Seconds and peak megabytes of one `hrvit-report`."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "hrvit_nas.cli.report", str(run)])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"hrvit-report ended with status {status}")
    return time.perf_counter() - start, usage.ru_maxrss * 1024 / 1e6


def time_frontier(count: int) -> None:
    """Times frontier and hypervolume, and compares the areas with Optuna's."""
    rng = np.random.default_rng(0)
    cost = rng.uniform(1, 2, count)
    score = 0.2 + 0.1 * np.log(cost) + 0.02 * rng.standard_normal(count)
    points = np.stack([score, cost], axis=1)
    seconds = {}
    for name, function in (
        ("frontier", lambda: pareto_front(points)),
        ("hypervolume", lambda: hypervolume(points, (0.0, 2.0))),
        ("hypervolume after each trial", lambda: hypervolume_curve(points, (0.0, 2.0))),
        (
            "Optuna's hypervolume",
            lambda: compute_hypervolume(points * (-1, 1), np.array([0.0, 2.0])),
        ),
    ):
        start = time.perf_counter()
        area = function()
        seconds[name] = time.perf_counter() - start, area
    for name, (spent, found) in seconds.items():
        last = "" if name == "frontier" else f", area {float(np.ravel(found)[-1]):.9f}"
        print(f"- {name} of {count:,} points: {spent:.3f} s{last}")


if __name__ == "__main__":
    main()
