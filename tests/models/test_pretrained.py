"""Networks come back from their folder to the bit, and what is none is refused in one line."""

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

import hrvit_nas
from hrvit_nas.arch import ArchError, get_arch, scale_widths
from hrvit_nas.data import DataConfig, describe, describe_images
from hrvit_nas.data.layouts import LAYOUTS, ade20k, camvid, cityscapes
from hrvit_nas.models import (
    Description,
    PretrainedError,
    build_classifier,
    build_features,
    build_segmentor,
    from_pretrained,
    hub,
)

SMALL = scale_widths(get_arch("hrvit_b1"), 0.25)
NAMES = ("sky", "road", "canal")
PROVENANCE = {
    "data": {"name": "scenes", "image_size": [96, 128]},
    "trial": {"seed": 3, "budget": 200, "miou": 0.61234},
    "sittings": [
        {
            "versions": {"torch": "2.13.0"},
            "git": {"commit": "a" * 40, "dirty": True},
            "device": "cpu",
            "command": ["hrvit-search", "--space", "joint"],
            "started_at": "2026-01-02T03:04:05+00:00",
        }
    ],
}


def awake(model):
    """Gives every tensor values of its own, so that none could be mistaken for a first value."""
    generator = torch.Generator().manual_seed(1)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return model.eval()


def image(height=72, width=40, batch=2):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 3, height, width, generator=generator)


@pytest.fixture(scope="module")
def model():
    model = awake(build_segmentor(SMALL, len(NAMES)))
    model.description = describe(NAMES, DataConfig())
    model.provenance = PROVENANCE
    return model


@pytest.fixture
def folder(model, tmp_path):
    model.save_pretrained(tmp_path / "network")
    return tmp_path / "network"


@torch.no_grad()
@pytest.mark.parametrize("name", ["hrvit_b1", "mit_b0", "cswin_ti"])
def test_a_segmentor_comes_back_to_the_bit(name, tmp_path):
    model = awake(build_segmentor(scale_widths(get_arch(name), 0.25), 4))
    model.save_pretrained(tmp_path)
    back = hrvit_nas.from_pretrained(tmp_path)
    assert back.spec == model.spec
    assert not back.training
    assert (back.description, back.provenance) == (None, None)
    assert torch.equal(back(image()), model(image()))


@torch.no_grad()
def test_a_classifier_comes_back_to_the_bit(tmp_path):
    model = awake(build_classifier(SMALL, 7))
    model.save_pretrained(tmp_path)
    assert torch.equal(from_pretrained(tmp_path)(image()), model(image()))


@torch.no_grad()
def test_half_precision_comes_back(tmp_path):
    model = awake(build_segmentor(SMALL, 3)).bfloat16()
    model.save_pretrained(tmp_path)
    x = image().bfloat16()
    assert torch.equal(from_pretrained(tmp_path)(x), model(x))


def test_what_belongs_to_the_weights_comes_back(model, folder):
    back = from_pretrained(folder)
    assert back.description == model.description
    assert back.provenance == PROVENANCE
    assert back.description.class_names == NAMES
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_it_can_be_trained_on(folder):
    back = from_pretrained(folder, drop_path_rate=0.3).train()
    assert max(block.rate for block in back.modules() if hasattr(block, "rate")) == 0.3
    back(image()).square().mean().backward()
    assert all(tensor.grad is not None for tensor in back.parameters())


def test_reading_leaves_the_random_numbers_of_the_caller(folder):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    from_pretrained(folder)
    assert torch.equal(torch.rand(3), wanted)


def test_the_card_says_what_is_known(model, folder):
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "hrvit_nas"
    assert card.data.pipeline_tag == "image-segmentation"
    for words in ("mIoU on the validation split: 0.6123", "a" * 12, "| 2 | canal |", SMALL.id):
        assert words in card.text
    assert "hrvit-search --space joint" in card.text
    assert "seed 3, 200 optimiser steps" in card.text


def test_a_card_of_nothing_known_claims_nothing(tmp_path):
    build_segmentor(SMALL, 3).save_pretrained(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "Not recorded." in text
    assert "mIoU" not in text


def change(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def flip(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def of_another(spec, num_classes):
    def put(folder):
        other = folder.with_name("other")
        build_segmentor(spec, num_classes).save_pretrained(other)
        (other / "model.safetensors").replace(folder / "model.safetensors")

    return put


def bare(spec, num_classes):
    """Weights as another program saves them, that do not say what they are of."""

    def put(folder):
        save_file(build_segmentor(spec, num_classes).state_dict(), folder / "model.safetensors")

    return put


class Bomb:
    def __reduce__(self):
        return (Path("bomb").write_text, ("it went off",))


def pickled(folder):
    (folder / "model.safetensors").write_bytes(pickle.dumps({"w": Bomb()}))


def torch_saved(folder):
    torch.save({"w": Bomb()}, folder / "model.safetensors")


def only_pickle(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))


OTHER = replace(SMALL, head_width=SMALL.head_width + 2)
DESCRIBED = describe(NAMES).to_dict()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "config.json").unlink(), r"holds no network \(config.json is missing\)"),
        (lambda f: (f / "config.json").write_text("{"), "config.json is damaged: "),
        (lambda f: (f / "config.json").write_text("[" * 99_999), "config.json is damaged: "),
        (lambda f: (f / "config.json").write_text("[]"), "must be of format .* got None"),
        (lambda f: change(f, format="hrvit_nas.pretrained/9"), "must be of format .*pretrained/9"),
        (lambda f: change(f, arch={}), "config.json is damaged: schema_version must be"),
        (lambda f: change(f, kind="detector"), "kind must be segmentor or classifier"),
        (lambda f: change(f, num_classes=True), "num_classes must be at least 1, got True"),
        (lambda f: change(f, num_classes=4), "names 3 classes, and its num_classes is 4"),
        (lambda f: change(f, description={"class": 1}), "unknown key 'class'"),
        (lambda f: change(f, description={**DESCRIBED, "mean": "x"}), "mean must be three numbers"),
        (lambda f: change(f, description={**DESCRIBED, "palette": 5}), "config.json is damaged"),
        (lambda f: change(f, arch=OTHER.to_dict()), "its architecture is .* there, .* here"),
        (of_another(OTHER, 3), "model.safetensors is of another network.*its architecture is"),
        (of_another(SMALL, 4), "its number of classes is 4 there, 3 here"),
        (bare(OTHER, 3), r"of another network than config.json: head\..* has shape"),
        (bare(SMALL, 4), r"head.classifier.weight has shape \(4, .*, not \(3, .*\) and 1 more"),
        (bare(SMALL, 3), "is not what was written: its SHA-256 is"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "holds no tensors: "),
        (truncate, "model.safetensors holds no tensors: "),
        (flip, "is not what was written"),
        (pickled, "it is a pickle or holds one, which may execute anything, and is not read"),
        (torch_saved, "it is a pickle or holds one"),
        (only_pickle, "model.safetensors is missing; pytorch_model.bin may execute anything"),
    ],
)
def test_what_is_no_network_is_one_line(folder, spoil, message, monkeypatch):
    monkeypatch.chdir(folder.parent)
    spoil(folder)
    with pytest.raises(PretrainedError, match=message) as caught:
        from_pretrained(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert not Path("bomb").exists()


@pytest.mark.parametrize("name", ["no/such/folder", "./nothing", "nothing", "~/x"])
def test_a_folder_that_is_not_there_asks_nobody(name, monkeypatch):
    monkeypatch.setattr(hub, "snapshot_download", lambda *a, **k: pytest.fail("it asked"))
    with pytest.raises(PretrainedError, match="there is no such folder"):
        from_pretrained(name)


def test_a_file_is_not_a_folder(folder):
    with pytest.raises(PretrainedError, match="hrvit-export turns the checkpoint of a run"):
        from_pretrained(folder / "config.json")


def test_a_description_of_other_classes_is_not_saved(tmp_path):
    model = build_segmentor(SMALL, 5)
    model.description = describe(NAMES)
    with pytest.raises(ValueError, match="must be of the network's 5 classes, got 3"):
        model.save_pretrained(tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": ()}, "class_names must be names"),
        ({"palette": ((0, 0, 0),)}, "a colour for each of 3 classes, got 1"),
        ({"palette": ((0, 0, 256),) * 3}, "three of 0 to 255"),
        ({"deviation": (1.0, 0.0, 1.0)}, "deviation must be three numbers above 0"),
        ({"mean": (1.0, float("nan"), 1.0)}, "mean must be three numbers"),
        ({"label_values": ((7, 3),)}, "a class, 0 to 2"),
        ({"ignore_index": 2}, "ignore_index must be from 3 to 255, got 2"),
        ({"ignore_index": None}, "palette must be empty for whole images, .* got 3 colours"),
        ({"data": 5}, "data must be text"),
    ],
)
def test_a_faulty_description_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(describe(NAMES), **change)


def test_a_description_of_whole_images_has_any_number_of_classes_and_no_colours():
    names = tuple(f"n{number:08}" for number in range(1000))
    found = describe_images(names, DataConfig(name="drawn_classes"))
    assert (found.num_classes, found.palette, found.ignore_index) == (1000, (), None)
    assert found.data == "drawn_classes"
    assert Description.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_label_rules_are_those_that_masks_are_read_by():
    for name, module in (("camvid", camvid), ("cityscapes", cityscapes), ("ade20k", ade20k)):
        classes = tuple(f"c{n}" for n in range(max(module.LABELS.classes.values()) + 1))
        found = describe(classes, DataConfig(name=name, root=Path()))
        assert dict(found.label_values) == module.LABELS.classes
        assert module.LABELS.allowed in found.label_rule
        assert Description.from_dict(json.loads(json.dumps(found.to_dict()))) == found
        assert LAYOUTS[name].labels is module.LABELS
    assert describe(NAMES).label_values == ()


# --- maps for another head ------------------------------------------------------------------------


@torch.no_grad()
def test_features_are_the_maps_of_the_backbone(model, folder):
    maps = model.forward_features(image())
    features = from_pretrained(folder, features_only=True, out_indices=(3, 1))
    found = features(image())
    assert all(torch.equal(a, b) for a, b in zip(found, (maps[3], maps[1]), strict=True))
    assert features.feature_info.channels() == [maps[3].shape[1], maps[1].shape[1]]
    assert features.feature_info.reduction() == [32, 8]


@pytest.mark.parametrize("name", ["hrvit_b1", "mit_b0", "cswin_ti"])
def test_feature_info_tells_the_truth(name):
    features = build_features(scale_widths(get_arch(name), 0.25))
    info = features.feature_info
    maps = features(torch.randn(1, 3, 64, 96))
    assert len(info) == len(maps) == 4
    assert info.channels() == [x.shape[1] for x in maps]
    assert info.reduction() == [64 // x.shape[2] for x in maps]
    modules = dict(features.named_modules())
    assert all(module in modules for module in info.module_name())
    assert info.channels(2) == info[2]["num_chs"] == info.get_dicts(["num_chs"], 2)["num_chs"]
    assert info.get_dicts(idx=[0])[0]["index"] == 0


def test_a_number_means_as_many_of_the_last_maps():
    assert build_features(SMALL, out_indices=2).feature_info.out_indices == (2, 3)


@pytest.mark.parametrize("wrong", [(4,), (), (0, -5), 5, 0])
def test_maps_that_are_not_there_are_refused(wrong):
    with pytest.raises(ValueError, match="out_indices must be of 0 to 3"):
        build_features(SMALL, out_indices=wrong)


def test_out_indices_alone_are_refused(folder):
    with pytest.raises(ValueError, match="no meaning without features_only"):
        from_pretrained(folder, out_indices=(1,))


# --- the Hub, which is not asked ------------------------------------------------------------------


def test_it_is_pushed_in_one_commit(model, monkeypatch):
    pushed = {}

    def upload(self, *, repo_id, folder_path, **options):
        back = from_pretrained(folder_path)
        assert torch.equal(back(image()), model(image()))
        pushed.update(options, repo_id=repo_id, names={p.name for p in folder_path.iterdir()})
        return "https://a.org/commit"

    class Made:
        repo_id = "ann/network"

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", lambda self, **options: Made)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload)
    assert model.push_to_hub("ann/network", branch="main") == "https://a.org/commit"
    assert pushed["repo_id"] == "ann/network"
    assert pushed["revision"] == "main"
    assert pushed["names"] == {"README.md", "config.json", "model.safetensors"}


def test_it_is_read_from_the_hub(folder, monkeypatch, tmp_path):
    asked = {}

    def snapshot(repo_id, **options):
        asked.update(options, repo_id=repo_id)
        return str(folder)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    assert from_pretrained("ann/network", revision="v1").spec == SMALL
    assert (asked["repo_id"], asked["revision"]) == ("ann/network", "v1")
    assert not any(name.endswith(".bin") for name in asked["allow_patterns"])


def test_a_hub_that_gives_nothing_is_one_line(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(hub.HubError, match="no network at 'ann/nothing'") as caught:
        from_pretrained("ann/nothing", cache_dir=tmp_path / "cache", local_files_only=True)
    assert "\n" not in str(caught.value)


def test_the_hub_is_loaded_when_it_is_asked():
    code = "import sys, hrvit_nas.models; print('huggingface_hub' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_weights_are_what_others_read(model, folder):
    tensors = load_file(folder / "model.safetensors")
    state = model.state_dict()
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in state.items())


def test_a_network_of_a_package_that_is_missing_says_so(tmp_path, monkeypatch):
    build_segmentor(scale_widths(get_arch("mit_b0"), 0.25), 3).save_pretrained(tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ArchError, match="pip install"):
        from_pretrained(tmp_path)
