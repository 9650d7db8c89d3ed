"""Some samples of a split, and one process's part of every batch."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from hrvit_nas.data import AugmentConfig, DataConfig, Selection, load_data, train_batches

AUGMENT = AugmentConfig(crop_size=(24, 32))


@dataclass(frozen=True)
class Numbers:
    """Sample n is filled with n."""

    count: int

    @property
    def names(self):
        return tuple(f"number {n}" for n in range(self.count))

    def __len__(self):
        return self.count

    def load(self, index):
        return np.full((2, 3, 3), index, np.uint8), np.full((2, 3), index, np.uint8)


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [
        (10, 5, [0, 2, 4, 6, 8]),
        (10, 3, [0, 3, 6]),
        (10, 1, [0]),
        (3, 3, [0, 1, 2]),
        (3, 8, [0, 1, 2]),
        (7, 5, [0, 1, 2, 4, 5]),
    ],
)
def test_a_selection_is_evenly_spaced_and_in_order(total, count, expected):
    chosen = Selection(split=Numbers(total), count=count)
    assert len(chosen) == len(expected)
    assert [int(chosen.load(n)[1][0, 0]) for n in range(len(chosen))] == expected
    assert chosen.names == tuple(f"number {n}" for n in expected)


@pytest.mark.parametrize("index", [-1, 3])
def test_a_selection_has_no_sample_outside(index):
    with pytest.raises(IndexError, match=f"sample {index} of a split of 3"):
        Selection(split=Numbers(9), count=3).load(index)


@pytest.mark.parametrize(("batch_size", "parts"), [(4, 1), (4, 2), (5, 2), (5, 3), (3, 3)])
def test_parts_of_a_batch_are_together_the_batch(tmp_path, batch_size, parts):
    data = load_data(DataConfig(num_train=7, num_val=1, image_size=(32, 40)), tmp_path)

    def run(part):
        return list(
            train_batches(
                data.train,
                batch_size=batch_size,
                num_steps=3,
                start_step=1,
                seed=1,
                augment=AUGMENT,
                part=part,
            )
        )

    whole = run((0, 1))
    shares = [run((rank, parts)) for rank in range(parts)]
    assert len(whole) == 2
    for step, batch in enumerate(whole):
        assert len(batch[0]) == batch_size
        for n in range(batch_size):
            for mine, theirs in zip(batch, shares[n % parts][step], strict=True):
                assert torch.equal(mine[n], theirs[n // parts])
        assert sum(len(share[step][0]) for share in shares) == batch_size
