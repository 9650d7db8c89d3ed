"""A supernet's training killed, wholly or in part, or interrupted: it goes on from its checkpoint.

Every sitting's steps are read off a hard link to `supernet.jsonl`, which the run removes.
"""

import csv
import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
import yaml

from hrvit_nas.cli.search import NAME, main
from hrvit_nas.execution import Resources
from hrvit_nas.execution.ray_train import run_group
from hrvit_nas.results import TrialStore
from hrvit_nas.search.layout import RunLayout
from hrvit_nas.search.run import continue_run, create_run, open_run
from hrvit_nas.search.supernet import finish_training, train_part

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE_S = 240
STEPS, SAVED_EVERY = 48, 12  # workers go on for some two seconds when their driver is gone
SUPERNET = {
    "steps": STEPS,
    "random_members": 1,
    "evaluations": STEPS // SAVED_EVERY,
    "calibration_batches": 1,
}


STAGES = {("search", "inherited"), ("search", "trained"), ("reference", "trained")}


class Nobody:
    def started(self, trial): ...

    def ended(self, record, summary): ...

    def supernet(self, step): ...


def all_gone(process, command=b""):
    """Whether what a search started ends too, in the seconds that it needs."""
    deadline = time.monotonic() + 60
    while process.left_over(command) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not process.left_over(command)


def curve(directory):
    with RunLayout(directory).supernet_curve.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def undisturbed(make_config, ray_runtime, tmp_path_factory):
    """The loss curve of the same training in one go."""
    config = make_config("supernet_search", supernet=SUPERNET)
    run = create_run(config, tmp_path_factory.mktemp("undisturbed") / "run")
    config = run.config  # which knows the classes, by which members are costed
    plan = config.supernet_plan(config.seed)
    shared = {
        "directory": str(run.directory),
        "plan": plan.model_dump(mode="json"),
        "threads": 1,
        "device": "cpu",
        "checkpoint_seconds": 1e9,
    }
    run_group(train_part, shared, Resources(), 2, lambda: None)
    finish_training(run.layout, plan, run.data.num_classes)
    run.close()
    return curve(run.directory)


@pytest.fixture
def arguments(profile, tmp_path):
    recipe = yaml.safe_load((profile.parent / "recipe.yaml").read_text())
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "supernet": SUPERNET}))
    return (
        *("--profile", profile, "--recipe", "recipe.yaml", "--strategy", "supernet"),
        *("--sampler", "random", "--trials", 2, "--retrain", 1, "--output", "run"),
        *("--executor", "ray_tune", "--workers", 2),
    )


@pytest.fixture
def start(start_search, arguments):
    return lambda: start_search(*arguments)


@pytest.fixture
def steps_of(wait_for, tmp_path):
    """Waits until a training has come so far; returns a function that reads its steps."""

    def steps_of(process, beyond):
        path = RunLayout(tmp_path / "run").supernet_steps
        kept = tmp_path / "steps"

        def read():
            lines = kept.read_text().splitlines(keepends=True)
            return [json.loads(line) for line in lines if line.endswith("\n")]

        wait_for(path.exists, process)
        os.link(path, kept)
        wait_for(lambda: len(read()) > beyond, process)
        return read

    return steps_of


def check_goes_on(before, steps, rows, undisturbed):
    """All steps are there once, as if nothing had happened, and few were done twice."""
    assert [int(row["step"]) for row in rows] == list(range(1, STEPS + 1))
    assert rows == undisturbed
    numbers = [step["done"] for step in steps]
    assert numbers[: len(before)] == [step["done"] for step in before]
    resumed = numbers[numbers.index(1, 1) :] if 1 in numbers[1:] else []
    assert resumed == [], "it began anew"
    breaks = [at for at in range(1, len(numbers)) if numbers[at] != numbers[at - 1] + 1]
    assert len(breaks) <= 1  # none where the last step before was saved
    for at in breaks:
        first = numbers[at]
        assert SAVED_EVERY < first <= numbers[at - 1]
        assert first % SAVED_EVERY == 1, "it goes on from a checkpoint"
    assert numbers[-1] == STEPS
    for step in steps:  # those done twice, too
        row = undisturbed[step["done"] - 1]
        assert (step["largest_loss"], step["others_loss"]) == (
            float(row["largest_loss"]),
            float(row["others_loss"]),
        )


def test_a_killed_driver_loses_no_more_than_the_steps_since_the_checkpoint(
    start, steps_of, undisturbed, tmp_path
):
    directory = tmp_path / "run"
    process = start()
    read = steps_of(process, SAVED_EVERY + 1)
    process.kill()
    process.wait()
    assert all_gone(process, command=b"ray::RayTrainWorker")
    before = read()
    assert len(before) < STEPS
    checkpoint = RunLayout(directory).supernet_training
    saved = len(torch.load(checkpoint, weights_only=True)["progress"]["losses"])
    assert not RunLayout(directory).supernet.exists()

    run = open_run(directory, {}, {})
    try:
        continue_run(run, Nobody())
    finally:
        run.close()
    steps = read()
    assert steps[len(before)]["done"] == saved + 1
    check_goes_on(before, steps, curve(directory), undisturbed)
    assert {r.stage for r in run.store.records()} == STAGES
    assert not checkpoint.parent.exists()


def test_a_killed_worker_does_not_end_the_search(
    arguments, steps_of, processes_here, undisturbed, monkeypatch, tmp_path, capfd
):
    # In this process, which has Ray running: another start of both takes many seconds.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [NAME, *map(str, arguments)])
    here = SimpleNamespace(poll=lambda: None)

    def kill_one():
        read = steps_of(here, SAVED_EVERY + 1)
        _, worker = processes_here(b"ray::RayTrainWorker")
        os.kill(worker, signal.SIGKILL)
        return read

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill_one)
        with pytest.raises(SystemExit) as caught:
            main()
        read = killing.result()
    out, err = capfd.readouterr()
    assert (caught.value.code, err) == (0, "")
    assert "died" not in out
    check_goes_on([], read(), curve(tmp_path / "run"), undisturbed)
    with TrialStore(tmp_path / "run") as store:
        assert {r.stage for r in store.records()} == STAGES


def test_ctrl_c_while_the_supernet_is_trained(start, steps_of, tmp_path):
    process = start()
    read = steps_of(process, 1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    assert process.wait(PATIENCE_S) == 130
    assert process.err.read_text() == ""
    *_, hint = process.out.read_text().splitlines()
    assert hint == "interrupted; nothing is lost. Continue with: hrvit-search --resume run"
    assert all_gone(process)
    assert len(read()) < STEPS
    assert (tmp_path / "run" / "config.json").exists()
    with TrialStore(tmp_path / "run") as store:
        assert store.records() == []
