"""The loop, by plain training: schedule, learning, seeds, averaging, failure."""

import math
import pickle

import numpy as np
import pytest
import torch
from small_trainings import (
    IGNORE,
    PLAIN,
    SQUARES,
    ArraySplit,
    Net,
    assert_same_result,
    build_net,
    plain_recipe,
    squares,
)

from hrvit_nas.arch import get_arch, scale_widths
from hrvit_nas.data import SegmentationData
from hrvit_nas.data.batches import normalised
from hrvit_nas.models import build_segmentor, recalibrate
from hrvit_nas.training import TrainingFailedError, train

GPU = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    ],
)


# The first part of a schedule


def test_a_run_that_stops_on_the_way_is_the_first_part_of_the_whole():
    whole, part = build_net(), build_net()
    plan = plain_recipe(evaluations=4)
    expected = train(whole, SQUARES, plan, seed=3)
    found = train(
        part, SQUARES, plan.model_copy(update={"stop_after": 6, "evaluations": 2}), seed=3
    )
    assert found.steps == 6
    assert found.losses == expected.losses[:6]
    for mine, theirs in zip(found.checks, expected.checks[:2], strict=True):
        assert mine.step == theirs.step
        np.testing.assert_array_equal(mine.evaluation.confusion, theirs.evaluation.confusion)


def test_batch_statistics_are_recalibrated_before_scoring_and_training_is_the_same():
    def network():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return build_segmentor(scale_widths(get_arch("hrvit_b1"), 0.125), 3)

    plan = plain_recipe(steps=3, evaluations=3, warmup_steps=0, optimizer="muon")
    plain, recalibrated = network(), network()
    before = train(plain, SQUARES, plan, seed=0)
    after = train(
        recalibrated, SQUARES, plan.model_copy(update={"recalibration_batches": 2}), seed=0
    )
    assert before.losses == after.losses
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter, dict(recalibrated.named_parameters())[name]), name
    assert before.evaluation.cross_entropy != after.evaluation.cross_entropy
    # The statistics are those of whole training images under the final weights.
    again = network()
    again.load_state_dict(recalibrated.state_dict())
    images = np.stack([SQUARES.train.load(n)[0] for n in range(len(SQUARES.train))])
    recalibrate(again, [normalised(images)])
    for name, buffer in again.named_buffers():
        if name.endswith("running_mean"):
            torch.testing.assert_close(
                buffer, dict(recalibrated.named_buffers())[name], rtol=1e-3, atol=1e-4
            )


# Learning


def test_learns_a_small_set():
    reports = []
    model = build_net()
    result = train(
        model,
        SQUARES,
        plain_recipe(steps=60, evaluations=3),
        seed=0,
        on_step=lambda progress: reports.append((progress.step, len(progress.checks))),
    )
    assert np.mean(result.losses[-10:]) < 0.3 * result.losses[0]
    assert result.evaluation.miou > 0.9
    assert result.steps == len(result.losses) == 60
    assert [check.step for check in result.checks] == [20, 40, 60]
    # Read every 16 steps, and wherever it is scored.
    assert reports == [(16, 0), (20, 1), (36, 1), (40, 2), (56, 2), (60, 3)]
    assert result.evaluation is result.checks[-1].evaluation
    assert 0 < result.checks[0].seconds < result.checks[-1].seconds == result.seconds
    assert model.training


@pytest.mark.parametrize("device", ["cpu", GPU])
def test_a_segmentor_overfits(device):
    torch.manual_seed(0)
    model = build_segmentor(scale_widths(get_arch("hrvit_b1"), 0.125), SQUARES.num_classes)
    settings = plain_recipe(steps=12, batch_size=4, learning_rate=5e-3, head_lr_factor=2.0)
    result = train(model, SQUARES, settings, seed=0, device=device)
    assert np.mean(result.losses[-3:]) < 0.7 * result.losses[0]
    assert next(model.parameters()).device.type == device
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_training_survives_images_without_labels():
    empty = ArraySplit(SQUARES.train.images, np.full_like(SQUARES.train.labels, IGNORE))
    data = SegmentationData(name="e", class_names=SQUARES.class_names, train=empty, val=SQUARES.val)
    result = train(build_net(), data, plain_recipe(steps=3), seed=0)
    assert result.losses == (0, 0, 0)


def test_clipping_bounds_the_gradient():
    def first_gradient_norm(clip_norm):
        model = build_net()
        train(model, SQUARES, plain_recipe(steps=1, warmup_steps=0, clip_norm=clip_norm), seed=0)
        return math.sqrt(sum(p.grad.square().sum().item() for p in model.parameters()))

    free = first_gradient_norm(None)
    assert first_gradient_norm(free / 4) == pytest.approx(free / 4, rel=1e-4)
    assert first_gradient_norm(free * 4) == pytest.approx(free)


# Seeds


@pytest.mark.parametrize("device", ["cpu", GPU])
def test_same_seed_same_result(device):
    results = []
    for _ in range(2):
        torch.rand(len(results) + 1)  # the global state differs, and must not matter
        results.append(train(build_net(), SQUARES, plain_recipe(), seed=3, device=device))
    if device == "cpu":
        assert_same_result(*results)
    else:
        np.testing.assert_allclose(results[0].losses, results[1].losses, rtol=1e-2)


def test_another_seed_gives_another_run_from_the_same_weights():
    assert (
        train(build_net(), SQUARES, plain_recipe(), seed=3).losses
        != train(build_net(), SQUARES, plain_recipe(), seed=4).losses
    )


def test_dropout_depends_on_the_seed_and_differs_between_steps():
    masks = []
    model = build_net()
    dropout = model.backbone[3]
    dropout.register_forward_hook(lambda m, args, out: masks.append(out == 0))
    one_image = SegmentationData(
        name="one", class_names=SQUARES.class_names, train=squares(1, seed=0), val=SQUARES.val
    )
    still = plain_recipe(
        steps=8, learning_rate=1e-9, augment=PLAIN.model_copy(update={"flip": 0.0})
    )
    dropout.p = 0.5
    train(model, one_image, still, seed=0)
    assert any(not torch.equal(masks[0], mask) for mask in masks[1:8])


def test_global_random_state_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(build_net(), SQUARES, plain_recipe(steps=3), seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_change_nothing():
    assert_same_result(
        train(build_net(), SQUARES, plain_recipe(steps=3), seed=0),
        train(build_net(), SQUARES, plain_recipe(steps=3, num_workers=1), seed=0),
    )


# Averaging


def test_the_averaged_weights_are_the_moving_average_and_are_what_is_scored():
    class Noted(Net):
        seen = ()

        def forward(self, images):
            if self.training:
                self.seen = (*self.seen, next(self.parameters()).detach().clone())
            return super().forward(images)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Noted()
    plain_model = build_net()
    settings = plain_recipe(steps=6, learning_rate=0.01)
    result = train(model, SQUARES, settings.model_copy(update={"weight_averaging": 0.3}), seed=0)
    plain = train(plain_model, SQUARES, settings, seed=0)
    check = result.checks[-1]
    assert result.losses == plain.losses
    np.testing.assert_array_equal(check.evaluation.confusion, plain.checks[-1].evaluation.confusion)
    assert result.evaluation is check.averaged

    # The weights before steps 1 to 5 are those after steps 0 to 4; the last come from a plain run.
    after = [*model.seen[1:6], next(plain_model.parameters()).detach()]
    expected = after[0]
    for count, weights in enumerate(after[1:], start=1):
        decay = min(0.3, (1 + count) / (10 + count))
        expected = decay * expected + (1 - decay) * weights
    torch.testing.assert_close(next(model.parameters()).detach(), expected)


# Failure


class Broken(Net):
    """Gives a loss or a gradient that is not a number at one step."""

    def __init__(self, *, at, where):
        super().__init__()
        self.at, self.where, self.calls = at, where, 0

    def forward(self, images):
        logits = super().forward(images)
        if self.training:
            self.calls += 1
        if self.calls - 1 == self.at:
            if self.where == "loss":
                return logits * math.inf
            logits.register_hook(lambda gradient: gradient * math.nan)
        return logits


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("at", [0, 4, 11])
def test_a_run_that_is_not_finite_fails_at_its_step(tmp_path, where, at):
    path = tmp_path / "last.pt"
    with pytest.raises(TrainingFailedError, match=f"at step {at}: loss ") as caught:
        train(Broken(at=at, where=where), SQUARES, plain_recipe(), seed=0, checkpoint=path)
    assert caught.value.step == at
    assert math.isfinite(caught.value.loss) == (where == "gradient")
    assert not math.isfinite(caught.value.gradient_norm)
    assert not path.exists()


def test_a_failure_crosses_processes():
    error = pickle.loads(pickle.dumps(TrainingFailedError(7, math.inf, 2.0)))
    assert (error.step, error.loss, error.gradient_norm) == (7, math.inf, 2.0)
    assert (
        str(error) == "training failed at step 7: loss inf, gradient norm 2.0; both must be finite"
    )


def test_logits_of_another_size_are_refused():
    class Coarse(Net):
        def forward(self, images):
            return super().forward(images)[:, :, ::4, ::4]

    with pytest.raises(ValueError, match=r"logits of shape \(2, 3, 32, 32\), got \(2, 3, 8, 8\)"):
        train(Coarse(), SQUARES, plain_recipe(), seed=0)
