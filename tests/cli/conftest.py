"""Commands run in the test's own process."""

import shutil
import sys

import pytest

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
