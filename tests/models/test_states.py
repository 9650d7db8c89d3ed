"""Files of tensors are read as they were written, or the cause is named and nothing executed."""

import datetime
import pickle

import pytest
import torch

from hrvit_nas.models.states import DamagedFileError, read_tensors

STATE = {"weight": torch.arange(6.0).view(2, 3), "step": 7, "name": "x"}
NO_FILE = "no file of tensors, or one that was cut short"


def saved(path, state=STATE):
    torch.save(state, path)
    return path


def test_what_was_saved_is_read(tmp_path):
    read = read_tensors(saved(tmp_path / "state.pt"))
    assert torch.equal(read.pop("weight"), STATE["weight"])
    assert read == {"step": 7, "name": "x"}


def foreign(path):
    return saved(path, {**STATE, "when": datetime.datetime(2026, 1, 1)})


def cut(path):
    content = saved(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flipped(path):
    content = bytearray(saved(path).read_bytes())
    at = content.index(STATE["weight"].numpy().tobytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (foreign, "holds datetime.datetime, and nothing but tensors and plain data is loaded"),
        (cut, NO_FILE),
        (flipped, "in it is not what was written"),
        (lambda path: path.write_bytes(pickle.dumps({"a": datetime.date(2026, 1, 1)})), NO_FILE),
        (lambda path: path.write_text("description: no tensors\n"), NO_FILE),
        (lambda path: path.write_bytes(b""), NO_FILE),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_cause(write, reason, tmp_path):
    path = tmp_path / "state.pt"
    write(path)
    with pytest.raises(DamagedFileError, match=reason) as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)  # torch's advice, which is to execute it


def test_a_file_that_is_not_there_is_no_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "state.pt")
