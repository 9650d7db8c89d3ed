"""Trials on a cluster that end when the test lets them; a driver of its own, for Ray is global.

Usage: gated.py ADDRESS FOLDER TRIALS. A trial leaves `started-SEED-NODE-TIME` in the folder and
waits for `end-SEED`; what came of the trials is printed as JSON.
"""

import json
import sys
import time
from pathlib import Path

import ray
from ray import cloudpickle

from hrvit_nas.arch import get_hrvit
from hrvit_nas.execution import Resources, make_executor
from hrvit_nas.results import Trial, TrialResult

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
ARCH = get_hrvit("hrvit_b1")


class Gated:
    """Scores a trial once it may end."""

    def __init__(self, shared):
        self.folder = Path(shared["folder"])

    def run(self, trial):
        node = ray.get_runtime_context().get_node_id()[:8]
        (self.folder / f"started-{trial.seed}-{node}-{time.time_ns()}").touch()
        # What is true of machines that share no more than the run directory.
        for marker in (self.folder / "of_driver").rglob(".validate_storage_marker"):
            marker.unlink()
        while not (self.folder / f"end-{trial.seed}").exists():
            time.sleep(0.05)
        return TrialResult(state="complete", miou=0.5, seconds=1.0, steps=1, history=())


class Source:
    """So many trials, each with the seed of its number."""

    def __init__(self, count):
        self.seeds = list(range(count))
        self.running = 0
        self.ended = []

    @property
    def finished(self):
        return not self.seeds and not self.running

    def next(self):
        if not self.seeds:
            return None
        self.running += 1
        seed = self.seeds.pop(0)
        return Trial(
            number=seed,
            arch=ARCH,
            seed=seed,
            purpose="search",
            evaluator="trained",
            budget=1,
            label="",
        )

    def end(self, trial, result):
        self.running -= 1
        self.ended.append((trial.seed, result.state, result.error, result.worker.split("/")[-1]))


if __name__ == "__main__":
    address, folder, count = sys.argv[1:]
    source = Source(int(count))
    executor = make_executor(Resources(address=address))
    with executor.session():
        executor.run_trials(source, Gated, {"folder": folder}, lambda trial: None, source.end)
    print(json.dumps(source.ended))
