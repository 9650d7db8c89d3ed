from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from hrvit_nas.data import DataConfig, DataError, load_data
from hrvit_nas.data.layouts import LAYOUTS

CAMVID = Path(__file__).parents[3] / "shared" / "data" / "camvid"
DOCS = Path(__file__).parents[2] / "docs"


def save_image(path, size=(12, 16), value=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def save_mask(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values)).save(path)


def tree(root, *, train=("a", "b"), val=("c",), value=0, size=(12, 16)):
    """A camvid-like tree whose masks hold one value."""
    for split, names in (("train", train), ("val", val)):
        for name in names:
            save_image(root / "images" / split / f"{name}.png", size)
            save_mask(root / "annotations" / split / f"{name}.png", np.full(size, value, np.uint8))
    return root


def load(root, tmp_path, name="camvid", **fields):
    return load_data(DataConfig(name=name, root=root, **fields), tmp_path / "cache")


def test_a_layout_reads_fields_that_there_are_and_needs_a_root_unless_it_draws():
    for name, layout in LAYOUTS.items():
        assert set(layout.reads) < set(DataConfig.model_fields), name
        assert ("root" in layout.reads) != ("seed" in layout.reads), name


def test_the_page_on_data_says_what_each_root_holds():
    lines = (DOCS / "data.md").read_text(encoding="utf-8").splitlines()
    begin = lines.index("| `--data` | `--data-root` holds |") + 2
    rows = lines[begin : lines.index("", begin)]
    assert rows == [f"| `{name}` | {layout.root} |" for name, layout in LAYOUTS.items()]


def test_camvid_tree(tmp_path):
    root = tree(tmp_path / "set")
    values = np.tile(np.arange(12, dtype=np.uint8), (12, 1))
    save_image(root / "images/train/b.png", (12, 12))
    save_image(root / "images/train/a.png", (12, 12))
    save_mask(root / "annotations/train/a.png", values)
    save_mask(root / "annotations/train/b.png", values)
    data = load(root, tmp_path)
    assert (len(data.train), len(data.val), data.num_classes) == (2, 1, 11)
    assert data.ignore_index == 255
    assert [Path(name).name for name in data.train.names] == ["a.png", "b.png"]
    assert data.train.load(0)[1][0].tolist() == [*range(11), 255]


def test_camvid_photographs(tmp_path):
    if not CAMVID.is_dir():
        pytest.skip("the CamVid photographs are not at ../shared/data/camvid")
    data = load(CAMVID, tmp_path, image_size=(96, 128))
    assert (len(data.train), len(data.val), data.num_classes) == (367, 101, 11)
    seen = set()
    for split in (data.train, data.val):
        for index in range(0, len(split), 5):
            image, labels = split.load(index)
            assert image.shape == (96, 128, 3)
            seen |= set(np.unique(labels).tolist())
    assert seen == {*range(11), 255}


# The official table of label ids (cityscapesScripts, helpers/labels.py): id, name, train id.
CITYSCAPES_LABELS = """
0 unlabeled 255, 1 ego-vehicle 255, 2 rectification-border 255, 3 out-of-roi 255, 4 static 255,
5 dynamic 255, 6 ground 255, 7 road 0, 8 sidewalk 1, 9 parking 255, 10 rail-track 255,
11 building 2, 12 wall 3, 13 fence 4, 14 guard-rail 255, 15 bridge 255, 16 tunnel 255, 17 pole 5,
18 polegroup 255, 19 traffic-light 6, 20 traffic-sign 7, 21 vegetation 8, 22 terrain 9, 23 sky 10,
24 person 11, 25 rider 12, 26 car 13, 27 truck 14, 28 bus 15, 29 caravan 255, 30 trailer 255,
31 train 16, 32 motorcycle 17, 33 bicycle 18
"""


def test_cityscapes_tree_and_train_ids(tmp_path):
    official = [entry.split() for entry in CITYSCAPES_LABELS.split(",")]
    ids = np.array([[int(label_id) for label_id, _, _ in official]], np.uint8)
    root = tmp_path / "cityscapes"
    for split, city in (("train", "aachen"), ("train", "zurich"), ("val", "lindau")):
        stem = f"{city}_000000_000019"
        save_image(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", ids.shape)
        save_mask(root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png", ids)
        # These lie beside the label ids in the real set.
        save_mask(root / "gtFine" / split / city / f"{stem}_gtFine_instanceIds.png", ids)
    data = load(root, tmp_path, "cityscapes")
    assert (len(data.train), len(data.val), data.num_classes) == (2, 1, 19)
    labels = data.val.load(0)[1]
    assert labels[0].tolist() == [int(train_id) for _, _, train_id in official]
    for _, name, train_id in official:
        if train_id != "255":
            assert data.class_names[int(train_id)] == name.replace("-", " ")


@pytest.mark.parametrize("inner", ["", "ADEChallengeData2016"])
def test_ade20k_tree(tmp_path, inner):
    values = np.tile(np.arange(151, dtype=np.uint8), (4, 1))
    root = tmp_path / "ade"
    for split, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        save_image(root / "ADEChallengeData2016/images" / split / f"{name}.jpg", values.shape)
        save_mask(root / "ADEChallengeData2016/annotations" / split / f"{name}.png", values)
    data = load(root / inner, tmp_path, "ade20k")
    assert (len(data.train), len(data.val), data.num_classes) == (1, 1, 150)
    assert data.train.load(0)[1][0].tolist() == [255, *range(150)]
    places = {
        0: "wall",
        12: "person",
        20: "car",
        80: "bus",
        115: "bag",
        127: "bicycle",
        149: "flag",
    }
    assert {label: data.class_names[label] for label in places} == places
    assert len(set(data.class_names)) == 150


def test_folder_with_classes(tmp_path):
    root = tree(tmp_path / "set", value=2)
    save_mask(root / "annotations/val/c.png", np.full((12, 16), 9, np.uint8))
    classes = tmp_path / "classes.yaml"
    classes.write_text("classes: [ground, water, ice]  # from 0\nignore: 9\n")
    data = load(root, tmp_path, "folder", classes=classes)
    assert data.class_names == ("ground", "water", "ice")
    assert (data.train.load(0)[1] == 2).all()
    assert (data.val.load(0)[1] == 255).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: [a, b]\nignore: 1\n", "ignore_index must be none of the 2 class values, got 1"),
        ("classes: [a, b, a]\n", "two classes have the same name: a"),
        ("classes: []\n", "classes: List should have at least 1 item"),
        ("class: [a]\n", "classes: Field required"),
        ("classes: [a]\nignored: 3\n", "ignored: unknown key; did you mean 'ignore_index'?"),
        ("just text", "it must hold classes: [names], got 'just text'"),
        ("- a\n- b\n", "it must hold classes: [names], got ['a', 'b']"),
        ("classes: [a", "cannot read"),
        (None, "cannot read"),
    ],
)
def test_faulty_classes_file(tmp_path, text, message):
    classes = tmp_path / "classes.yaml"
    if text is not None:
        classes.write_text(text)
    with pytest.raises(DataError, match=r"classes\.yaml") as caught:
        load(tree(tmp_path / "set"), tmp_path, "folder", classes=classes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def noise_image(path, **options):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).save(path, **options)


def truncated_jpeg(root):
    (root / "images/train/b.png").unlink()
    noise_image(root / "images/train/b.jpg", quality=95)
    truncate(root / "images/train/b.jpg")


def truncated_png(root):
    noise_image(root / "images/train/b.png")
    truncate(root / "images/train/b.png")


def text_as_image(root):
    (root / "images/train/b.png").write_text("not an image")


def truncated_mask(root):
    rng = np.random.default_rng(0)
    save_mask(root / "annotations/train/b.png", rng.integers(0, 11, (12, 16), np.uint8))
    truncate(root / "annotations/train/b.png")


def mask_of_other_size(root):
    save_mask(root / "annotations/train/b.png", np.zeros((12, 15), np.uint8))


def mask_in_colour(root):
    values = np.zeros((12, 16, 3), np.uint8)
    values[5, 6, 1] = 128
    save_mask(root / "annotations/train/b.png", values)


def label_out_of_range(root):
    values = np.zeros((12, 16), np.uint8)
    values[3, 4] = 12
    save_mask(root / "annotations/train/b.png", values)


def label_of_16_bits(root):
    values = np.zeros((12, 16), np.uint16)
    values[3, 4] = 300
    save_mask(root / "annotations/train/b.png", values)


def image_without_mask(root):
    (root / "annotations/train/b.png").unlink()


def two_images_one_mask(root):
    save_image(root / "images/train/b.jpg")


def empty_folder(root):
    for path in (root / "images/val").iterdir():
        path.unlink()


def missing_split(root):
    empty_folder(root)
    (root / "images/val").rmdir()


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (truncated_jpeg, ("images/train/b.jpg", "truncated")),
        (truncated_png, ("images/train/b.png", "cannot read")),
        (text_as_image, ("images/train/b.png", "not an image")),
        (truncated_mask, ("annotations/train/b.png", "cannot read")),
        (mask_of_other_size, ("annotations/train/b.png", "12x15", "images/train/b.png", "12x16")),
        (mask_in_colour, ("annotations/train/b.png", "one channel", "coloured", "palette")),
        (label_out_of_range, ("annotations/train/b.png", "value 12", "0 to 10", "11")),
        (label_of_16_bits, ("annotations/train/b.png", "value 300", "0 to 10")),
        (image_without_mask, ("images/train/b.png", "no mask", "annotations/train/b.png")),
        (two_images_one_mask, ("images/train/b.jpg", "b.png", "share one mask")),
        (empty_folder, ("images/val", "no .jpg")),
        (missing_split, ("images/val", "missing")),
    ],
)
@pytest.mark.parametrize("image_size", [None, (6, 8)])
def test_faulty_tree_is_one_line_that_names_the_file(tmp_path, damage, parts, image_size):
    root = tree(tmp_path / "set")
    damage(root)
    with pytest.raises(DataError) as caught:
        load(root, tmp_path, image_size=image_size)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message.replace("Truncated", "truncated")
    # Nothing half-made stays behind.
    left = [path for path in (tmp_path / "cache").glob("*") if path.suffix != ".lock"]
    assert not [path for path in left if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["camvid", "cityscapes", "ade20k"])
def test_missing_root(tmp_path, name):
    with pytest.raises(DataError, match=r"not a folder: .*nowhere"):
        load(tmp_path / "nowhere", tmp_path, name)


def test_wrong_layout_names_the_folder_it_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"missing: .*leftImg8bit/train"):
        load(tree(tmp_path / "set"), tmp_path, "cityscapes")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "camvid"}, "needs root"),
        ({"name": "scenes", "root": "x"}, "does not read root"),
        ({"name": "camvid", "root": "x", "num_train": 3}, "does not read num_train"),
        ({"name": "folder", "root": "x"}, "goes with name='folder'"),
        ({"name": "camvid", "root": "x", "classes": "y"}, "goes with name='folder'"),
        ({"image_size": (0, 8)}, "greater than or equal to 1"),
        ({"names": "scenes"}, "Extra inputs are not permitted"),
        ({"name": "kitti"}, "Input should be 'scenes'"),
    ],
)
def test_faulty_config(fields, message):
    with pytest.raises(ValidationError, match=message):
        DataConfig(**fields)


@pytest.mark.parametrize(
    "config", [DataConfig(num_train=7), DataConfig(name="camvid", root="x", image_size=(3, 4))]
)
def test_config_round_trips(config):
    assert DataConfig.model_validate_json(config.model_dump_json()) == config
