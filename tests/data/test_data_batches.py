import subprocess
import sys
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image

from hrvit_nas.data import (
    AugmentConfig,
    DataConfig,
    DataError,
    cache,
    contact_sheet,
    load_data,
    mask_sheet,
    train_batches,
    val_batches,
)
from hrvit_nas.data.transforms import DEVIATION, MEAN

PLAIN = AugmentConfig(scale=(1, 1), max_class_share=1, flip=0, photometric=0)
RANDOM = AugmentConfig(crop_size=(24, 32))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    config = DataConfig(num_train=10, num_val=5, image_size=(32, 40))
    return load_data(config, tmp_path_factory.mktemp("cache"))


def same(batches, others):
    pairs = list(zip(batches, others, strict=True))
    assert pairs
    return all(torch.equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True))


def run(data, **options):
    return train_batches(
        data.train, **{"batch_size": 4, "num_steps": 6, "seed": 1, "augment": RANDOM, **options}
    )


def test_batch_is_normalised_and_channels_last(data):
    images, labels = next(run(data, augment=PLAIN))
    assert images.shape == (4, 3, 32, 40)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.shape == (4, 32, 40)
    assert labels.dtype == torch.int64
    stored = {data.train.load(i)[0].tobytes() for i in range(10)}
    back = images.permute(0, 2, 3, 1) * torch.tensor(DEVIATION) + torch.tensor(MEAN)
    for image in back.round().to(torch.uint8):
        assert image.numpy().tobytes() in stored


def test_same_seed_same_batches_and_another_seed_others(data):
    assert same(run(data), run(data))
    assert not same(run(data), run(data, seed=2))


@pytest.mark.parametrize("start", [1, 4, 6])
def test_run_resumes_exactly(data, start):
    whole = list(run(data))
    rest = list(run(data, start_step=start))
    assert len(rest) == 6 - start
    assert start == 6 or same(whole[start:], rest)


def test_a_longer_run_begins_alike(data):
    assert same(islice(run(data, num_steps=50), 6), run(data))


def test_workers_change_nothing(data):
    assert same(run(data), run(data, num_workers=2))
    one = val_batches(data.val, batch_size=2)
    assert same(one, val_batches(data.val, batch_size=2, num_workers=2))


def test_global_generators_neither_matter_nor_move(data):
    torch.manual_seed(0)
    np.random.seed(0)
    first = list(run(data))
    drawn = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(1), drawn)
    assert same(first, run(data))


def test_every_epoch_shows_each_sample_once_in_a_new_order(data):
    images = [data.train.load(i)[1].tobytes() for i in range(10)]
    seen = [
        images.index(label.to(torch.uint8).numpy().tobytes())
        for _, labels in run(data, num_steps=5, augment=PLAIN)
        for label in labels
    ]
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]


def test_val_batches_are_whole_and_in_order(data):
    batches = list(val_batches(data.val, batch_size=2))
    assert [len(labels) for _, labels in batches] == [2, 2, 1]
    labels = torch.cat([labels for _, labels in batches])
    for index in range(5):
        assert np.array_equal(labels[index].numpy(), data.val.load(index)[1])


@pytest.fixture
def mixed(tmp_path):
    """A set read from files, with images of two sizes and one truncated mask in val."""
    for split in ("train", "val"):
        for number, width in enumerate((12, 14)):
            for kind, values in (
                ("images", np.zeros((10, width, 3), np.uint8)),
                ("annotations", np.zeros((10, width), np.uint8)),
            ):
                path = tmp_path / kind / split / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(path)
    mask = tmp_path / "annotations" / "val" / "1.png"
    mask.write_bytes(mask.read_bytes()[:40])
    return DataConfig(name="camvid", root=tmp_path)


def test_images_of_different_size_need_a_crop(mixed, tmp_path):
    data = load_data(mixed, tmp_path / "cache")
    with pytest.raises(DataError, match=r"differ in size: .*png has 10x1\d pixels, .*crop_size"):
        next(run(data, batch_size=2, augment=PLAIN))
    images, _ = next(run(data, batch_size=2, augment=RANDOM))
    assert images.shape == (2, 3, 24, 32)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_damage_found_late_is_the_same_one_line(mixed, tmp_path, monkeypatch, num_workers):
    monkeypatch.setattr(cache, "CACHE_LIMIT_BYTES", 100)
    config = mixed.model_copy(update={"image_size": (8, 8)})
    data = load_data(config, tmp_path / "cache")
    with pytest.raises(DataError, match=r"^cannot read .*annotations/val/1\.png") as caught:
        list(val_batches(data.val, batch_size=2, num_workers=num_workers))
    assert "\n" not in str(caught.value)


def test_contact_sheet_shows_images_and_legend(data, tmp_path):
    path = tmp_path / "figures" / "sheet.png"
    contact_sheet(data, path, count=3, tile_width=64)
    with Image.open(path) as sheet:
        assert sheet.width == 4 * (64 + 6) + 6
        assert sheet.height > 2 * round(32 * 64 / 40)
        colours = {colour for _, colour in sheet.getcolors(1 << 20)}
    assert {(135, 190, 235), (25, 110, 190), (215, 40, 60)} <= colours  # sky, canal, person


def test_mask_sheet_shows_an_image_beside_its_masks(data):
    image, labels = data.val.load(0)
    sky, ignored = np.zeros_like(labels), np.full_like(labels, 255)
    sheet = mask_sheet(
        image, {"prediction": sky, "label": ignored}, data.class_names, tile_width=80
    )
    assert sheet.width == 3 * (80 + 6) + 6
    left = [6 + column * 86 for column in range(3)]
    pictures = [np.asarray(sheet.crop((x, 24, x + 80, 24 + 64))) for x in left]
    assert abs(pictures[0].mean() - image.mean()) < 2
    assert (pictures[1] == (135, 190, 235)).all()
    assert not pictures[2].any()


def test_configuration_and_loading_need_no_torch():
    program = "import sys, hrvit_nas.data as data; data.load_data; print('torch' in sys.modules)"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == "False"
