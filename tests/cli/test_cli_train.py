"""`hrvit-train` from the command line."""

import numpy as np
import pytest
import yaml
from PIL import Image

from hrvit_nas import from_pretrained
from hrvit_nas.cli.train import main

RECIPE = {
    "description": "A second.",
    "image_size": [32, 32],
    "recipe": {
        "steps": 3,
        "batch_size": 2,
        "warmup_steps": 0,
        "learning_rate": 1.0e-3,
        "augment": {"crop_size": [32, 32]},
    },
}


@pytest.fixture
def train(run_command, tmp_path, monkeypatch):
    """Runs `hrvit-train` in this process on four photographs: (status, stdout, stderr)."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    (tmp_path / "classes.yaml").write_text("classes: [dark, light]\n")
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in "ab":
            values = rng.integers(0, 2, (32, 32), np.uint8)
            for kind in ("images", "annotations"):
                path = tmp_path / "set" / kind / split / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(path)

    def train(*arguments):
        return run_command(main, "--executor", "inline", *arguments)

    return train


NEW = (
    *("--arch", "hrvit_b1", "--width-factor", "0.125", "--recipe", "recipe.yaml"),
    *("--data", "folder", "--data-root", "set", "--classes", "classes.yaml", "--output", "run"),
)


def test_a_network_is_trained_and_shown_again(train, tmp_path):
    status, out, err = train(*NEW, "--batch-size", 4, "--scale-rate", "linear")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith("M parameters, 0.001 GMACs at 32x32, 2 classes of folder")
    assert lines[1] == "3 steps of 4 images, first weights drawn from seed 0; directory run"
    assert any("step 3/3: loss " in line for line in lines)
    assert lines[-1] == "network: run/model; curve: run/curve.csv"
    assert lines[-2].startswith("mIoU ")
    assert lines[-2].endswith("% on 2 validation images, one seed")
    model = from_pretrained(tmp_path / "run/model")
    assert model.provenance["recipe"]["learning_rate"] == pytest.approx(2e-3)
    again = train("--resume", "run")
    assert again[0] == 0
    assert again[1].splitlines()[-3:] == lines[-3:]
    status, out, _ = train(*NEW[:-1], "more", "--init", "run/model", "--steps", 2, "--seed", 5)
    assert status == 0
    assert "2 steps of 2 images, first weights all of run/model; directory more" in out


def test_help_has_examples(train):
    _, out, _ = train("--help")
    assert "hrvit-train --resume runs/" in out
