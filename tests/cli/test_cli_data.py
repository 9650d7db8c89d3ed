"""`hrvit-data check` on photographs and on drawn scenes."""

import numpy as np
import pytest
from PIL import Image

from hrvit_nas.cli.data import main


@pytest.fixture
def check(run_command, tmp_path, monkeypatch):
    """Runs `hrvit-data check` with a cache of its own: (status, lines, stderr)."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def check(*arguments):
        status, out, err = run_command(main, "check", *arguments)
        return status, [line.rstrip() for line in out.splitlines()], err

    return check


@pytest.fixture
def photographs(tmp_path):
    """A folder of two classes, the second of which no training mask has; one image is turned."""
    for split, values in (("train", [0, 0, 255]), ("val", [0, 1])):
        for name, size in (("a", (8, 6)), ("b", (6, 8))):
            labels = np.resize(np.array(values, np.uint8), size)
            for kind in ("images", "annotations"):
                (tmp_path / "set" / kind / split).mkdir(parents=True, exist_ok=True)
            Image.fromarray(labels).save(tmp_path / f"set/annotations/{split}/{name}.png")
            exif = Image.Exif()
            if name == "a":
                exif[0x0112] = 6
            stored = np.full((6, 8, 3), 90 + len(values), np.uint8)  # not the same in both
            Image.fromarray(stored).save(tmp_path / f"set/images/{split}/{name}.jpg", exif=exif)
    (tmp_path / "classes.yaml").write_text("classes: [ground, water]\n")
    return ("--data", "folder", "--data-root", "set", "--classes", "classes.yaml")


def test_what_a_folder_holds_is_printed(check, photographs, tmp_path):
    status, lines, err = check(*photographs)
    assert (status, err) == (0, "")
    assert lines == [
        "training: 2 images with masks, 8x6 (1), 6x8 (1); 1 are brought upright by EXIF;"
        " 33.3% of the pixels are ignored",
        "validation: 2 images with masks, 8x6 (1), 6x8 (1); 1 are brought upright by EXIF;"
        " 0.0% of the pixels are ignored",
        " label  class   training: pixels  masks  validation: pixels  masks",
        " 0      ground           100.00%      2              50.00%      2",
        " 1      water              never      0              50.00%      2",
        "warning: the training set looks like another convention: its masks hold 0 and 255 alone,"
        " and 255 is ignored; if it is a class, give map: {0: 0, 255: 1} in the classes file",
        "warning: 'ground' is the one class that is labelled in the training masks: a network that"
        " answers nothing else is right: there is nothing to learn; check the label rule",
        "photographs beside their labels: contact_sheet.png",
    ]
    with Image.open(tmp_path / "contact_sheet.png") as sheet:
        assert sheet.width > sheet.height


def test_a_set_that_looks_right_is_said_to(check, tmp_path):
    status, lines, err = check("--data", "scenes", "--sheet", tmp_path / "scenes.png")
    assert (status, err) == (0, "")
    assert lines[0].startswith("training: 800 images with masks, 96x128; 0.0% of the pixels")
    assert lines[-2] == "nothing looks like a mistake"
    assert (tmp_path / "scenes.png").is_file()


def test_a_faulty_mask_ends_it_and_nothing_is_written(check, photographs, tmp_path):
    (tmp_path / "set/annotations/val/b.png").write_bytes(b"no image")
    status, lines, err = check(*photographs)
    assert (status, lines) == (2, [])
    assert err.startswith("hrvit-data: cannot read ")
    assert err.count("\n") == 1
    assert not (tmp_path / "contact_sheet.png").exists()


def test_help_has_examples(check):
    status, lines, _ = check("--help")
    assert status == 0
    assert any("hrvit-data check --data camvid" in line for line in lines)
