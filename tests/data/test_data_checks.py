"""What looks like a mistake in a data set, and what is refused, before anything is trained."""

import numpy as np
import pytest
from PIL import Image

from hrvit_nas.data import DataConfig, DataError, check_data
from hrvit_nas.data.counts import LabelCounts, count_labels
from hrvit_nas.data.dataset import find
from hrvit_nas.data.duplicates import PIECE, in_both

SIZE = (12, 16)


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def mask(*values, size=SIZE):
    """A mask whose rows hold values by turns."""
    return np.resize(np.repeat(np.array(values, np.uint8), size[1]), size)


class Folder:
    """A set in the tree of camvid, or of cityscapes or ade20k, with one image a split."""

    def __init__(self, root, data="folder"):
        self.root, self.data, self.classes = root, data, root / "classes.yaml"

    def place(self, split, name, kind):
        """Path of an image or mask."""
        image = kind == "image"
        if self.data == "cityscapes":
            folder = "leftImg8bit" if image else "gtFine"
            end = "_leftImg8bit.png" if image else "_gtFine_labelIds.png"
            return self.root / folder / split / "ulm" / f"{name}{end}"
        if self.data == "ade20k":
            split = {"train": "training", "val": "validation"}[split]
        return self.root / ("images" if image else "annotations") / split / f"{name}.png"

    def add(self, split, values, name="a"):
        grey = {"train": 90, "val": 91}[split]
        save(self.place(split, name, "image"), np.full((*values.shape, 3), grey))
        save(self.place(split, name, "mask"), values)

    def check(self, **fields):
        if self.data == "folder":
            fields["classes"] = self.classes
        config = DataConfig(name=self.data, root=self.root, **fields)
        return check_data(config, self.root / "cache")


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    made.classes.write_text("classes: [a, b, c]\n")
    for split in ("train", "val"):
        made.add(split, mask(0, 1, 2))
    return made


def test_what_is_found_is_counted(folder):
    folder.add("train", mask(0, 0, 255, 255), "b")
    found = folder.check()
    assert found.warnings == ()
    counts = found.counts["train"]
    assert (counts.images, counts.sizes, counts.turned) == (2, ((*SIZE, 2),), 0)
    labels = np.concatenate([mask(0, 1, 2), mask(0, 0, 255, 255)])
    assert list(counts.pixels) == np.bincount(labels.ravel(), minlength=256).tolist()
    assert counts.values == counts.pixels
    assert counts.masks[:3] == (2, 1, 1)
    assert counts.masks[255] == 1
    assert counts.ignored == pytest.approx((labels == 255).mean())
    expected = [(labels == label).sum() / (labels != 255).sum() for label in range(3)]
    assert counts.shares(3) == pytest.approx(expected)


def test_counts_are_of_masks_as_stored_whatever_size_images_are_brought_to(folder):
    assert folder.check(image_size=(6, 8)).counts == folder.check().counts


def test_counts_are_kept_until_a_file_changes(folder, monkeypatch):
    first = folder.check()
    with monkeypatch.context() as patched:
        patched.setattr("hrvit_nas.data.counts.read_mask", None)  # nothing is read again
        assert folder.check() == first
    folder.add("val", mask(0, 1))
    assert folder.check().counts["val"] != first.counts["val"]


def test_damaged_counts_are_made_anew(folder):
    first = folder.check()
    for path in (folder.root / "cache").glob("*.counts.json"):
        path.write_text(path.read_text()[:20])
    assert folder.check() == first


def test_counts_round_trip(folder):
    counts = folder.check().counts["train"]
    assert LabelCounts.model_validate_json(counts.model_dump_json()) == counts


def test_progress_is_told(folder):
    folder.add("train", mask(0, 1), "b")
    told = []
    config = DataConfig(name="folder", root=folder.root, classes=folder.classes)
    check_data(config, folder.root / "cache", lambda *step: told.append(step))
    assert told == [("train", 1, 2), ("train", 2, 2), ("val", 1, 1)]


def test_a_drawn_set_is_counted_and_none_has_nothing(tmp_path):
    found = check_data(DataConfig(num_train=3, num_val=2, image_size=(16, 24)), tmp_path)
    assert [counts.images for counts in found.counts.values()] == [3, 2]
    assert found.counts["train"].values is None
    assert sum(found.counts["train"].pixels) == 3 * 16 * 24
    assert check_data(DataConfig(name="none"), tmp_path).counts == {}


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_a_label_is_refused(folder, split):
    folder.add(split, mask(255))
    word = {"train": "training", "val": "validation"}[split]
    with pytest.raises(DataError, match=f"no pixel of the {word} masks is labelled: all 1 hold"):
        folder.check()


def warned(found, *parts):
    """The one warning that has these parts."""
    fitting = [line for line in found.warnings if all(part in line for part in parts)]
    assert len(fitting) == 1, found.warnings
    assert "\n" not in fitting[0]
    return fitting[0]


def test_a_class_that_is_never_seen_is_warned_of(folder):
    folder.add("val", mask(0, 1))
    assert len(folder.check().warnings) == 1
    warned(
        folder.check(), "never seen in the validation masks, of 3 classes: c;", "left out of mIoU"
    )
    folder.add("train", mask(0, 2))
    warned(
        folder.check(), "never seen in the training masks, of 3 classes: b;", "cannot be learned"
    )


def test_a_large_ignored_share_is_warned_of(folder):
    folder.add("train", mask(0, 1, 2, 255, 255, 255))
    assert folder.check().warnings == ()
    folder.add("train", mask(0, 1, 2, *[255] * 5, size=(16, 16)))
    assert folder.check().warnings == (
        "62% of the pixels of the training masks are ignored, neither trained on nor scored; check"
        " the label rule if that is not meant",
    )


@pytest.mark.parametrize("names", ["a", "a, b"])
def test_one_class_is_warned_of(folder, names):
    folder.classes.write_text(f"classes: [{names}]\n")
    for split in ("train", "val"):
        folder.add(split, mask(0))
    found = folder.check()
    warned(found, "'a' is the one class that is labelled in the training masks", "nothing to learn")
    warned(found, "'a' is the one class that is labelled in the validation masks", "100%")
    assert len(found.warnings) == 2


def test_binary_masks_are_warned_of_and_a_map_mends_them(folder):
    folder.classes.write_text("classes: [background, target]\n")
    for split in ("train", "val"):
        folder.add(split, mask(0, 255))
    warned(folder.check(), "training set looks like", "0 and 255 alone", "map: {0: 0, 255: 1}")
    folder.classes.write_text("classes: [background, target]\nmap: {0: 0, 255: 1}\n")
    found = folder.check()
    assert found.warnings == ()
    assert found.counts["train"].shares(2) == pytest.approx([0.5, 0.5])


def test_labels_from_one_are_refused_with_the_remedy_that_mends_them(folder):
    folder.add("train", mask(1, 2, 3))
    with pytest.raises(DataError, match=r"value 3.*reduce_zero_label: true"):
        folder.check()
    folder.classes.write_text("classes: [a, b, c]\nreduce_zero_label: true\n")
    folder.add("val", mask(1, 2, 3))
    assert folder.check().warnings == ()


def test_masks_without_an_image_are_warned_of(folder):
    for name in "bcdef":
        save(folder.place("train", name, "mask"), mask(0))
    line = warned(folder.check(), "masks without an image", "annotations/train")
    assert line.endswith("b.png, c.png, d.png and 2 more")


def test_hidden_files_are_passed_over(folder):
    for kind in ("image", "mask"):
        folder.place("train", "._a", kind).write_bytes(b"Mac OS X")
    assert folder.check().warnings == ()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a_mask.png"], r"expected .*a\.png; there lie a_mask.png"),
        (["a.jpg"], r"there lie a\.jpg \(JPEG alters labels"),
        (["other.png", "x.txt"], "there lie other.png, x.txt"),
        ([], "there lie no files"),
    ],
)
def test_what_lies_in_the_place_of_a_mask_is_named(folder, names, message):
    place = folder.place("train", "a", "mask")
    place.unlink()
    for name in names:
        place.with_name(name).touch()
    with pytest.raises(DataError, match=message):
        folder.check()


def test_how_many_images_have_no_mask_is_said(folder):
    for name in "bcd":
        save(folder.place("train", name, "image"), np.zeros((*SIZE, 3)))
    with pytest.raises(DataError, match="3 of 4 images have none"):
        folder.check()


@pytest.mark.parametrize("suffix", ["PNG", "tif", "BMP"])
def test_masks_of_other_suffixes_are_found(folder, suffix):
    place = folder.place("train", "a", "mask")
    place.unlink()
    save(place.with_suffix(f".{suffix}"), mask(0, 1, 2))
    assert folder.check().warnings == ()


def test_two_masks_of_an_image_are_refused(folder):
    save(folder.place("train", "a", "mask").with_suffix(".tif"), mask(0))
    with pytest.raises(DataError, match=r"masks .*a\.png and a\.tif are of one image"):
        folder.check()


def test_a_mask_that_does_not_fit_is_found_before_images_are_decoded(folder):
    save(folder.place("val", "a", "mask"), mask(0, size=(12, 15)))
    with pytest.raises(DataError, match=r"12x15 pixels, but its image .* has 12x16"):
        folder.check()


@pytest.fixture
def streets(tmp_path):
    made = Folder(tmp_path, "cityscapes")
    for split in ("train", "val"):
        made.add(split, mask(7, 11, 21, 23, 26), "ulm_0")
    return made


def test_train_ids_under_the_name_of_label_ids(streets):
    streets.add("train", mask(0, 2, 8, 10, 13, 255), "ulm_0")
    line = warned(streets.check(), "training set looks like another convention")
    assert "train ids" in line
    assert "labelIds.png" in line
    streets.add("train", mask(0, 5, 18, 255), "ulm_0")
    with pytest.raises(DataError, match=r"no pixel of the training masks is labelled.*train ids"):
        streets.check()


def test_label_ids_are_not_taken_for_train_ids(streets):
    assert not [line for line in streets.check().warnings if "convention" in line]


def test_other_masks_of_a_frame_are_named(streets):
    place = streets.place("train", "ulm_0", "mask")
    place.rename(place.with_name("ulm_0_gtFine_labelTrainIds.png"))
    with pytest.raises(DataError, match=r"labelTrainIds\.png.*label ids are needed"):
        streets.check()


@pytest.fixture
def rooms(tmp_path):
    made = Folder(tmp_path, "ade20k")
    for split in ("train", "val"):
        made.add(split, mask(0, 1, 1, 2, 149))
    return made


def test_ade_labels_that_were_reduced(rooms):
    assert not [line for line in rooms.check().warnings if "convention" in line]
    rooms.add("val", mask(0, 0, 1, 149))
    warned(rooms.check(), "validation set looks like another convention", "0 is wall")
    rooms.add("val", mask(0, 0, 1, 149, 255))
    with pytest.raises(DataError, match=r"value 255; allowed: 0 to 150; .*0 is wall"):
        rooms.check()


def test_coloured_masks(folder):
    folder.classes.write_text('classes: [a, b]\npalette: [[0, 0, 0], "#800000"]\n')
    for split in ("train", "val"):
        colours = np.where(mask(0, 1)[..., None], (128, 0, 0), (0, 0, 0))
        folder.add(split, mask(0))
        save(folder.place(split, "a", "mask"), colours)
    found = folder.check()
    assert found.warnings == ()
    assert found.counts["val"].values is None
    assert found.counts["val"].shares(2) == pytest.approx([0.5, 0.5])


def test_every_mask_of_a_large_set_is_read_by_several_threads_in_order(folder):
    names = [f"n{number:02}" for number in range(40)]
    for name in names:
        folder.add("train", mask(0, 1, 2), name)
    for name in names[11:]:
        save(folder.place("train", name, "mask"), mask(7))
    split = find(DataConfig(name="folder", root=folder.root, classes=folder.classes)).split(
        "train", None
    )
    with pytest.raises(DataError, match=r"n11\.png holds the value 7"):
        count_labels(split, folder.root / "cache")


def test_images_of_both_splits_are_warned_of_whatever_they_are_called(folder):
    assert folder.check().warnings == ()
    seen = folder.place("train", "a", "image").read_bytes()
    folder.add("val", mask(0, 1, 2), "street")
    folder.place("val", "street", "image").write_bytes(seen)
    assert folder.check().warnings == (
        "1 of 2 validation images are training images too, and flatter every score: street.png;"
        " keep them in one split",
    )


def test_equal_sizes_and_middles_are_no_equal_images(tmp_path):
    middle = bytes(2 * PIECE)
    paths = {name: tmp_path / name for name in ("one", "other", "same", "longer")}
    paths["one"].write_bytes(b"1" + middle + b"1")
    paths["other"].write_bytes(b"2" + middle + b"1")
    paths["same"].write_bytes(b"1" + middle + b"1")
    paths["longer"].write_bytes(b"1" + middle + b"1" + b"1")
    val = [paths["other"], paths["same"], paths["longer"]]
    assert in_both([paths["one"]], val) == [paths["same"]]
    assert in_both([], val) == in_both([paths["one"]], []) == []
