import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from hrvit_nas.data import DataConfig, DataError, cache, load_data
from hrvit_nas.data.splits import CachedSplit, FileSplit, SceneSplit

CONFIG = DataConfig(num_train=4, num_val=2, image_size=(32, 40))


def photographs(root, sizes=((10, 12), (10, 12), (10, 12))):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for number, size in enumerate(sizes):
            for kind, values in (
                ("images", rng.integers(0, 256, (*size, 3), np.uint8)),
                ("annotations", rng.integers(0, 12, size, np.uint8)),
            ):
                path = root / kind / split / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(path)
    return DataConfig(name="camvid", root=root)


def test_cached_samples_equal_drawn_ones(tmp_path):
    split = load_data(CONFIG, tmp_path).train
    drawn = SceneSplit(seed=0, first=0, count=4, size=(32, 40))
    assert isinstance(split, CachedSplit)
    assert split.names == drawn.names
    for index in range(4):
        for cached, fresh in zip(split.load(index), drawn.load(index), strict=True):
            assert np.array_equal(cached, fresh)


def test_cached_samples_are_mapped_and_read_only(tmp_path):
    split = load_data(CONFIG, tmp_path).train
    for array in split.load(0):
        base = array
        while not isinstance(base, np.memmap):
            base = base.base
        assert base.mode == "r"
        assert not array.flags.writeable


def test_second_load_decodes_nothing(tmp_path, monkeypatch):
    config = photographs(tmp_path / "set")
    first = load_data(config, tmp_path / "cache").train.load(1)

    def refuse(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(FileSplit, "load", refuse)
    second = load_data(config, tmp_path / "cache").train.load(1)
    assert np.array_equal(first[0], second[0])


def test_changed_file_or_size_is_decoded_anew(tmp_path):
    config = photographs(tmp_path / "set")
    before = load_data(config, tmp_path / "cache").train.load(0)[0]
    path = tmp_path / "set/images/train/0.png"
    Image.fromarray(255 - before).save(path)
    os.utime(path, ns=(1, 1))
    assert np.array_equal(load_data(config, tmp_path / "cache").train.load(0)[0], 255 - before)
    smaller = config.model_copy(update={"image_size": (5, 6)})
    assert load_data(smaller, tmp_path / "cache").train.load(0)[0].shape == (5, 6, 3)


def test_large_split_is_read_from_its_files(tmp_path, monkeypatch):
    config = photographs(tmp_path / "set")
    small = load_data(config, tmp_path / "cache").train
    monkeypatch.setattr(cache, "CACHE_LIMIT_BYTES", 100)
    large = load_data(config, tmp_path / "other").train
    assert isinstance(large, FileSplit)
    for index in range(3):
        for one, other in zip(small.load(index), large.load(index), strict=True):
            assert np.array_equal(one, other)


def test_split_of_several_sizes_is_read_from_its_files(tmp_path):
    config = photographs(tmp_path / "set", sizes=((10, 12), (10, 14)))
    data = load_data(config, tmp_path / "cache")
    assert isinstance(data.train, FileSplit)
    assert [data.train.load(i)[1].shape for i in range(2)] == [(10, 12), (10, 14)]
    same = config.model_copy(update={"image_size": (8, 8)})
    assert isinstance(load_data(same, tmp_path / "cache").train, CachedSplit)


def test_pickled_split_maps_the_same_files(tmp_path):
    split = load_data(DataConfig(num_train=20, num_val=1), tmp_path).train
    image = split.load(3)[0]
    pickled = pickle.dumps(split)
    assert len(pickled) < image.nbytes
    assert np.array_equal(pickle.loads(pickled).load(3)[0], image)


def test_processes_that_load_at_once_build_one_entry(tmp_path):
    program = (
        "import sys; from pathlib import Path; from hrvit_nas.data import DataConfig, load_data;"
        "data = load_data(DataConfig(num_train=40, num_val=1), Path(sys.argv[1]));"
        "print(int(data.train.load(39)[0].sum()))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate()[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    assert printed[0] == printed[1] != ""
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2


def test_default_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_data(CONFIG)
    assert len([path for path in (tmp_path / "hrvit_nas").iterdir() if path.is_dir()]) == 2


def test_unwritable_folder_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write the data cache .*file"):
        load_data(CONFIG, tmp_path / "file")


def test_damaged_entry_is_one_clear_error(tmp_path):
    split = load_data(CONFIG, tmp_path).train
    images = split.folder / "images.npy"
    images.write_bytes(images.read_bytes()[:200])
    with pytest.raises(DataError, match="damaged; delete it"):
        load_data(CONFIG, tmp_path).train.load(0)
