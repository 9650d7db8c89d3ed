"""What several packages' tests share: reference facts, a Ray runtime, searches of seconds."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

import pytest
import yaml
from hypothesis import settings

from hrvit_nas.arch import get_arch
from hrvit_nas.results import TrialRecord

MEMORY, MEMORY_NEEDED = Path("/dev/shm"), 4 * 2**30


def _free(folder):
    return shutil.disk_usage(folder).free if os.access(folder, os.W_OK) else 0


# For this process, before torch and Ray are loaded, and for those that it starts. Where something
# else runs beside the tests, two threads of torch wait for each other and take several times as
# long as one; and Ray gives its workers a low priority, at which they starve.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
# What runs these tests may ignore SIGINT, or SIGHUP as `nohup` does, and what they start would
# inherit that; their users are at a terminal, where both are heeded.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

# A run writes every trial through to the disk, for which tests need not wait.
if _free(MEMORY) > MEMORY_NEEDED:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# No example has to be quick: beside other work, any of them may take a while.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ONE_BLOCK = {
    f"blocks_{module}_{branch}": [1]
    for module, branches in enumerate((1, 2, 3, 3, 4, 4), start=1)
    for branch in range(1, branches + 1)
}
NARROWING = {
    "base": {"arch": "hrvit_b1", "width_factor": 0.25},
    "choices": {
        **ONE_BLOCK,
        "stem_width": [16],
        "head_width": [32],
        "head_dim": [8],
        "width_1": [8, 16],
        "width_2": [16, 32],
        "width_3": [32, 64],
        "width_4": [64, 128],
        "strip_width_1": [1],
        "strip_width_2": [2],
        "strip_width_3": [4],
        "strip_width_4": [7],
        "expansion_ratio_1": [1, 2],
        "expansion_ratio_2": [1, 2],
        "expansion_ratio_3": [2, 3],
        "expansion_ratio_4": [2, 3, 4],
    },
}
RECIPE = {"steps": 1, "batch_size": 2, "warmup_steps": 0, "augment": {"crop_size": [32, 48]}}
SUPERNET = {"steps": 6, "recalibration_batches": 1}
DATA = {"name": "scenes", "num_train": 8, "num_val": 4}
CONFIG = {
    "space": "heterogeneous_branches",
    "narrowing": NARROWING,
    "data": {**DATA, "image_size": [32, 48]},
    "recipe": RECIPE,
    "resources": {"executor": "inline"},
}
SEARCH = {"trials": 4, "sampler": "random"}
KINDS = {
    "search": SEARCH,
    "supernet_search": {**SEARCH, "supernet": SUPERNET},
    "calibration": {"architectures": 6},
}

NODES = """
import sys
from ray.cluster_utils import Cluster

# A node that is lost is noticed in two seconds, not in fifteen.
soon = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
head = {**node, "include_dashboard": False, "_system_config": soon}
cluster = Cluster(initialize_head=True, head_node_args=head)
nodes = [cluster.add_node(**node)]
cluster.wait_for_nodes()
print(cluster.address, *(n.node_id for n in (cluster.head_node, *nodes)), flush=True)
for line in sys.stdin:  # "add", or the place among the nodes of one that is to die
    if line.strip() == "add":
        nodes.append(cluster.add_node(**node))
        print(nodes[-1].node_id, flush=True)
    else:
        cluster.remove_node(nodes[int(line)], allow_graceful=False)
        print("dead", flush=True)
cluster.shutdown()
"""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """In several processes, a file's tests share its fixtures, and those with Ray one runtime."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.split("::")[0]
            return "with Ray" if needs_ray(config.rootpath / file) else file

    return ByFile(config, log)


@cache
def needs_ray(file):
    return "mark.ray" in file.read_text()


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Facts about the published networks; they lie beside the project, not in it."""
    folder = Path(__file__).parents[2] / "shared" / "reference"
    if not folder.is_dir():
        pytest.skip(f"facts about the published networks are not at {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory):
    """A data cache of the test session's own, for workers and subprocesses too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def ray_runtime(cache_home):
    """A Ray runtime on this machine; a run that finds one uses it."""
    from hrvit_nas.execution import Resources
    from hrvit_nas.execution.ray_runtime import ray, ray_session
    from hrvit_nas.execution.scratch import scratch_folder

    with scratch_folder() as scratch, ray_session(Resources(), scratch):
        yield ray


@pytest.fixture(scope="session")
def processes_here(cache_home):
    """Lists the processes that this session started, Ray's workers among them, by their command."""
    return partial(_processes_with, f"XDG_CACHE_HOME={os.environ['XDG_CACHE_HOME']}")


@pytest.fixture(scope="session")
def make_config():
    """Makes the configuration of a run over tiny networks, with some fields changed."""
    from hrvit_nas.search.stored import parse_config

    def make(kind="search", **changes):
        return parse_config({"kind": kind, **CONFIG, **KINDS[kind], **changes})

    return make


@pytest.fixture(scope="session")
def profile(tmp_path_factory):
    """Path of a profile with the same tiny search, for the command line."""
    folder = tmp_path_factory.mktemp("profile")
    recipe = folder / "recipe.yaml"
    plan = {
        "description": "One step.",
        "image_size": [32, 48],
        "recipe": RECIPE,
        "supernet": SUPERNET,
    }
    recipe.write_text(yaml.safe_dump(plan))
    path = folder / "profile.yaml"
    content = {
        "description": "Seconds.",
        "trials": 4,
        "inherited": 6,
        "data": DATA,
        "recipes": {name: str(recipe) for name in ("scenes", "camvid", "folder")},
        "narrowing": NARROWING,
        "resources": {"executor": "inline"},
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def no_first_values(monkeypatch):
    """Networks start with what happens to be in memory, for a test of hundreds."""
    from torch.nn import init

    for draw in ("kaiming_uniform_", "uniform_", "normal_", "trunc_normal_"):
        monkeypatch.setattr(init, draw, lambda tensor, *_, **__: tensor)


@pytest.fixture
def start_search(tmp_path):
    """Starts a command, by default `hrvit-search`, as a process group of its own.

    Its output is in files.

    Whatever is left of it at the end of the test is killed; `left_over()` lists those processes.
    """
    started = []

    def start(*arguments, command="search"):
        mark = f"{os.getpid()}.{tmp_path.name}.{len(started)}"
        out, err = (tmp_path / f"{len(started)}.{name}" for name in ("out", "err"))
        process = subprocess.Popen(
            [sys.executable, "-m", f"hrvit_nas.cli.{command}", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "HRVIT_TEST": mark, "OMP_NUM_THREADS": "1"},
            stdout=out.open("w"),
            stderr=err.open("w"),
            start_new_session=True,
        )
        process.out, process.err = out, err
        process.left_over = partial(_processes_with, f"HRVIT_TEST={mark}")
        started.append(process)
        return process

    yield start
    for process in started:
        for pid in process.left_over():
            _kill(pid)
        process.wait(30)


@pytest.fixture(scope="session")
def wait_for():
    """Waits for a condition while a search goes on."""

    def wait(condition, process, patience_s=240):
        deadline = time.monotonic() + patience_s
        while not condition():
            assert process.poll() is None, process.err.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    return wait


@pytest.fixture(scope="session")
def wait_for_trials(wait_for):
    """Waits until the first trial of a search is on disk."""

    def wait(directory, process):
        journal = directory / "trials.jsonl"
        wait_for(lambda: journal.exists() and b"\n" in journal.read_bytes(), process)

    return wait


@pytest.fixture
def two_nodes(cache_home):
    """A cluster of two raylets on this machine; more can be added, and all but the head killed."""
    cluster = subprocess.Popen(
        [sys.executable, "-c", NODES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield _Nodes(cluster)
    finally:
        cluster.stdin.close()
        try:
            cluster.wait(60)
        finally:
            cluster.kill()  # its raylets go with it
            cluster.stdout.close()


class _Nodes:
    """A cluster of raylets on this machine, with one CPU each, in a process of its own."""

    def __init__(self, process):
        self._process = process
        self.address, *ids = process.stdout.readline().split()
        self.names = [node_id[:8] for node_id in ids]

    def add(self):
        """Adds a node; its name."""
        self.names.append(self._asked("add")[:8])
        return self.names[-1]

    def kill(self, name):
        """Kills a node that is not the head, as a power cut would."""
        assert self._asked(self.names.index(name) - 1) == "dead"

    def _asked(self, what):
        print(what, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip()


def _record(**fields):
    values = {
        "number": 0,
        "arch_id": "0123456789ab",
        "arch": get_arch("hrvit_b1").to_json(),
        "purpose": "search",
        "budget": 100,
        "seed": 0,
        "state": "complete",
        "macs": 1000,
        "published_macs": 1200,
        "params": 50,
        "peak_activation_bytes": 4096,
        "seconds": 1.5,
        "steps": 100,
        "finished_at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    }
    values |= {"error": "loss became NaN"} if fields.get("state") == "failed" else {"miou": 0.5}
    return TrialRecord(**(values | fields))


@pytest.fixture(scope="session")
def record():
    """Makes a record, complete unless told otherwise, with some fields replaced."""
    return _record


def _processes_with(variable, command=b""):
    """Processes, zombies aside, that inherited a variable of the environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                inherits = variable.encode() in (folder / "environ").read_bytes().split(b"\0")
                if inherits and (folder / "cmdline").read_bytes().startswith(command):
                    found.append(int(folder.name))
            except OSError:
                continue  # it ended meanwhile, or is not ours
    return found


def _kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
