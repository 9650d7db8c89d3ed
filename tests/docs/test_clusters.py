"""The files that start a cluster are what the programs that read them take; the page names them."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from hrvit_nas._files import declarations_dir
from hrvit_nas.search.profiles import list_profiles

DOCS = Path(__file__).parents[2] / "docs"
CLUSTERS = declarations_dir("experiments") / "clusters"
SLURM = CLUSTERS / "slurm.sh"
PAGE = (DOCS / "clusters.md").read_text(encoding="utf-8")
STUBS = {
    "srun": 'while [[ $1 == --* ]]; do shift; done; echo "srun $*" >> log; exec sleep 60',
    "scontrol": 'echo "scontrol $*" >> log; if [ "$1" = show ]; then echo n1; echo n2; fi',
    "ray": 'echo "ray $* $RAY_AUTH_MODE" >> log',
    "python": "echo 192.0.2.1",
    "hrvit-search": 'echo "hrvit-search $*" >> log; echo $$ > searching; exec sleep "$LASTS"',
}


def loaded(name):
    return yaml.safe_load((CLUSTERS / name).read_text())


def test_the_page_names_every_file_and_its_links_lead_somewhere():
    assert set(re.findall(r"experiments/clusters/([\w.]+)", PAGE)) == {
        path.name for path in CLUSTERS.iterdir()
    }
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGE):
        assert (DOCS / target).exists(), target
    assert "clusters.md" in (DOCS / "running.md").read_text(encoding="utf-8")


def test_the_files_are_no_profiles():
    assert not set(list_profiles()) & {"kuberay", "ssh"}


def test_the_launcher_takes_the_ssh_file():
    config = prepare_config(loaded("ssh.yaml"))
    validate_config(config)
    assert config["max_workers"] == len(config["provider"]["worker_ips"])
    starts = config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]
    assert all("RAY_AUTH_MODE=token" in start for start in starts)


def containers(template):
    """Containers of a pod; each has a name and an image, and mounts only volumes of the pod."""
    pod = template["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        assert container["name"]
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        assert container["resources"]["requests"] == container["resources"]["limits"]
    return pod["containers"]


def test_the_kuberay_file_has_what_the_operator_requires():
    job = loaded("kuberay.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", job["metadata"]["name"])
    spec = job["spec"]["rayClusterSpec"]
    assert spec["rayVersion"] == ray.__version__
    assert spec["authOptions"] == {"mode": "token"}
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    for group in groups:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert len({c["image"] for group in groups for c in containers(group["template"])}) == 1
    for group in spec["workerGroupSpecs"]:
        assert group["groupName"]
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


@pytest.mark.parametrize("there", [False, True])
def test_the_kuberay_command_begins_a_run_or_goes_on_with_it(there, tmp_path):
    command = loaded("kuberay.yaml")["spec"]["entrypoint"].replace("/shared", str(tmp_path))
    if there:
        (tmp_path / "runs" / "joint").mkdir(parents=True)
        (tmp_path / "runs" / "joint" / "config.json").touch()
    said = in_shell(command, tmp_path, LASTS="0")
    assert said.wait(20) == 0
    (line,) = (tmp_path / "log").read_text().splitlines()
    run = f"{tmp_path}/runs/joint"
    assert line.endswith(f"--resume {run} --address auto" if there else f"{run} --address auto")
    assert there != line.startswith("hrvit-search --space joint ")


def in_shell(command, folder, **environment):
    """A command of a shell that knows none but stubs of what a cluster has."""
    stubs = folder / "bin"
    stubs.mkdir(exist_ok=True)
    for name, body in STUBS.items():
        (stubs / name).write_text(f"#!{shutil.which('bash')}\n{body}\n")
        (stubs / name).chmod(0o755)
    return subprocess.Popen(
        [shutil.which("bash"), "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": f"{stubs}:{os.environ['PATH']}", **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def submitted(folder, lasts):
    return in_shell(
        f"exec bash {SLURM} run hrvit-search --space joint",
        folder,
        LASTS=str(lasts),
        SLURM_JOB_ID="7",
        SLURM_JOB_NODELIST="n[1-2]",
        SLURM_CPUS_PER_TASK="8",
    )


def test_the_slurm_script_starts_every_node_and_the_search(tmp_path):
    assert submitted(tmp_path, 0).wait(20) == 0
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0] == "ray get-auth-token --generate token"
    steps = [line for line in lines if line.startswith("srun ")]
    assert len(steps) == 2
    assert (
        "srun ray start --head --port=6379 --include-dashboard=false --num-cpus=8 --block" in steps
    )
    assert "srun ray start --address=192.0.2.1:6379 --num-cpus=8 --block" in steps
    assert "hrvit-search --space joint --output run --address 192.0.2.1:6379" in lines
    assert not any("requeue" in line for line in lines)


def test_the_slurm_script_stops_before_the_limit_and_goes_on_when_run_again(tmp_path):
    job = submitted(tmp_path, 60)
    deadline = time.monotonic() + 20
    while not (tmp_path / "searching").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    job.send_signal(signal.SIGTERM)
    assert job.wait(20) == 128 + signal.SIGTERM
    assert (tmp_path / "log").read_text().splitlines()[-1] == "scontrol requeue 7"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").touch()
    assert submitted(tmp_path, 0).wait(20) == 0
    resumed = "hrvit-search --resume run --address 192.0.2.1:6379"
    assert resumed in (tmp_path / "log").read_text().splitlines()
