"""Kills runs of every kind at random moments, goes on with them, and compares what came of it.

Run as `python benchmarks/kill.py --output runs/kill [--kills 30] [--terms 20] [--only KIND]`. Each
kind of run is done undisturbed once. Then one after the other is started, hit at a moment drawn
evenly from what it took, by SIGKILL (of the driver, or of one of its workers) or SIGTERM, and gone
on with by `--resume` until it is done. Its trials are held against those of the undisturbed run:
to the byte, times and machines aside, where they hang on the seed alone. What has been done lies in
the output folder, and is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from hrvit_nas.results import TrialStore
from hrvit_nas.results.store import TABLE_NAME
from hrvit_nas.search.halving import Rungs
from hrvit_nas.search.profiles import load_profile
from hrvit_nas.search.selection import objective_values
from hrvit_nas.search.stored import read_config

PATIENCE_S = 600
GONE_S = 30
"""Seconds in which what a program started must be gone."""
MARK = "HRVIT_KILLED"
WORKERS = (b"ray::ResourceTrainable", b"ray::TrialActor", b"ray::RayTrainWorker")
"""What Ray calls the processes that run trials, and those that train a supernet."""
SIZE = [32, 32]
RECIPE = {
    "description": "A second of training.",
    "image_size": SIZE,
    "recipe": {
        "steps": 12,
        "warmup_steps": 0,
        "batch_size": 4,
        "evaluations": 3,
        "augment": {"crop_size": SIZE},
    },
    "supernet": {"steps": 20, "recalibration_batches": 1},
}
NONE = ("--data", "none", "--objective-noise", "0.01", "--objective-delay", "0.3")


@dataclass(frozen=True)
class Run:
    """A kind of run.

    Attributes:
        command: Module that runs it, and its arguments.
        exact: Whether its trials hang on the seed alone; otherwise their number is compared.
    """

    command: tuple[str, ...]
    exact: bool = True


def kinds(profile: Path) -> dict[str, Run]:
    """The kinds of run, by name; those that train do so by a profile of tiny networks."""
    search = ("hrvit_nas.cli.search", "--workers", "2")
    tiny = ("--profile", str(profile), "--data", "scenes")
    return {
        "search": Run((*search, *NONE, "--deterministic", "--trials", "12", "--confirm", "2")),
        "mo_asha": Run(
            (*search, *NONE, "--scheduler", "mo_asha", "--trials", "18", "--references", ""),
            exact=False,
        ),
        "calibration": Run((*search, *NONE, "--calibrate-proxy", "8")),
        "ablation": Run(
            ("hrvit_nas.cli.ablate", "strip_width", *NONE, "--workers", "2", "--seeds", "3")
        ),
        "trained": Run((*search, *tiny, "--deterministic", "--trials", "4", "--confirm", "1")),
        "supernet": Run(
            (*search, *tiny, "--strategy", "supernet", "--trials", "8", "--retrain", "2"),
            exact=False,
        ),
    }


def tiny_profile(folder: Path) -> Path:
    """A profile of the smallest networks, which train within a second."""
    narrowing = load_profile("laptop").narrowing.model_dump(mode="json", exclude_unset=True)
    free = ("blocks_3_3", "blocks_5_3", "blocks_6_3", "width_3", "width_4")
    narrowing["choices"] = {
        name: choices if name in free else choices[:1]
        for name, choices in narrowing["choices"].items()
    }
    del narrowing["limits"]
    recipe, path = folder / "recipe.yaml", folder / "profile.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    content = {
        "description": "Seconds.",
        "trials": 4,
        "inherited": 8,
        "data": {"name": "scenes", "num_train": 16, "num_val": 4},
        "recipes": {"scenes": str(recipe)},
        "narrowing": narrowing,
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


class Process:
    """A run under way, with a folder of its own for temporary files.

    Args:
        arguments: Module and arguments.
        temporary: The folder.
        log: Where its output goes.
    """

    def __init__(self, arguments: tuple[str, ...], temporary: Path, log: Path) -> None:
        self._temporary = temporary
        self._mark = f"{MARK}={os.getpid()}.{time.monotonic_ns()}"
        name, _, value = self._mark.partition("=")
        with log.open("a", encoding="utf-8") as file:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdout=file,
                stderr=file,
                start_new_session=True,
                env={
                    **os.environ,
                    name: value,
                    "TMPDIR": str(temporary),
                    "OMP_NUM_THREADS": "1",
                    "COLUMNS": "100",
                },
            )

    def others(self) -> list[int]:
        """Processes that it started and that still run, its own aside: they inherited its mark, or,
        where they have written over that, have a file of its temporary folder open.
        """
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal() and int(folder.name) not in (self.popen.pid, os.getpid()):
                with suppress(OSError):  # it has ended
                    inherited = (folder / "environ").read_bytes().split(b"\0")
                    mine = self._mark.encode() in inherited or self._has_open(folder / "fd")
                    if mine and (folder / "cmdline").read_bytes():
                        found.append(int(folder.name))
        return found

    def _has_open(self, descriptors: Path) -> bool:
        for descriptor in descriptors.iterdir():
            with suppress(OSError):
                if os.readlink(descriptor).startswith(f"{self._temporary}/"):
                    return True
        return False

    def workers(self) -> list[int]:
        """Those of them that run trials."""
        return [pid for pid in self.others() if _command(pid).startswith(WORKERS)]

    def left(self) -> list[str]:
        """Commands of those of them that have not ended in a while."""
        deadline = time.monotonic() + GONE_S
        while self.others() and time.monotonic() < deadline:
            time.sleep(0.2)
        return [
            _command(pid).replace(b"\0", b" ").decode("utf-8", "replace") for pid in self.others()
        ]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def finish(run: Run, directory: Path, temporary: Path, log: Path) -> list[str]:
    """Does what is left of a run.

    Returns:
        What is left over of it.

    Raises:
        RuntimeError: It fails.
    """
    begun = (directory / "config.json").exists()
    arguments = (
        (run.command[0], "--resume", str(directory))
        if begun
        else (*run.command, "--output", str(directory))
    )
    process = Process(arguments, temporary, log)
    if status := process.popen.wait(PATIENCE_S):
        raise RuntimeError(f"{' '.join(arguments)} ended with status {status}; see {log}")
    return process.left() + left_in(temporary)


def trials_of(directory: Path, *, exact: bool, retried: bool = False) -> list[Any]:
    """What a run's trials are, comparable with those of another.

    Args:
        directory: Of the run.
        exact: Whether all is compared but times and machines, and else how many of what there are.
        retried: Whether a trial was tried again, since its worker was killed.
    """
    with TrialStore(directory) as store:
        records = sorted(store.records(), key=lambda record: record.number)
    table = pd.read_parquet(directory / TABLE_NAME)
    assert list(table["arch_id"]) == [record.arch_id for record in records], "the table is old"
    if retried:
        assert sum(record.attempts for record in records) <= len(records) + 1
    if exact:
        apart = {"seconds", "finished_at", "worker", *(["attempts"] if retried else [])}
        rows = [json.loads(record.model_dump_json(exclude=apart)) for record in records]
        for row in rows:
            row["history"] = [point[:-1] for point in row["history"]]
            row.setdefault("attempts", 1)
        return rows
    # Which architectures they are of, and so how many there are beside, hangs on what ended first.
    first = min((r.budget for r in records if r.purpose == "rung"), default=0)
    proposed = [r for r in records if (r.budget == first if first else r.purpose == "search")]
    return sorted(Counter(f"{r.purpose} {r.evaluator}" for r in proposed).items())


def left_to_promote(directory: Path) -> int:
    """Architectures paused on a rung that ought to have gone on."""
    config: Any = read_config(directory)
    if getattr(config, "scheduler", None) is None:
        return 0
    rungs, left = Rungs(config.scheduler, config.rungs), 0
    with TrialStore(directory) as store:
        for record in store.records():
            if record.purpose in ("rung", "search"):
                values = objective_values(record, config.costs, config.searched_by)
                rungs.end(record.spec, record.budget, values)
    while (found := rungs.next()) is not None:
        rungs.begin(found[0], config.rungs[found[1]])
        left += 1
    return left


@contextmanager
def folder_for_temporary_files() -> Iterator[Path]:
    """A short path, so that Ray's sockets fit."""
    with tempfile.TemporaryDirectory(prefix="k-", dir="/tmp") as name:
        yield Path(name)


def left_in(folder: Path) -> list[str]:
    """Names of what is left, but for torch's own cache, which all programs of a user share."""
    return [p.name for p in folder.iterdir() if not p.name.startswith("torchinductor_")]


def undisturbed(name: str, run: Run, output: Path) -> tuple[list[Any], float]:
    """The trials of a run that nothing happens to, and how many seconds it takes."""
    directory, done = output / name, output / f"{name}.json"
    if not done.exists():
        shutil.rmtree(directory, ignore_errors=True)
        with folder_for_temporary_files() as temporary:
            begun = time.monotonic()
            finish(run, directory, temporary, output / f"{name}.log")
            seconds = time.monotonic() - begun
        done.write_text(json.dumps(seconds), encoding="utf-8")
    return trials_of(directory, exact=run.exact), float(json.loads(done.read_text()))


def hit(
    run: Run, target: str, moment: float, directory: Path, log: Path, rng: random.Random
) -> dict[str, Any]:
    """Starts a run, hits it, and goes on with it until it is done.

    Returns:
        `struck` (what happened to it), `status` of the program, `left` of it.
    """
    with folder_for_temporary_files() as temporary:
        process = Process((*run.command, "--output", str(directory)), temporary, log)
        try:
            status: int | None = process.popen.wait(moment)
            struck = "had ended"
        except subprocess.TimeoutExpired:
            status, struck = None, target
        if status is None:
            workers = process.workers() if target == "worker" else []
            if workers:
                os.kill(rng.choice(workers), signal.SIGKILL)
            else:
                struck = "driver" if target == "worker" else target
                number = signal.SIGTERM if target == "SIGTERM" else signal.SIGKILL
                process.popen.send_signal(number)
            status = process.popen.wait(PATIENCE_S)
        left = process.left() + left_in(temporary)
        if status:
            left += finish(run, directory, temporary, log)
    return {"struck": struck, "status": status, "left": left}


EXPECTED = {"driver": -signal.SIGKILL, "worker": 0, "SIGTERM": 128 + signal.SIGTERM, "had ended": 0}
"""Status of a program by what happened to it."""


def compared(found: list[Any], expected: list[Any], directory: Path) -> dict[str, int]:
    """What is missing of a run's trials, what is on record twice, what failed, and whether they
    differ from those of the undisturbed run.
    """
    with TrialStore(directory) as store:
        records = store.records()
    keys = Counter(record.key for record in records)

    def parts(rows: list[Any]) -> Counter[str]:
        """Trials, each once, or how many there are of each kind."""
        if rows and isinstance(rows[0], dict):
            return Counter(json.dumps(row, sort_keys=True) for row in rows)
        return Counter(dict(rows))

    missing = parts(expected) - parts(found)
    return {
        "lost": missing.total() + left_to_promote(directory),
        "twice": sum(count - 1 for count in keys.values()),
        "failed": sum(record.state == "failed" for record in records),
        "different": int(found != expected),
    }


def main() -> None:
    """Prints a line a hit, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=30, help="SIGKILLs")
    parser.add_argument("--terms", type=int, default=20, help="SIGTERMs")
    parser.add_argument("--only", action="append", help="kinds of run")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    output: Path = options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    every = kinds(tiny_profile(output))
    chosen = {name: every[name] for name in options.only or every}
    rng = random.Random(options.seed)
    plan = []
    for number in range(options.kills + options.terms):
        name = list(chosen)[number % len(chosen)]
        kill = number < options.kills
        target = rng.choice(["driver", "driver", "worker"]) if kill else "SIGTERM"
        plan.append((number, name, target, rng.random()))
    rows = []
    for number, name, target, share in plan:
        expected, seconds = undisturbed(name, chosen[name], output)
        done = output / f"hit-{number}.json"
        if not done.exists():
            directory = output / f"{name}-{number}"
            shutil.rmtree(directory, ignore_errors=True)
            log = output / f"{name}-{number}.log"
            row = hit(chosen[name], target, share * seconds, directory, log, rng)
            retried = row["struck"] == "worker"
            found = trials_of(directory, exact=chosen[name].exact, retried=retried)
            row |= compared(found, expected, directory)
            row |= {"kind": name, "at": round(share * seconds, 1)}
            done.write_text(json.dumps(row), encoding="utf-8")
        row = json.loads(done.read_text(encoding="utf-8"))
        rows.append(row)
        print(
            f"{number:3} {row['kind']:12} {row['struck']:10} after {row['at']:5.1f} s: status"
            f" {row['status']}, lost {row['lost']}, twice {row['twice']}, failed {row['failed']},"
            f" table {'differs' if row['different'] else 'equal'}, left {row['left'] or 'nothing'}",
            flush=True,
        )
    wrong = sum(row["status"] != EXPECTED[row["struck"]] for row in rows)
    hits = Counter(row["struck"] for row in rows)
    print(
        f"{len(rows)} runs ({', '.join(f'{what} {count}' for what, count in hits.items())}):"
        f" trials lost {sum(r['lost'] for r in rows)},"
        f" on record twice {sum(r['twice'] for r in rows)},"
        f" failed {sum(r['failed'] for r in rows)},"
        f" tables different {sum(r['different'] for r in rows)},"
        f" left over {sum(len(r['left']) for r in rows)}, unexpected statuses {wrong}"
    )


if __name__ == "__main__":
    main()
