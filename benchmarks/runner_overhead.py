"""What the runner adds to a trial: trials that train nothing, through Ray, and how it grows.

Trials are of the synthetic objective (`hrvit-search --data none`), so that all there is, is
overhead: of Ray Tune, the sampler, the store, the summary and TensorBoard's files. Run as
`python benchmarks/runner_overhead.py [--trials 500] [--workers 2]`.
Trials that fail (`--failure-rate`) are tried again in a new process, whose imports cost seconds.
`--bare` does without all but Ray Tune: what it takes by itself to run as many trials of nothing.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from pathlib import Path

from hrvit_nas.arch import get_hrvit
from hrvit_nas.data import DataConfig
from hrvit_nas.execution import Resources, make_executor
from hrvit_nas.results import Trial, TrialResult
from hrvit_nas.results.store import TABLE_NAME
from hrvit_nas.search.config import SearchConfig
from hrvit_nas.search.profiles import load_profile, load_recipe
from hrvit_nas.search.run import continue_run, create_run

PARTS = 5
MIB = 2**20


class Clock:
    """Notes when trials end, and prints what each fifth of them took as it ends."""

    def __init__(self, trials: int) -> None:
        self.ends: list[float] = []
        self._edges = [trials * part // PARTS for part in range(1, PARTS + 1)]
        self._since = (0, (0.0, 0.0, 0.0))

    def supernet(self, step: object) -> None:
        """There is none."""

    def started(self, trial: object) -> None:
        """A trial was handed out."""

    def ended(self, record: object, summary: object) -> None:  # noqa: ARG002
        """A trial ended."""
        now = (time.perf_counter(), time.process_time(), starved())
        self.ends.append(now[0])
        count = len(self.ends)
        if count == 1:
            print("up to trial   s a trial   driver computes   waits for a core   driver MiB")
            print(f"{count:11,}{'':48}{resident() / MIB:13.0f}", flush=True)
            self._since = count, now
        elif count in self._edges:
            first, then = self._since
            pace, busy, late = ((b - a) / (count - first) for a, b in zip(then, now, strict=True))
            print(
                f"{count:11,}{pace:12.3f}{busy:18.3f}{late:19.3f}{resident() / MIB:13.0f}",
                flush=True,
            )
            self._since = count, now


class Nothings:
    """So many trials of one architecture, each with a seed of its own."""

    def __init__(self, count: int, clock: Clock) -> None:
        self._left, self._running, self._arch = count, 0, get_hrvit("hrvit_b1")
        self._clock = clock

    @property
    def finished(self) -> bool:
        """Whether all have ended."""
        return not self._left and not self._running

    def next(self) -> Trial | None:
        """The next one."""
        if not self._left:
            return None
        self._left -= 1
        self._running += 1
        return Trial(number=0, arch=self._arch, seed=self._left, purpose="search", budget=1)

    def began(self, trial: Trial) -> None:
        """One was handed out."""

    def end(self, trial: Trial, result: TrialResult) -> None:  # noqa: ARG002
        """One has ended."""
        self._running -= 1
        self._clock.ended(None, None)


class Idle:
    """Scores every trial alike."""

    def __init__(self, shared: object) -> None:
        """Shares nothing."""

    def run(self, trial: Trial) -> TrialResult:  # noqa: ARG002
        """Nothing."""
        return TrialResult(state="complete", miou=0.5, seconds=0, steps=1)


def starved() -> float:
    """Seconds that the main thread of this process was ready, and other work had the cores."""
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, LookupError, ValueError):  # a kernel that does not count them
        return math.nan


def resident() -> int:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def search(options: argparse.Namespace, folder: Path, clock: Clock) -> tuple[float, float]:
    """A search; returns when it and Ray had begun."""
    profile, plan = load_profile("laptop"), load_recipe("laptop")
    config = SearchConfig(
        space="heterogeneous_branches",
        narrowing=profile.narrowing,
        data=DataConfig(
            name="none",
            noise=0.01,
            failure_rate=options.failure_rate,
            image_size=plan.image_size,
        ),
        recipe=plan.recipe,
        trials=options.trials,
        sampler=options.sampler,
        resources=Resources(workers=options.workers),
    )
    run = create_run(config, folder / "run")
    begun = time.perf_counter()
    try:
        with make_executor(config.resources).session():
            ready = time.perf_counter()
            continue_run(run, clock)
    finally:
        run.close()
    return begun, ready


def bare(options: argparse.Namespace, clock: Clock) -> tuple[float, float]:
    """Ray Tune alone; returns when it and Ray had begun."""
    executor = make_executor(Resources(workers=options.workers))
    source = Nothings(options.trials, clock)
    begun = time.perf_counter()
    with executor.session():
        ready = time.perf_counter()
        executor.run_trials(source, Idle, {}, source.began, source.end)
    return begun, ready


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--failure-rate", type=float, default=0.0)
    parser.add_argument("--bare", action="store_true")
    options = parser.parse_args()
    what = "Ray Tune alone" if options.bare else f"sampler {options.sampler}"
    print(f"trials that train nothing, {what}, {options.workers} workers, {os.cpu_count()} cores")
    clock = Clock(options.trials)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun, ready = bare(options, clock) if options.bare else search(options, folder, clock)
        ended = time.perf_counter()
        kept = ("trials.jsonl", "study.db", TABLE_NAME)
        sizes = {name: (folder / "run" / name).stat().st_size for name in kept if not options.bare}
        events = sum(path.stat().st_size for path in folder.glob("run/tensorboard/*/*"))
    ends, count = clock.ends, len(clock.ends)
    print(f"{count} trials, references included; load {os.getloadavg()[1]:.1f} (mean of 5 min)")
    print(f"Ray start                     {ready - begun:9.2f} s")
    print(f"until the first trial ended   {ends[0] - ready:9.2f} s")
    print(f"all trials, until Ray stopped {ended - ready:9.2f} s")
    print(f"a trial after the first       {(ends[-1] - ends[0]) / max(1, count - 1):9.3f} s")
    for file, size in sizes.items():
        print(f"{file:16}{size:12,} bytes, {size / count:8,.0f} a trial")
    if not options.bare:
        print(f"{'tensorboard/':16}{events:12,} bytes, {events / count:8,.0f} a trial")


if __name__ == "__main__":
    main()
