"""A training of two processes, of which one is killed, or what started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from hrvit_nas import from_pretrained

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]
STEPS, PATIENCE_S = 20, 240
RECIPE = {
    "description": "Some seconds.",
    "image_size": [32, 48],
    "recipe": {
        "steps": STEPS,
        "batch_size": 4,
        "warmup_steps": 0,
        "evaluations": 5,  # each writes a checkpoint
        "sync_batch_norm": True,
        "augment": {"crop_size": [32, 48]},
    },
}


def started(folder, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, "-m", "hrvit_nas.cli.train", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def new(folder, name):
    return started(
        folder,
        *("--arch", "hrvit_b1", "--width-factor", "0.125", "--recipe", "recipe.yaml"),
        *("--workers", "2", "--output", name),
    )


def ended(process):
    output, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output.decode()


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def group(folder):
    """Processes that train in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes()
            if (
                command.startswith(b"ray::RayTrainWorker")
                and str(folder).encode() in (path / "environ").read_bytes()
            ):
                found.append(int(path.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("trainings")
    (made / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return made


@pytest.fixture(scope="module")
def undisturbed(folder):
    status, output = ended(new(folder, "whole"))
    assert status == 0, output
    return folder / "whole"


def assert_same(run, undisturbed):
    assert (run / "curve.csv").read_text() == (undisturbed / "curve.csv").read_text()
    one, other = (from_pretrained(path / "model").state_dict() for path in (run, undisturbed))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_killed_process_is_replaced(folder, undisturbed):
    process = new(folder, "worker")
    wait_for(lambda: (folder / "worker/training/network.pt").exists())
    os.kill(wait_for(lambda: group(folder))[-1], signal.SIGKILL)
    status, output = ended(process)
    assert status == 0, output
    assert_same(folder / "worker", undisturbed)


def test_a_killed_training_is_gone_on_with(folder, undisturbed):
    process = new(folder, "driver")
    wait_for(lambda: (folder / "driver/training/network.pt").exists())
    process.kill()
    process.wait()
    wait_for(lambda: not group(folder))
    status, output = ended(started(folder, "--resume", "driver"))
    assert status == 0, output
    assert_same(folder / "driver", undisturbed)
