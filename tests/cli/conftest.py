"""Commands run in the test's own process."""

import os
import shutil
import subprocess
import sys
from functools import partial

import pytest

from hrvit_nas.cli import ablate, data, export, latency, predict, report, search, train
from hrvit_nas.cli import eval as eval_command
from hrvit_nas.search.run import create_run

COMMANDS = {
    "search": search,
    "ablate": ablate,
    "report": report,
    "data": data,
    "train": train,
    "export": export,
    "latency": latency,
    "eval": eval_command,
    "predict": predict,
}
SIX = ("sky", "road", "canal", "car", "tree", "pole")


@pytest.fixture
def run_command(monkeypatch, capsys, tmp_path):
    """Runs a command in an empty folder, given its entry point: (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        output = capsys.readouterr()
        return caught.value.code, output.out, output.err

    return run


@pytest.fixture
def help_of(tmp_path):
    """What a command prints for `--help`, having loaded none of the modules named."""

    def help_of(command, heavy):
        probe = f"""
import atexit, sys
from hrvit_nas.cli.{command} import main
atexit.register(lambda: print("LOADED", [name for name in {heavy} if name in sys.modules]))
main()
"""
        done = subprocess.run(
            [sys.executable, "-c", probe, "--help"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "100"},
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "LOADED []" in done.stdout
        return done.stdout

    return help_of


def announced(*arguments):
    raise AssertionError("it was announced")


@pytest.fixture
def refuses(run_command, tmp_path, monkeypatch):
    """Runs a command, checks that it refuses and touches nothing; returns its line."""
    monkeypatch.setattr("hrvit_nas.cli.running._continued", announced)
    if "ray" in sys.modules:  # as in a process of the command's own: the tests' runtime is not its
        monkeypatch.setattr(sys.modules["ray"], "is_initialized", lambda: False)

    def refuses(command, *arguments):
        before = contents(tmp_path)
        status, out, err = run_command(COMMANDS[command].main, *arguments)
        assert status == 2, err
        assert out == "", "nothing is announced"
        assert err.startswith(f"{COMMANDS[command].NAME}: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        assert len(err) <= 301
        assert contents(tmp_path) == before
        return err

    return refuses


@pytest.fixture
def refused(refuses):
    """As `refuses`, of `hrvit-search`."""
    return partial(refuses, "search")


def contents(folder):
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.name not in ("classes.yaml",)
    }


@pytest.fixture
def run_dir(make_config, tmp_path):
    """A run that was made and has not trained anything yet."""
    run = create_run(make_config(), tmp_path / "run")
    run.close()
    return run.directory


@pytest.fixture(scope="session")
def saved_network(tmp_path_factory):
    """Folder of a small network of some classes, as `save_pretrained` writes it."""
    made = {}

    def saved(class_names=SIX, **changes):
        key = class_names, tuple(changes.items())
        if key not in made:
            import torch

            from hrvit_nas.arch import get_arch, scale_widths
            from hrvit_nas.data import describe
            from hrvit_nas.models import build_segmentor

            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                spec = scale_widths(get_arch("hrvit_b1"), 0.125)
                model = build_segmentor(spec, len(class_names))
            described = changes.get("described", True)
            model.description = describe(class_names) if described else None
            if "size" in changes:
                model.provenance = {"data": {"name": "mine", "image_size": list(changes["size"])}}
            made[key] = tmp_path_factory.mktemp("network")
            model.save_pretrained(made[key])
        return made[key]

    return saved


@pytest.fixture
def network(saved_network, tmp_path):
    """The folder `net` here, with a small network of six classes."""
    return shutil.copytree(saved_network(), tmp_path / "net")
