"""Training of a supernet that collapses, and is taken back."""

import math

import pytest
import torch
from small_trainings import (
    StopRunError,
    assert_same_progress,
    assert_same_weights,
    build_super,
    plan,
    run_super,
    stop_at,
)

from hrvit_nas.training import TrainingFailedError
from hrvit_nas.training import collapse as module
from hrvit_nas.training.collapse import MAX_RETURNS
from hrvit_nas.training.packing import unpack


def stored(path):
    return unpack(torch.load(path, weights_only=True))


def poison(net, at, value=math.nan, times=1):
    """Spoils the classifier after some step, the first times that this step is done."""
    left = [times]

    def callback(progress):
        if progress.step == at and left[0]:
            left[0] -= 1
            with torch.no_grad():
                net.head.classifier.bias[-1] = value

    return callback


def test_weights_that_are_no_numbers_are_taken_back(monkeypatch, tmp_path, data):
    monkeypatch.setattr(module, "GOOD_STEPS", 2)
    net = build_super()
    steps = []
    spoil = poison(net, at=5)

    def callback(progress):
        steps.append(progress.step)
        spoil(progress)

    progress = run_super(net, data, on_step=callback, checkpoint=tmp_path / "last.pt")
    assert progress.returns == [5]
    assert steps == [1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8]  # back to the last state but one
    assert progress.step == 8
    assert all(math.isfinite(x) for loss in progress.losses for x in loss)
    assert all(tensor.isfinite().all() for tensor in net.state_dict().values())
    assert stored(tmp_path / "last.pt")["progress"]["returns"] == [5]


def test_a_resumed_training_returns_to_the_state_that_it_would_have_returned_to(
    monkeypatch, tmp_path, data
):
    monkeypatch.setattr(module, "GOOD_STEPS", 2)
    whole, resumed, path = build_super(), build_super(seed=1), tmp_path / "last.pt"
    expected = run_super(whole, data, on_step=poison(whole, at=6))
    assert expected.returns == [6]
    saves = {"checkpoint": path, "checkpoint_seconds": 0}
    with pytest.raises(StopRunError):
        run_super(build_super(), data, **saves, on_step=stop_at(5))
    progress = run_super(resumed, data, checkpoint=path, on_step=poison(resumed, at=6))
    assert_same_progress(progress, expected)
    assert_same_weights(resumed, whole)


def test_a_return_brings_other_batches_and_a_lower_rate(data):
    plain, net = run_super(build_super(), data), build_super()
    rates = []

    def callback(progress):
        rates.append(progress.losses[0])
        poison_once(progress)

    poison_once = poison(net, at=1)
    progress = run_super(net, data, on_step=callback)
    assert progress.returns == [1]
    assert rates[0] == plain.losses[0] != rates[1]


def test_a_loss_that_jumps_is_taken_back(monkeypatch, data):
    monkeypatch.setattr(module, "CLIFF_STEPS", 2)
    net = build_super()
    progress = run_super(net, data, on_step=poison(net, at=5, value=1e3))
    assert progress.returns[0] in (5, 6)
    assert progress.step == 8
    assert max(loss.largest for loss in progress.losses) < 10


def test_scores_that_fall_are_taken_back(monkeypatch, data):
    net = build_super()
    # The last class is a rare one, so that to see it everywhere scores next to nothing.
    progress = run_super(net, data, how=plan(steps=24), on_step=poison(net, at=23, value=1e3))
    assert progress.returns == [23]
    assert [check.step for check in progress.checks] == [12, 24]
    assert progress.checks[-1].largest_miou > 0.5 * progress.checks[0].largest_miou


def test_a_run_that_collapses_again_and_again_fails(data):
    net = build_super()
    seen = []

    def callback(progress):
        seen.append(list(progress.returns))
        poison(net, at=3)(progress)

    with pytest.raises(TrainingFailedError, match="failed at step 3: loss nan") as caught:
        run_super(net, data, on_step=callback)
    assert caught.value.step == 3
    assert seen[-1] == [3] * MAX_RETURNS
