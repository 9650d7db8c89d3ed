"""`hrvit-predict`: photographs as people have them."""

from pathlib import PurePath

import numpy as np
import pytest
from PIL import Image

from hrvit_nas.cli.pictures import output_names
from hrvit_nas.cli.predict import main
from hrvit_nas.data.layouts import cityscapes
from hrvit_nas.data.sheet import GAP
from hrvit_nas.evaluation import Predictor
from hrvit_nas.evaluation import predict as predicted
from hrvit_nas.models import from_pretrained


@pytest.fixture
def predict(run_command, network):
    """Runs `hrvit-predict` with the network of six classes: (status, lines, stderr)."""

    def run(*arguments):
        status, out, err = run_command(main, *arguments, "--model", "net")
        return status, out.splitlines(), err

    return run


def photograph(path, height=40, width=48, seed=0, **options):
    """Writes a photograph; returns its pixels."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def labels_in(path):
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.asarray(image), image.getpalette()


def test_a_photograph_lies_beside_what_is_seen_in_it(predict, network, tmp_path):
    pixels = photograph(tmp_path / "x.png", 330, 340)
    status, lines, err = predict("x.png", "--labels", "--opacity", "1")
    assert (status, lines, err) == (0, ["predictions/x.png"], "")
    model = from_pretrained(network)
    expected = predicted(model, pixels)
    labels, palette = labels_in(tmp_path / "predictions/x.labels.png")
    assert np.array_equal(labels, expected)
    colours = np.array(model.description.palette)
    assert palette[:18] == colours.ravel().tolist()
    sheet = np.asarray(Image.open(tmp_path / "predictions/x.png"))
    assert np.array_equal(sheet[GAP : GAP + 330, GAP : GAP + 340], pixels)
    overlay = sheet[GAP : GAP + 330, 340 + 2 * GAP : 680 + 2 * GAP]
    assert np.array_equal(overlay, colours[expected])


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_all_that_is_written_is_upright(orientation, predict, network, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = photograph(tmp_path / "turned.png", 40, 60, exif=exif)
    turns = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]  # quarters, anticlockwise
    upright = np.rot90(stored, turns).copy()
    assert predict("turned.png", "--labels")[0] == 0
    labels, _ = labels_in(tmp_path / "predictions/turned.labels.png")
    assert np.array_equal(labels, predicted(from_pretrained(network), upright))
    with Image.open(tmp_path / "predictions/turned.png") as sheet:
        assert sheet.getexif().get(0x0112) is None
        height, width = upright.shape[:2]
        assert sheet.height > round(height * 320 / width)


def test_a_folder_with_those_below_goes_on_past_a_faulty_photograph(predict, tmp_path, caplog):
    photograph(tmp_path / "trip/a.png")
    photograph(tmp_path / "trip/day/b.JPG", quality=95)
    (tmp_path / "trip/c.png").write_bytes(b"noise")
    (tmp_path / "trip/notes.txt").write_text("no photograph")
    photograph(tmp_path / "trip/.hidden.png")
    status, lines, _ = predict("trip", "--output", "trip/seen")
    assert status == 1
    assert lines == ["trip/seen/a.png", "trip/seen/day/b.png"]
    assert caplog.messages == ["cannot read trip/c.png: not an image"]
    # What was written is not read the next time.
    status, again, _ = predict("trip", "--output", "trip/seen", "--overwrite")
    assert (status, again) == (1, lines)


def test_names_do_not_collide_and_nothing_is_replaced_unasked(predict, tmp_path):
    for number, name in enumerate(("a/x.png", "b/x.png", "b/y.png", "b/y.jpg")):
        photograph(tmp_path / name, seed=number)
    status, lines, _ = predict("a/x.png", "b/x.png", "b", "a/x.png")
    assert status == 0
    assert lines == [
        "predictions/a/x.png",
        "predictions/b/x.png",
        "predictions/y.jpg.png",
        "predictions/y.png.png",
    ]
    before = {name: (tmp_path / name).read_bytes() for name in lines}
    status, lines, err = predict("b/x.png", "a/x.png")
    assert (status, lines) == (2, [])
    assert "predictions/b/x.png and 1 more would be replaced" in err
    assert before == {name: (tmp_path / name).read_bytes() for name in before}


def test_two_images_for_one_file_are_refused(predict, tmp_path):
    photograph(tmp_path / "x.png")
    photograph(tmp_path / "x.labels.png")
    status, _, err = predict("x.png", "x.labels.png", "--labels")
    assert status == 2
    assert "two images would be written to predictions/x.labels.png" in err


def test_windows_and_scales(predict, network, tmp_path):
    photograph(tmp_path / "x.png", 90, 70)
    whole = ("x.png", "--labels")
    window = ("--mode", "slide", "--crop", 48, 48)
    options = {"whole": (), "windows": window, "both": (*window, "--scales", "0.75,1.5", "--flip")}
    found = {}
    for name, more in options.items():
        assert predict(*whole, "--output", name, *more)[0] == 0
        found[name], _ = labels_in(tmp_path / name / "x.labels.png")
        assert found[name].shape == (90, 70)
    pixels = np.asarray(Image.open(tmp_path / "x.png"))
    expected = predicted(from_pretrained(network), pixels, window=(48, 48), stride=(36, 36))
    assert np.array_equal(found["windows"], expected)
    assert not np.array_equal(found["both"], found["windows"])


def test_normalisation_is_the_networks_own(run_command, network, tmp_path):
    pixels = photograph(tmp_path / "x.png", 64, 64)
    model = from_pretrained(network)
    mean = tuple(channel + 60 for channel in model.description.mean)
    model.description = type(model.description)(**{**model.description.to_dict(), "mean": mean})
    model.save_pretrained(tmp_path / "darker")
    assert run_command(main, "x.png", "--model", "darker", "--labels")[0] == 0
    labels, _ = labels_in(tmp_path / "predictions/x.labels.png")
    assert np.array_equal(labels, Predictor(model, mean=mean).labels(pixels))
    assert not np.array_equal(labels, predicted(model, pixels))


def test_a_test_split_is_written_to_be_handed_in(run_command, saved_network, tmp_path):
    frames = ("berlin/berlin_000000_000019", "bonn/bonn_000003_000019")
    for number, frame in enumerate(frames):
        photograph(tmp_path / f"test/{frame}_leftImg8bit.png", seed=number)
    folder = saved_network(tuple(cityscapes.SCORED.values()))
    status, out, err = run_command(main, "test", "--model", folder, "--submission", "cityscapes")
    assert (status, err) == (0, "")
    assert out.splitlines() == [f"predictions/{frame}_leftImg8bit.png" for frame in frames]
    files = sorted((tmp_path / "predictions/submission").iterdir())
    assert [path.name for path in files] == [
        "berlin_000000_000019_pred_labelIds.png",
        "bonn_000003_000019_pred_labelIds.png",
    ]
    for path in files:
        assert set(np.unique(np.asarray(Image.open(path)))) <= set(cityscapes.SCORED)


@pytest.mark.parametrize(
    ("images", "names"),
    [
        ([("x.jpg", "x.jpg")], ["x"]),
        ([("t/a/x.jpg", "a/x.jpg")], ["a/x"]),
        ([("a/x.jpg", "x.jpg"), ("b/x.jpg", "x.jpg")], ["a/x", "b/x"]),
        ([("a/x.jpg", "x.jpg"), ("a/X.JPG", "X.JPG")], ["x.jpg", "X.JPG"]),
        (
            [("a/x.jpg", "x.jpg"), ("a/x.png", "x.png"), ("b/x.jpg", "x.jpg")],
            ["a/x.jpg", "a/x.png", "b/x.jpg"],
        ),
    ],
)
def test_names_tell_images_apart(images, names, tmp_path):
    assert output_names([(tmp_path / file, PurePath(name)) for file, name in images]) == names


def test_help_has_examples(predict):
    assert any("hrvit-predict photo.jpg --model RUN" in line for line in predict("--help")[1])
