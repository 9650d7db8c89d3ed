"""Batches that leave a batch norm one value a channel are refused before a step is made."""

import pytest

from hrvit_nas.training import Recipe, check_maps


def recipe(size, **fields):
    return Recipe(augment={"crop_size": size}, steps=1, warmup_steps=0, **fields)


@pytest.mark.parametrize(
    ("fields", "size", "images", "message"),
    [
        (
            {"batch_size": 1},
            (32, 32),
            8,
            "one image of 32x32 .* batch of training; raise batch_size",
        ),
        ({"batch_size": 1}, (20, 31), 8, "one image of 20x31 has a smallest map of 1x1"),
        ({"batch_size": 1}, (32, 33), 8, None),
        ({"batch_size": 2}, (32, 32), 8, None),
        (
            {"recalibration_batches": 2, "eval_batch_size": 1},
            (32, 32),
            8,
            "batch of BN recalibration; raise eval_batch_size",
        ),
        ({"recalibration_batches": 2, "eval_batch_size": 4}, (32, 32), 8, None),
        ({"recalibration_batches": 2, "eval_batch_size": 4}, (32, 32), 5, "recalibration; raise"),
        ({"recalibration_batches": 1, "eval_batch_size": 4}, (32, 32), 5, None),
        ({"recalibration_batches": 2, "eval_batch_size": 4}, (64, 32), 5, None),
    ],
)
def test_a_batch_norm_must_see_more_than_one_value(fields, size, images, message):
    made = recipe(size, **fields)
    if message is None:
        check_maps(made, size, images)
        return
    with pytest.raises(ValueError, match=message):
        check_maps(made, size, images)


def test_no_process_passes_a_part_without_an_image():
    made = recipe((64, 64), batch_size=8, accumulation_steps=4)
    check_maps(made, (64, 64), 8, 2)
    with pytest.raises(ValueError, match="batch_size must be at least 16, an image for each of 4"):
        check_maps(made, (64, 64), 8, 4)
