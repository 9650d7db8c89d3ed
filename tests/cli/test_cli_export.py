"""`hrvit-export`: what a run keeps becomes what other programs read."""

import json
import pickle
from functools import partial
from pathlib import Path

import pytest
import torch

import hrvit_nas
from hrvit_nas.arch import ArchSpec, BranchSpec, ModuleSpec
from hrvit_nas.cli import export
from hrvit_nas.data.scenes import SCENE_CLASSES
from hrvit_nas.models import build_segmentor, exporting
from hrvit_nas.results import TrialStore
from hrvit_nas.search.run import create_run
from hrvit_nas.training import save_trained

BRANCH = BranchSpec(width=8, blocks=1, expansion_ratio=2, strip_width=3, head_dim=4)
SPEC = ArchSpec(stem_width=4, head_width=8, modules=(ModuleSpec(branches=(BRANCH,)),))


def image(height=40, width=56):
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def command(run_command):
    """Runs `hrvit-export` in this process, in an empty folder: (status, stdout, stderr)."""
    return partial(run_command, export.main)


@pytest.fixture
def refused(command, tmp_path):
    """As `command`, of what it refuses; returns its line."""

    def refused(*arguments):
        before = sorted(tmp_path.rglob("*"))
        status, out, err = command(*arguments)
        assert (status, out) == (2, ""), err
        assert err.startswith("hrvit-export: ")
        assert err.count("\n") == 1
        assert len(err) <= 301
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return refused


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_segmentor(SPEC, len(SCENE_CLASSES)).eval()


@pytest.fixture
def run(model, make_config, record, tmp_path):
    """A run that keeps the weights of the one architecture that it trained."""
    run = create_run(make_config(), tmp_path / "run")
    run.close()
    done = record(arch_id=SPEC.id, arch=SPEC.to_json(), seed=3, budget=1, miou=0.5)
    with TrialStore(run.directory, write=True) as store:
        store.append(done)
    path = run.directory / "checkpoints" / f"{done.key.name}.pt"
    save_trained(path, model, SCENE_CLASSES, 3)
    sitting = {
        "versions": {"torch": torch.__version__},
        "machine": {"host": "secret-host", "cores": 2},
        "command": ["hrvit-search", "--data-root", "/a/secret/set", "--output=/a/secret/out"],
        "device": "cpu",
        "started_at": "2026-01-02T03:04:05+00:00",
    }
    (run.directory / "provenance.json").write_text(json.dumps([sitting]))
    return run.directory, path


@torch.no_grad()
def test_every_way_to_name_a_network_gives_the_same_folder(run, model, command):
    directory, path = run
    for number, name in enumerate((path, directory, f"{directory}:{SPEC.id}")):
        status, out, err = command(name, "--format", "pretrained", "--output", f"network{number}")
        assert (status, err) == (0, "")
        assert out == f"network{number}: for hrvit_nas.from_pretrained\n"
        back = hrvit_nas.from_pretrained(f"network{number}")
        assert torch.equal(back(image()), model(image()))
    assert command("network0", "--format", "pretrained", "--output", "copy")[0] == 0
    for file in ("config.json", "model.safetensors", "README.md"):
        assert Path("copy", file).read_bytes() == Path("network0", file).read_bytes()


def test_a_folder_says_what_its_run_knows(run, command):
    _, path = run
    command(path, "--format", "pretrained", "--output", "network")
    back = hrvit_nas.from_pretrained("network")
    assert back.description.class_names == SCENE_CLASSES
    assert back.description.data == "scenes"
    assert back.provenance["trial"]["miou"] == 0.5
    assert back.provenance["data"]["image_size"] == [32, 48]
    assert back.provenance["recipe"]["steps"] == 1
    card = Path("network", "README.md").read_text()
    assert "mIoU on the validation split: 0.5000" in card
    assert "seed 3, 1 optimiser steps" in card
    assert "hrvit-search --data-root set --output=out" in card
    for file in Path("network").iterdir():
        assert b"secret" not in file.read_bytes()


def test_weights_apart_from_their_run_are_taken_for_what_they_say(run, command, tmp_path):
    _, path = run
    path.rename(tmp_path / "apart.pt")
    assert command("apart.pt", "--format", "pretrained", "--output", "network")[0] == 0
    back = hrvit_nas.from_pretrained("network")
    assert back.provenance == {"trial": {"seed": 3}}
    assert back.description.class_names == SCENE_CLASSES
    assert "is not known" in back.description.label_rule


def of_another_class_count(content):
    content["class_names"] = content["class_names"][:-1]


def of_another_architecture(content):
    other = ArchSpec(stem_width=4, head_width=10, modules=SPEC.modules)
    content["arch"] = other.to_json()


@pytest.mark.parametrize("change", [of_another_class_count, of_another_architecture])
def test_weights_of_another_network_are_refused(change, run, refused):
    _, path = run
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    line = refused(path)
    assert "are not of its architecture" in line
    assert path.name in line


def test_a_truncated_checkpoint_is_refused(run, refused):
    _, path = run
    path.write_bytes(path.read_bytes()[:-1000])
    assert "cannot be read" in refused(path)


class Bomb:
    def __reduce__(self):
        return (Path("bomb").write_text, ("it went off",))


@pytest.mark.parametrize("write", [torch.save, lambda o, p: p.write_bytes(pickle.dumps(o))])
def test_a_file_with_a_pickle_in_it_is_refused_and_not_run(write, tmp_path, refused):
    write({"arch": Bomb()}, tmp_path / "x.pt")
    assert "x.pt cannot be read" in refused("x.pt")
    assert not Path("bomb").exists()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "holds no tensors"),
        (lambda path: path.write_bytes(pickle.dumps(Bomb())), "is a pickle or holds one"),
        (lambda path: path.unlink(), "model.safetensors is missing"),
        (lambda path: path.with_name("config.json").write_text("{"), "config.json is damaged"),
        (lambda path: path.with_name("config.json").unlink(), "config.json is missing"),
    ],
)
def test_a_damaged_folder_is_refused(spoil, expected, model, refused, tmp_path):
    model.save_pretrained(tmp_path / "network")
    spoil(tmp_path / "network" / "model.safetensors")
    assert expected in refused("network")
    assert not Path("bomb").exists()


def test_the_weights_of_a_folder_are_no_network(model, refused, tmp_path):
    model.save_pretrained(tmp_path / "network")
    assert "name the folder" in refused("network/model.safetensors")


def test_an_architecture_whose_weights_are_gone_is_refused(run, refused):
    directory, path = run
    path.unlink()
    assert "keeps no weights of" in refused(f"{directory}:{SPEC.id}")
    assert "no complete trial of an architecture '0123" in refused(f"{directory}:0123456789ab")


def test_what_lies_in_the_way_is_left_alone(model, refused, tmp_path):
    model.save_pretrained(tmp_path / "network")
    (tmp_path / "x.onnx").mkdir()
    assert "is there already" in refused("network", "--output", "x.onnx")
    (tmp_path / "file").write_text("mine")
    line = refused("network", "--format", "pretrained", "--output", "file")
    assert "file is there already" in line
    assert "no folder nowhere" in refused("network", "--output", "nowhere/x.onnx")


def test_normalisation_that_is_not_known_stays_outside(model, command, tmp_path):
    model.save_pretrained(tmp_path / "network")
    status, _, err = command("network", "--normalise", "--format", "exported")
    assert status == 2
    assert err.splitlines()[-1].startswith("hrvit-export: normalisation is not known")


def test_packages_that_are_missing_are_named(model, refused, tmp_path, monkeypatch):
    model.save_pretrained(tmp_path / "network")
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    assert "pip install 'hrvit_nas[export]'" in refused("network")


@pytest.mark.slow
def test_a_program_that_differs_is_not_written(model, command, tmp_path, monkeypatch):
    model.save_pretrained(tmp_path / "network")
    real = exporting.program_runner
    monkeypatch.setattr(exporting, "program_runner", lambda path: lambda x: real(path)(x) + 0.01)
    status, out, err = command("network", "--format", "exported", "--output", "x.pt2")
    assert status == 1
    assert "differs from its network by more than 0.0001; x.pt2 is not written" in err
    assert "exported at 64x96: differs by 1.0e-02 at most" in out
    assert not Path("x.pt2").exists()


@pytest.mark.slow
@torch.no_grad()
def test_a_run_becomes_programs(run, model, command):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    directory, _ = run
    status, out, err = command(
        *(directory, "--format", "onnx", "--format", "exported", "--normalise", "--output", "x")
    )
    assert status == 0, err
    assert err == f"tracing {SPEC.id}\n"
    assert out.count("differs by ") == 6
    assert sorted(path.name for path in Path().glob("x*")) == ["x.onnx", "x.pt2"]
    pixels = (image().abs() * 50).round()
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in _normalisation())
    wanted = model((pixels - mean) / deviation)
    for found in (
        exporting.onnx_runner(Path("x.onnx"))(pixels),
        torch.export.load("x.pt2").module()(pixels),
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def _normalisation():
    from hrvit_nas.data.transforms import DEVIATION, MEAN

    return MEAN, DEVIATION


def test_help_is_light_and_shows_examples(help_of):
    heavy = ("torch", "ray", "onnx", "huggingface_hub", "safetensors", "pydantic", "yaml")
    said = help_of("export", heavy)
    assert "hrvit-export network --size 512x1024 --output fixed.onnx" in said
