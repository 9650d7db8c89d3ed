"""What tests of trainings share: how one is cut off, and whether two came to the same."""

from functools import partial

import pytest
import torch

from hrvit_nas import from_pretrained
from hrvit_nas.search import training_run


class StopError(Exception):
    pass


def stop(note, at, path, progress):
    note(path, progress)
    if progress.step == at:
        raise StopError


def cut_off(run, at):
    """Trains a run in this process until a step, after which nothing is tidied up."""
    shared = {
        "directory": str(run.directory),
        "config": run.config.model_dump(mode="json"),
        "threads": torch.get_num_threads(),
        "device": "cpu",
        "checkpoint_seconds": 0,
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training_run, "_note", partial(stop, training_run._note, at))
        with pytest.raises(StopError):
            training_run.train_network(shared)


def weights(run):
    return from_pretrained(run.layout.model).state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(t, other[n]) for n, t in one.items())
