"""`hrvit-eval` on folders of photographs, drawn scenes and trained runs."""

import csv
import io
import json
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.functional import jaccard_index

from hrvit_nas.cli.eval import main
from hrvit_nas.data.layouts import cityscapes
from hrvit_nas.evaluation import predict
from hrvit_nas.models import build_classifier, from_pretrained
from hrvit_nas.search.run import continue_run, create_run

SIZES = {"a": (48, 64), "b": (33, 77), "c": (70, 40)}
"""Height and width of the photographs."""


@pytest.fixture
def evaluate(run_command):
    return partial(run_command, main)


def drawn(name, height, width, classes):
    """A photograph and its labels, some ignored."""
    rng = np.random.default_rng([*name.encode()])
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    blocks = rng.integers(0, classes, (height // 8 + 1, width // 8 + 1))
    labels = np.kron(blocks, np.ones((8, 8), int))[:height, :width].astype(np.uint8)
    labels[:5, :9] = 255
    return image, labels


@pytest.fixture
def photographs(tmp_path):
    """A folder of three photographs of unlike sizes; returns its options and its samples."""
    samples = {name: drawn(name, *size, 6) for name, size in SIZES.items()}
    for split in ("train", "val"):
        for name, (image, labels) in samples.items():
            for kind, array in (("images", image), ("annotations", labels)):
                (tmp_path / "set" / kind / split).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(tmp_path / f"set/{kind}/{split}/{name}.png")
    names = "[sky, road, canal, car, tree, pole]"
    (tmp_path / "classes.yaml").write_text(f"classes: {names}\n")
    return ("--data", "folder", "--data-root", "set", "--classes", "classes.yaml"), samples


def expected_scores(folder, samples, **how):
    """Predictions of whole images, by torchmetrics."""
    model = from_pretrained(folder)
    found = [predict(model, image, **how) for image, _ in samples.values()]
    prediction = torch.from_numpy(np.concatenate([one.ravel() for one in found])).long()
    truth = np.concatenate([labels.ravel() for _, labels in samples.values()])
    asked = {"task": "multiclass", "num_classes": 6, "ignore_index": 255}
    ious = partial(jaccard_index, prediction, torch.from_numpy(truth).long(), **asked)
    return float(ious()), ious(average="none").tolist()


@pytest.mark.parametrize("mode", ["whole", "slide"])
def test_scores_of_photographs_of_unlike_sizes(mode, evaluate, network, photographs):
    options, samples = photographs
    window = ("--mode", "slide", "--crop", 40, 48, "--stride", 30, 36) if mode == "slide" else ()
    how = {"window": (40, 48), "stride": (30, 36)} if window else {}
    status, out, err = evaluate("--model", "net", *options, *window, "--format", "json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    miou, ious = expected_scores(network, samples, **how)
    assert found["miou"] == pytest.approx(miou, rel=1e-6)
    by_class = [row["iou"] for row in found["classes"]]
    # torchmetrics has 0 where truth and prediction lack a class.
    assert [iou or 0 for iou in by_class] == pytest.approx(ious, rel=1e-6)
    assert found["pixels"] == sum((labels != 255).sum() for _, labels in samples.values())
    assert (found["images"], found["data"], found["split"]) == (3, "folder", "val")
    assert found["crop"] == ([40, 48] if window else None)


def test_the_table_and_the_files_say_the_same(evaluate, network, photographs, tmp_path):
    options, _ = photographs
    command = ("--model", "net", *options, "--scales", "0.75,1", "--flip", "--output", "scores")
    status, out, err = evaluate(*command)
    assert (status, err) == (0, "")
    scores = json.loads((tmp_path / "scores/scores.json").read_text())
    assert "3 images: whole images, scales 0.75, 1, and mirrored" in out
    assert f"mIoU {100 * scores['miou']:.2f}%" in out
    assert out.splitlines()[-1] == "scores and confusion figure: scores"
    assert scores["scales"] == [0.75, 1.0]
    rows = list(csv.DictReader((tmp_path / "scores/classes.csv").open()))
    assert [row["class"] for row in rows] == ["sky", "road", "canal", "car", "tree", "pole"]
    table = list(csv.DictReader((tmp_path / "scores/confusion.csv").open()))
    confusion = np.array([[int(row[str(label)]) for label in range(6)] for row in table])
    assert confusion.sum() == scores["pixels"]
    assert confusion.sum(1).tolist() == [int(row["true_pixels"]) for row in rows]
    with Image.open(tmp_path / "scores/confusion.png") as figure:
        assert figure.width > 800
    assert sorted(path.name for path in (tmp_path / "scores").iterdir()) == [
        *("classes.csv", "confusion.csv", "confusion.png", "scores.json"),
    ]
    status, out, err = evaluate(*command)
    assert (status, out) == (2, "")
    assert "scores/scores.json and 3 more would be replaced" in err
    assert evaluate(*command, "--overwrite")[0] == 0


def test_csv_is_printed_for_programs(evaluate, network, photographs):
    status, out, _ = evaluate(
        "--model", "net", *photographs[0], "--format", "csv", "--split", "train"
    )
    assert status == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert sum(int(row["true_pixels"]) for row in rows) > 0
    assert len(rows) == 6


@pytest.mark.slow
def test_a_runs_network_scores_what_its_run_recorded(evaluate, make_config, tmp_path):
    config = make_config(trials=1, data={"name": "scenes", "image_size": [32, 48]})
    run = create_run(config, tmp_path / "run")
    continue_run(run, _Nobody())
    (record,) = (one for one in run.store.records() if one.purpose == "search")
    run.close()
    status, out, err = evaluate(
        *("--model", f"run:{record.arch_id}", "--data", "scenes", "--image-size", 32, 48),
        *("--format", "json"),
    )
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["arch_id"], found["images"]) == (record.arch_id, 200)
    # Sums over a batch round otherwise than those over an image.
    assert found["miou"] == pytest.approx(record.miou, abs=1e-4)
    assert found["cross_entropy"] == pytest.approx(record.history[-1].cross_entropy, rel=1e-4)


class _Nobody:
    def started(self, trial):
        pass

    def ended(self, record, summary):
        pass

    def supernet(self, step):
        pass


def test_other_names_are_warned_of(evaluate, network, photographs, tmp_path, caplog):
    (tmp_path / "classes.yaml").write_text("classes: [sky, road, river, car, tree, pole]\n")
    assert evaluate("--model", "net", *photographs[0])[0] == 0
    (line,) = caplog.messages
    assert "1 of 6 classes have other names: label 2 is 'canal' to the network and 'river'" in line


def test_a_network_without_a_description_is_warned_of(evaluate, saved_network, photographs, caplog):
    folder = saved_network(described=False)
    assert evaluate("--model", folder, *photographs[0])[0] == 0
    (line,) = caplog.messages
    assert line.endswith("ImageNet's mean and deviation are taken")


def test_sizes_far_from_those_of_training_are_told(evaluate, saved_network, photographs, caplog):
    folder = saved_network(size=(512, 512))
    assert evaluate("--model", folder, *photographs[0])[0] == 0
    (line,) = caplog.messages
    assert "has learnt at 512x512, and sees images at their own size, the first 48x64;" in line
    status, out, _ = evaluate(
        *("--model", folder, *photographs[0], "--input-size", 64, 64, "--format", "json")
    )
    assert (status, len(caplog.messages)) == (0, 1)
    assert json.loads(out)["input_size"] == [64, 64]


def test_a_classifier_is_refused(evaluate, photographs, tmp_path):
    spec = from_pretrained_spec()
    build_classifier(spec, 6).save_pretrained(tmp_path / "classifier")
    status, _, err = evaluate("--model", "classifier", *photographs[0])
    assert status == 2
    assert "classifier holds a classifier; images need a segmentor" in err


def from_pretrained_spec():
    from hrvit_nas.arch import get_arch, scale_widths

    return scale_widths(get_arch("hrvit_b1"), 0.125)


def test_a_damaged_photograph_ends_it_and_leaves_no_folder(
    evaluate, network, photographs, tmp_path
):
    (tmp_path / "set/images/val/a.png").write_bytes(b"noise")
    status, out, err = evaluate("--model", "net", *photographs[0], "--output", "new")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "a.png: not an image" in err
    assert not (tmp_path / "new").exists()


@pytest.fixture
def streets(tmp_path):
    """Two frames of Cityscapes' form."""
    ids = np.array(list(cityscapes.SCORED), np.uint8)
    for split in ("train", "val"):
        for frame in ("ulm_000000_000019", "ulm_000001_000019"):
            image, labels = drawn(frame, 40, 80, 19)
            stored = np.where(labels == 255, 0, ids[np.minimum(labels, 18)]).astype(np.uint8)
            for name, array in (
                (f"leftImg8bit/{split}/ulm/{frame}_leftImg8bit.png", image),
                (f"gtFine/{split}/ulm/{frame}_gtFine_labelIds.png", stored),
            ):
                path = tmp_path / "streets" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(path)
    return ("--data", "cityscapes", "--data-root", "streets")


def test_predictions_are_written_as_cityscapes_takes_them(
    evaluate, saved_network, streets, tmp_path
):
    folder = saved_network(tuple(cityscapes.SCORED.values()))
    status, _, err = evaluate(
        "--model", folder, *streets, "--submission", "cityscapes", "--output", "out"
    )
    assert (status, err) == (0, "")
    files = sorted((tmp_path / "out/submission").iterdir())
    assert [path.name for path in files] == [
        "ulm_000000_000019_pred_labelIds.png",
        "ulm_000001_000019_pred_labelIds.png",
    ]
    model, right, total = from_pretrained(folder), 0, 0
    for path in files:
        frame = path.name.removesuffix("_pred_labelIds.png")
        handed_in = np.asarray(Image.open(path))
        image, _ = drawn(frame, 40, 80, 19)
        ids = np.array(list(cityscapes.SCORED))
        assert handed_in.dtype == np.uint8
        assert np.array_equal(handed_in, ids[predict(model, image)])
        truth = np.asarray(
            Image.open(tmp_path / f"streets/gtFine/val/ulm/{frame}_gtFine_labelIds.png")
        )
        right += ((handed_in == truth) & (truth > 0)).sum()
        total += (truth > 0).sum()
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert scores["pixel_accuracy"] == pytest.approx(right / total)


def test_help_has_examples(evaluate):
    status, out, _ = evaluate("--help")
    assert status == 0
    assert "hrvit-eval --model network --data cityscapes" in out
