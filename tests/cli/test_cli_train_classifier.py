"""`hrvit-train` of a classifier, and what every command says of data for classification."""

import pytest
import yaml
from PIL import Image
from test_cli_train import RECIPE as OF_MASKS

from hrvit_nas.cli import ablate, data, search, train
from hrvit_nas.cli import eval as evaluation

AUGMENT = {"crop_size": [32, 32], "rand_augment": {}, "erasing": 0.25}
RECIPE = {
    "description": "Seconds.",
    "image_size": [32, 32],
    "recipe": {
        "steps": 2,
        "batch_size": 2,
        "warmup_steps": 0,
        "decay": "cosine",
        "classification": {"augment": AUGMENT, "mixup": 0.8, "cutmix": 1.0},
    },
}
TINY = ("--arch", "hrvit_b1", "--width-factor", "0.125")
IMAGENET = ("--data", "imagenet", "--data-root", "set")


@pytest.fixture
def run(run_command, tmp_path):
    """Runs a command in this process beside two classes of one image: (status, stdout, stderr)."""
    (tmp_path / "classes.yaml").write_text(yaml.safe_dump(RECIPE))
    (tmp_path / "masks.yaml").write_text(yaml.safe_dump(OF_MASKS))
    for split in ("train", "val"):
        for name in ("n01", "n02"):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            Image.new("RGB", (40, 36), "red").save(
                tmp_path / "set" / split / name / "a.JPEG", "PNG"
            )
    return run_command


def test_a_backbone_is_trained_and_a_segmentor_begins_with_it(run):
    train_ = (train.main, "--executor", "inline", *TINY)
    status, out, err = run(*train_, "--recipe", "classes.yaml", *IMAGENET, "--output", "run")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith("GMACs at 32x32, 2 classes of imagenet")
    assert any("step 2/2: loss " in line and ", top-1 " in line for line in lines)
    assert lines[-2].startswith("top-1 ")
    assert ", top-5 100.00% on 2 validation images, one seed" in lines[-2]
    again = run(train.main, "--resume", "run", "--executor", "inline")
    assert (again[0], again[1].splitlines()[-2:]) == (0, lines[-2:])
    whole = ("--recipe", "laptop", "--steps", "1", "--batch-size", "2", "--output", "more")
    status, _, err = run(*train_, *whole, "--init", "run")
    assert status == 2
    assert err == (
        "hrvit-train: run must hold a segmentor, got a classifier; take its backbone alone\n"
    )
    status, out, err = run(*train_, *whole, "--init", "run", "--init-part", "backbone")
    assert (status, err) == (0, "")
    assert "first weights backbone of run; directory more" in out
    status, out, err = run(evaluation.main, "--model", "run", "--data", "scenes", "--output", "out")
    assert status == 2
    assert "holds a classifier; images need a segmentor" in err


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (
            train,
            (*TINY, "--recipe", "classes.yaml"),
            "data set 'scenes' is for segmentation, and the recipe for classification; give one for"
            " segmentation",
        ),
        (
            train,
            (*TINY, "--recipe", "masks.yaml", *IMAGENET),
            "data set 'imagenet' is for classification, and the recipe for segmentation; give one",
        ),
        (train, (*TINY, *IMAGENET), "no recipe for data set 'imagenet'; give one with --recipe"),
        (
            train,
            ("--arch", "cswin_ti", "--recipe", "classes.yaml", *IMAGENET),
            "a classifier must be an HRViT, got a cswin pyramid, which has no classification head",
        ),
        (
            train,
            (*TINY, "--recipe", "classes.yaml", "--data", "imagenet", "--data-root", "set/train"),
            "folder of images is missing:",
        ),
        (
            search,
            ("--data", "drawn_classes"),
            "--data must be for segmentation, got drawn_classes, which is for classification;"
            " hrvit-train trains on it",
        ),
        (search, ("--calibrate-proxy", "6", *IMAGENET), "--data must be for segmentation, got im"),
        (search, ("--recipe", "classes.yaml"), "and the recipe for classification; give one for"),
        (ablate, ("strip_width", *IMAGENET), "--data must be for segmentation, got imagenet"),
        (data, ("check", *IMAGENET), "has a class for each image and no masks; hrvit-train trains"),
    ],
)
def test_combinations_that_are_wrong_are_refused_in_one_line(
    run, tmp_path, command, arguments, message
):
    before = {path.name for path in tmp_path.iterdir()}
    status, _, err = run(command.main, *arguments)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == before


def test_help_has_an_example_of_a_backbone(run):
    _, out, _ = run(train.main, "--help")
    assert "--recipe imagenet_300e --data imagenet --data-root DIR" in out
    assert "--init runs/hrvit_b1-20260101-120000 --init-part backbone" in out
