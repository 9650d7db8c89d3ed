"""What the runner adds to a trial: trivial trials through Ray, less the time they train.

A trivial trial trains the smallest architecture for one step on one drawn scene. Run as
`python benchmarks/runner_overhead.py [--trials 20] [--workers 2]`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from hrvit_nas.data import AugmentConfig, DataConfig
from hrvit_nas.execution import Resources
from hrvit_nas.execution.ray_runtime import ray_session
from hrvit_nas.execution.scratch import scratch_folder
from hrvit_nas.search.config import SearchConfig
from hrvit_nas.search.config_parts import Narrowing
from hrvit_nas.search.profiles import load_profile
from hrvit_nas.search.run import continue_run, create_run
from hrvit_nas.training import Recipe

SIZE = (32, 32)


class Clock:
    """Notes when trials start and end."""

    def __init__(self) -> None:
        self.first_end: float | None = None
        self.last_end = 0.0

    def supernet(self, step: object) -> None:
        """There is none."""

    def started(self, trial: object) -> None:
        """A trial was handed out."""

    def ended(self, record: object, summary: object) -> None:  # noqa: ARG002
        """A trial ended."""
        self.last_end = time.perf_counter()
        if self.first_end is None:
            self.first_end = self.last_end


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    narrowing = load_profile("laptop").narrowing
    smallest = {name: choices[:1] for name, choices in narrowing.choices.items()}
    free = {name: narrowing.choices[name] for name in ("blocks_3_3", "blocks_5_3", "blocks_6_3")}
    config = SearchConfig(
        space="heterogeneous_branches",
        narrowing=Narrowing(choices={**smallest, **free}, base=narrowing.base),
        data=DataConfig(num_train=2, num_val=1, image_size=SIZE),
        recipe=Recipe(steps=1, warmup_steps=0, batch_size=2, augment=AugmentConfig(crop_size=SIZE)),
        trials=options.trials,
        sampler="random",
        resources=Resources(workers=options.workers),
    )
    with tempfile.TemporaryDirectory() as folder:
        run = create_run(config, Path(folder) / "run")
        clock = Clock()
        begun = time.perf_counter()
        with scratch_folder() as scratch, ray_session(config.resources, scratch):
            ready = time.perf_counter()
            continue_run(run, clock)
            ended = time.perf_counter()
        records = run.store.records()
        run.close()
    assert clock.first_end is not None
    training = sum(record.seconds for record in records) / options.workers
    total = ended - ready
    print(f"{len(records)} trivial trials (references included), {options.workers} workers")
    print(f"Ray start                          {ready - begun:6.2f} s")
    print(f"all trials, Ray running            {total:6.2f} s")
    print(f"  until the first ended (imports)  {clock.first_end - ready:6.2f} s")
    print(f"  training in them, per worker     {training:6.2f} s")
    rest = clock.last_end - clock.first_end
    print(f"a trial after the first            {rest / max(1, len(records) - 1):6.3f} s")


if __name__ == "__main__":
    main()
