"""Groups of processes on Ray Train: all there, on loopback, started anew when one is killed."""

import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from ray import cloudpickle

from hrvit_nas.execution import ExecutionError, Resources
from hrvit_nas.execution.ray_train import group_size, run_group

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_runtime")]

TWO = Resources(workers=2)
STEPS, KILLED_AT = 9, 4
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests


def listening_addresses():
    """Addresses that this process listens on, off the kernel's own tables."""
    mine = {os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
    found = []
    for table, size in (("tcp", 4), ("tcp6", 16)):
        for line in Path("/proc/self/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in mine:
                packed = bytes.fromhex(local.split(":")[0])
                words = (packed[at : at + 4][::-1] for at in range(0, size, 4))
                family = socket.AF_INET if size == 4 else socket.AF_INET6
                found.append(socket.inet_ntop(family, b"".join(words)))
    return found


def report(shared):
    """Says who this process is and where it listens, once it has heard from all."""
    import torch
    from torch import distributed

    rank = distributed.get_rank()
    ranks = torch.zeros(distributed.get_world_size())
    ranks[rank] = rank
    distributed.all_reduce(ranks)
    said = {
        "pid": os.getpid(),
        "backend": distributed.get_backend(),
        "ranks": ranks.tolist(),
        "listening": listening_addresses(),
    }
    Path(shared["folder"], f"{rank}.json").write_text(json.dumps(said))
    distributed.barrier()  # nobody leaves while another still looks


def count(shared):
    """Counts steps, each with a word from all; hangs once, where the test kills this process."""
    import torch
    from torch import distributed

    folder, rank = Path(shared["folder"]), distributed.get_rank()
    checkpoint, log, victim = folder / "checkpoint", folder / f"log{rank}", folder / "victim"
    start = int(checkpoint.read_text()) if checkpoint.exists() else 0
    distributed.barrier()  # all have read it
    with log.open("a") as lines:
        print("start", start, file=lines, flush=True)
        for step in range(start, STEPS):
            distributed.all_reduce(torch.ones(1))
            print("step", step, file=lines, flush=True)
            if rank == 0:
                checkpoint.write_text(str(step + 1))
            if rank == 1 and step == KILLED_AT and not victim.exists():
                victim.write_text(str(os.getpid()))
                threading.Event().wait()


def train_one(shared):
    """Trains a network by plain steps; waits once to be killed, after some."""
    import torch
    from torch import distributed

    from hrvit_nas.arch import get_arch, scale_widths
    from hrvit_nas.data import AugmentConfig, DataConfig, load_data
    from hrvit_nas.models import build_segmentor
    from hrvit_nas.training import Recipe, train

    torch.set_num_threads(1)
    folder, rank = Path(shared["folder"]), distributed.get_rank()
    begun = folder / f"begun{rank}"
    first = not begun.exists()
    begun.write_text(str(os.getpid()))

    def waiting(progress):
        with (folder / "log").open("a") as lines:
            print(progress.step, file=lines, flush=True)
        if first and progress.step == KILLED_AT:
            (folder / "victim").write_text((folder / "begun1").read_text())
            threading.Event().wait()

    data = load_data(DataConfig(num_train=4, num_val=2, image_size=(32, 48)))
    augment = AugmentConfig(crop_size=(32, 48))
    recipe = Recipe(steps=STEPS, batch_size=4, warmup_steps=0, evaluations=3, augment=augment)
    torch.manual_seed(0)
    model = build_segmentor(scale_widths(get_arch("hrvit_b1"), 0.125), data.num_classes)
    saves = {"checkpoint": folder / "checkpoint", "checkpoint_seconds": 0}
    result = train(model, data, recipe, seed=0, **saves, on_step=waiting)
    said = {"losses": result.losses, "miou": result.evaluation.miou}
    (folder / f"{rank}.json").write_text(json.dumps(said))


def refuse(shared):
    """Fails in one process, while the other waits for it."""
    from torch import distributed

    rank = distributed.get_rank()
    Path(shared["folder"], f"{rank}.{os.getpid()}").touch()
    distributed.barrier()
    if rank == 1:
        raise ValueError("the recipe asks for\nwhat there is not")
    distributed.barrier()


def nothing():
    pass


@pytest.fixture(scope="module")
def reports(ray_runtime, tmp_path_factory):
    """What the processes of a group of two said, by rank."""
    folder = tmp_path_factory.mktemp("group")
    run_group(report, {"folder": str(folder)}, TWO, 2, nothing, folder.parent / "scratch")
    return {int(path.stem): json.loads(path.read_text()) for path in folder.iterdir()}


def test_every_process_runs_and_knows_the_others(reports):
    assert reports.keys() == {0, 1}
    assert len({said["pid"] for said in reports.values()} | {os.getpid()}) == 3
    assert all(said["ranks"] == [0, 1] for said in reports.values())
    assert {said["backend"] for said in reports.values()} == {"gloo"}


def test_processes_listen_on_this_machine_alone(reports):
    assert all(said["listening"] for said in reports.values())
    addresses = {address for said in reports.values() for address in said["listening"]}
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_a_killed_process_is_replaced_and_all_go_on_from_what_was_saved(tmp_path, capfd):
    victim, killed = tmp_path / "victim", []

    def kill_once():
        if not killed and victim.exists() and (pid := victim.read_text()):
            os.kill(int(pid), signal.SIGKILL)
            killed.append(pid)

    run_group(count, {"folder": str(tmp_path)}, TWO, 2, kill_once, tmp_path / "scratch")
    assert len(killed) == 1
    done = list(range(KILLED_AT + 1))
    left = list(range(KILLED_AT + 1, STEPS))
    for rank in (0, 1):
        log = [line.split() for line in (tmp_path / f"log{rank}").read_text().splitlines()]
        starts = [int(number) for word, number in log if word == "start"]
        steps = [int(number) for word, number in log if word == "step"]
        assert starts == [0, KILLED_AT + 1]
        assert steps == done + left
    assert capfd.readouterr().out == ""


def test_a_plain_training_goes_on_from_its_checkpoint_when_a_process_is_killed(tmp_path):
    killed = []

    def kill_once():
        victim = tmp_path / "victim"
        if not killed and victim.exists() and (pid := victim.read_text()):
            os.kill(int(pid), signal.SIGKILL)
            killed.append(pid)

    run_group(train_one, {"folder": str(tmp_path)}, TWO, 2, kill_once, tmp_path / "scratch")
    assert len(killed) == 1
    steps = [int(line) for line in (tmp_path / "log").read_text().split()]
    assert steps == list(range(1, STEPS + 1))  # none is done twice
    one, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert one == other
    assert len(one["losses"]) == STEPS


def test_an_error_of_our_own_is_raised_as_it_is_and_not_retried(tmp_path):
    folder = tmp_path / "group"
    folder.mkdir()
    with pytest.raises(ValueError, match=r"^the recipe asks for\nwhat there is not$"):
        run_group(refuse, {"folder": str(folder)}, TWO, 2, nothing, tmp_path / "scratch")
    assert sorted(path.name.split(".")[0] for path in folder.iterdir()) == ["0", "1"]


def wait(shared):
    """Runs until it is killed."""
    Path(shared["folder"], str(os.getpid())).touch()
    time.sleep(600)


def test_nothing_of_a_group_goes_on_once_it_is_interrupted(tmp_path, ray_runtime):
    """A thread that asked Ray for more would end the program when Ray is shut down."""
    folder = tmp_path / "group"
    folder.mkdir()
    before = set(threading.enumerate())

    def interrupt():
        if any(folder.iterdir()):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_group(wait, {"folder": str(folder)}, TWO, 1, interrupt, tmp_path / "scratch")
    assert set(threading.enumerate()) <= before
    (number,) = (int(path.name) for path in folder.iterdir())
    cpus = ray_runtime.cluster_resources()["CPU"]
    deadline = time.monotonic() + 30
    gives_back = runs = None
    while time.monotonic() < deadline and (runs is not False or not gives_back):
        runs = Path("/proc", str(number)).exists()
        gives_back = ray_runtime.available_resources().get("CPU") == cpus
        time.sleep(0.1)
    assert (runs, gives_back) == (False, True)


def test_a_group_is_as_large_as_the_cluster_holds_and_no_larger_than_it_may(ray_runtime):
    cpus = int(ray_runtime.cluster_resources()["CPU"])
    assert group_size(Resources(), 10**6) == cpus
    assert group_size(Resources(), 1) == 1
    assert group_size(Resources(workers=1), 10**6) == 1
    assert group_size(Resources(cpus_per_trial=cpus), 10**6) == 1


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"workers": 4096}, "wants 4096 workers of 1 CPU and 0 GPU, the cluster holds "),
        ({"cpus_per_trial": 4096}, "wants 1 workers of 4096 CPU and 0 GPU, the cluster holds 0"),
        ({"gpus_per_trial": 64}, "wants 1 workers of 1 CPU and 64 GPU, the cluster holds 0"),
        ({"gpus_per_trial": 0.5, "workers": 4096}, "4096 workers of 1 CPU and 1 GPU, the cluster"),
    ],
)
def test_a_group_that_the_cluster_does_not_hold_is_refused(resources, expected):
    with pytest.raises(ExecutionError, match=expected):
        group_size(Resources(**resources), 10**6)
