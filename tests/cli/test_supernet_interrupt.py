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
from hrvit_nas.search.run import create_run
from hrvit_nas.search.supernet import finish_training, train_part
from hrvit_nas.training.packing import unpack

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

PATIENCE_S = 240
STEPS, SAVED_EVERY = 30, 6  # workers go on for some two seconds when their driver is gone
SUPERNET = {
    "steps": STEPS,
    "random_subnets": 0,
    "evaluations": STEPS // SAVED_EVERY,
    "recalibration_batches": 1,
}


STAGES = {("search", "inherited"), ("search", "trained"), ("reference", "trained")}


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
    config = run.config  # which knows the classes, by which subnets are costed
    plan = config.supernet_plan(config.seed)
    shared = {
        "directory": str(run.directory),
        "plan": plan.model_dump(mode="json"),
        "threads": 1,
        "device": "cpu",
        "checkpoint_seconds": 1e9,
    }
    scratch = tmp_path_factory.mktemp("scratch")
    run_group(train_part, shared, Resources(), 2, lambda: None, scratch)
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
def steps(wait_for, tmp_path):
    """The steps of all sittings so far; called with a process and a count, waits for so many."""
    kept = tmp_path / "steps"

    def steps(process=None, count=0):
        if process is not None:
            written = RunLayout(tmp_path / "run").supernet_steps
            wait_for(lambda: kept.exists() or written.exists(), process)
            if not kept.exists():
                os.link(written, kept)
            wait_for(lambda: len(steps()) >= count, process)
        lines = kept.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    return steps


def check_interrupted(process, directory):
    assert process.wait(PATIENCE_S) == 130
    assert process.err.read_text() == ""
    *_, hint = process.out.read_text().splitlines()
    assert hint == "interrupted; nothing is lost. Continue with: hrvit-search --resume run"
    assert all_gone(process)
    with TrialStore(directory) as store:
        assert store.records() == []


def check_left_by_a_killed_driver(process, layout, before):
    assert all_gone(process, command=b"ray::RayTrainWorker")
    assert not layout.supernet.exists()
    assert before[-1]["done"] < STEPS
    state = unpack(torch.load(layout.supernet_training, weights_only=True))
    saved = state["progress"]["losses"]
    assert len(saved) >= SAVED_EVERY
    return len(saved)


def check_all_went_on(steps, sittings, rows, undisturbed):
    """All steps are there, as if nothing had happened, and few were done twice: those since the
    checkpoint before a sitting ended.
    """
    assert [int(row["step"]) for row in rows] == list(range(1, STEPS + 1))
    assert rows == undisturbed
    numbers = [step["done"] for step in steps]
    breaks = [at for at in range(1, len(numbers)) if numbers[at] != numbers[at - 1] + 1]
    assert len(breaks) < sittings  # none where the last step before was saved
    for at in breaks:
        again = numbers[at - 1] - numbers[at] + 1
        assert 0 < again <= SAVED_EVERY
    assert (numbers[0], numbers[-1]) == (1, STEPS)
    for step in steps:  # those done twice, too
        row = undisturbed[step["done"] - 1]
        assert (step["largest_loss"], step["others_loss"]) == (
            float(row["largest_loss"]),
            float(row["others_loss"]),
        )


def test_cut_off_three_times_a_training_loses_no_more_than_the_steps_since_a_checkpoint(
    arguments, start_search, steps, processes_here, undisturbed, monkeypatch, tmp_path, capfd
):
    directory = tmp_path / "run"
    layout = RunLayout(directory)
    process = start_search(*arguments)
    steps(process, SAVED_EVERY + 1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    check_interrupted(process, directory)
    assert steps()[-1]["done"] < STEPS

    done = len(steps())
    process = start_search("--resume", "run", "--workers", 2)
    steps(process, done + 1)
    process.kill()
    process.wait()
    saved = check_left_by_a_killed_driver(process, layout, steps())

    # In this process, which has Ray running: another start of both takes many seconds.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [NAME, "--resume", "run", "--workers", "2"])
    done = len(steps())
    here = SimpleNamespace(poll=lambda: None)

    def kill_one():
        # Beyond the checkpoint that it went on from, so that a sitting more shows in the steps.
        steps(here, done + 2)
        _, worker = processes_here(b"ray::RayTrainWorker")
        os.kill(worker, signal.SIGKILL)

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill_one)
        with pytest.raises(SystemExit) as caught:
            main()
        killing.result()
    out, err = capfd.readouterr()
    assert (caught.value.code, err) == (0, "")
    assert "died" not in out
    assert steps()[done]["done"] == saved + 1
    check_all_went_on(steps(), 4, curve(directory), undisturbed)
    with TrialStore(directory) as store:
        assert {r.stage for r in store.records()} == STAGES
    assert not layout.training.exists()
