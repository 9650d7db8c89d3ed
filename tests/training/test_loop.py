import math
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from hrvit_nas.arch import get_arch, scale_widths
from hrvit_nas.data import AugmentConfig, DataError, SegmentationData, class_shares
from hrvit_nas.data.batches import normalised
from hrvit_nas.data.splits import SHARES_FROM
from hrvit_nas.models import build_segmentor, recalibrate
from hrvit_nas.training import (
    CheckpointError,
    Recipe,
    TrainingFailedError,
    class_weights,
    segmentation_loss,
    train,
)

IGNORE = 255
GPU = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    ],
)
PLAIN = AugmentConfig(scale=(1, 1), max_class_share=1, flip=0.5, photometric=0)


@dataclass(frozen=True)
class ArraySplit:
    """Squares of a colour on a background of another; the label is the colour."""

    images: np.ndarray
    labels: np.ndarray

    @property
    def names(self):
        return tuple(f"square {i}" for i in range(len(self)))

    def __len__(self):
        return len(self.images)

    def load(self, index):
        return self.images[index], self.labels[index]


def squares(count, *, seed, size=32, num_classes=3):
    rng = np.random.default_rng(seed)
    labels = np.zeros((count, size, size), np.uint8)
    for label in labels:
        top, left = rng.integers(0, size // 2, 2)
        label[top : top + size // 2, left : left + size // 2] = rng.integers(1, num_classes)
    labels[:, 0] = IGNORE
    palette = np.array([[30, 30, 30], [220, 40, 40], [40, 40, 220]], np.uint8)
    images = palette[np.where(labels == IGNORE, 0, labels)]
    return ArraySplit(images + rng.integers(0, 20, images.shape, dtype=np.uint8), labels)


DATA = SegmentationData(
    name="squares",
    class_names=("background", "red", "blue"),
    train=squares(6, seed=0),
    val=squares(3, seed=1),
)


class Net(nn.Module):
    """Everything that has a state or draws a random number, small."""

    def __init__(self, num_classes=3, width=8):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout2d(0.1)
        )
        self.head = nn.Conv2d(width, num_classes, 1)

    def forward(self, images):
        return self.head(self.backbone(images))


def build(model_seed=0, **options):
    with torch.random.fork_rng():
        torch.manual_seed(model_seed)
        return Net(**options)


def recipe(**fields):
    defaults = {
        "steps": 12,
        "batch_size": 2,
        "learning_rate": 0.02,
        "warmup_steps": 2,
        "augment": PLAIN,
    }
    return Recipe(**{**defaults, **fields})


def assert_same_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    for name, tensor in a.items():
        assert torch.equal(tensor, b[name]), name


def assert_same_result(a, b):
    assert a.losses == b.losses
    for one, other in zip(a.checks, b.checks, strict=True):
        assert one.step == other.step
        for mine, theirs in ((one.evaluation, other.evaluation), (one.averaged, other.averaged)):
            assert (mine is None) == (theirs is None)
            if mine is not None:
                np.testing.assert_array_equal(mine.confusion, theirs.confusion)
                np.testing.assert_array_equal(mine.boundary, theirs.boundary)
                assert mine.cross_entropy == theirs.cross_entropy


class StopRunError(Exception):
    pass


def stop_at(stop):
    def callback(check):
        if check.step == stop:
            raise StopRunError

    return callback


# The first part of a schedule


def test_a_run_that_stops_on_the_way_is_the_first_part_of_the_whole():
    whole, part = build(), build()
    plan = recipe(evaluations=4)
    expected = train(whole, DATA, plan, seed=3)
    found = train(part, DATA, plan.model_copy(update={"stop_after": 6, "evaluations": 2}), seed=3)
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

    plan = recipe(steps=3, evaluations=3, warmup_steps=0, optimizer="muon")
    plain, recalibrated = network(), network()
    before = train(plain, DATA, plan, seed=0)
    after = train(recalibrated, DATA, plan.model_copy(update={"recalibration_batches": 2}), seed=0)
    assert before.losses == after.losses
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter, dict(recalibrated.named_parameters())[name]), name
    assert before.evaluation.cross_entropy != after.evaluation.cross_entropy
    # The statistics are those of whole training images under the final weights.
    again = network()
    again.load_state_dict(recalibrated.state_dict())
    images = np.stack([DATA.train.load(n)[0] for n in range(len(DATA.train))])
    recalibrate(again, [normalised(images)])
    for name, buffer in again.named_buffers():
        if name.endswith("running_mean"):
            torch.testing.assert_close(
                buffer, dict(recalibrated.named_buffers())[name], rtol=1e-3, atol=1e-4
            )


# Learning


def test_learns_a_small_set():
    reports = []
    model = build()
    result = train(
        model,
        DATA,
        recipe(steps=60, evaluations=3),
        seed=0,
        on_check=reports.append,
    )
    assert np.mean(result.losses[-10:]) < 0.3 * result.losses[0]
    assert result.evaluation.miou > 0.9
    assert result.steps == len(result.losses) == 60
    assert [check.step for check in reports] == [20, 40, 60]
    assert tuple(reports) == result.checks
    assert result.evaluation is result.checks[-1].evaluation
    assert 0 < result.checks[0].seconds < result.checks[-1].seconds == result.seconds
    assert model.training


@pytest.mark.parametrize("device", ["cpu", GPU])
def test_a_segmentor_overfits(device):
    torch.manual_seed(0)
    model = build_segmentor(scale_widths(get_arch("hrvit_b1"), 0.125), DATA.num_classes)
    settings = recipe(steps=12, batch_size=4, learning_rate=5e-3, head_lr_factor=2.0)
    result = train(model, DATA, settings, seed=0, device=device)
    assert np.mean(result.losses[-3:]) < 0.7 * result.losses[0]
    assert next(model.parameters()).device.type == device
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_loss_equals_a_sum_by_hand_and_ignores_the_ignored():
    probabilities = torch.tensor([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])
    logits = probabilities.log().T.reshape(1, 2, 1, 3)
    labels = torch.tensor([[[0, 1, IGNORE]]])
    expected = -(math.log(0.5) + math.log(0.8)) / 2
    assert segmentation_loss(logits, labels, IGNORE).item() == pytest.approx(expected)


def test_a_batch_without_labels_has_no_loss_and_no_gradient():
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = segmentation_loss(logits, torch.full((2, 4, 4), IGNORE), IGNORE)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_training_survives_images_without_labels():
    empty = ArraySplit(DATA.train.images, np.full_like(DATA.train.labels, IGNORE))
    data = SegmentationData(name="e", class_names=DATA.class_names, train=empty, val=DATA.val)
    result = train(build(), data, recipe(steps=3), seed=0)
    assert result.losses == (0, 0, 0)


def test_clipping_bounds_the_gradient():
    def first_gradient_norm(clip_norm):
        model = build()
        train(model, DATA, recipe(steps=1, warmup_steps=0, clip_norm=clip_norm), seed=0)
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
        results.append(train(build(), DATA, recipe(), seed=3, device=device))
    if device == "cpu":
        assert_same_result(*results)
    else:
        np.testing.assert_allclose(results[0].losses, results[1].losses, rtol=1e-2)


def test_another_seed_gives_another_run_from_the_same_weights():
    assert (
        train(build(), DATA, recipe(), seed=3).losses
        != train(build(), DATA, recipe(), seed=4).losses
    )


def test_dropout_depends_on_the_seed_and_differs_between_steps():
    masks = []
    model = build()
    dropout = model.backbone[3]
    dropout.register_forward_hook(lambda m, args, out: masks.append(out == 0))
    one_image = SegmentationData(
        name="one", class_names=DATA.class_names, train=squares(1, seed=0), val=DATA.val
    )
    still = recipe(steps=8, learning_rate=1e-9, augment=PLAIN.model_copy(update={"flip": 0.0}))
    dropout.p = 0.5
    train(model, one_image, still, seed=0)
    assert any(not torch.equal(masks[0], mask) for mask in masks[1:8])


def test_global_random_state_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(build(), DATA, recipe(steps=3), seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_change_nothing():
    assert_same_result(
        train(build(), DATA, recipe(steps=3), seed=0),
        train(build(), DATA, recipe(steps=3, num_workers=1), seed=0),
    )


# Averaging and weighting


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
    plain_model = build()
    settings = recipe(steps=6, learning_rate=0.01)
    result = train(model, DATA, settings.model_copy(update={"weight_averaging": 0.3}), seed=0)
    plain = train(plain_model, DATA, settings, seed=0)
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


def test_class_weights_are_inverse_frequencies_of_mean_one_over_pixels():
    labels = np.zeros((4, 5), np.uint8)
    labels[0] = 1
    labels[3] = 255
    split = ArraySplit(np.zeros((2, 4, 5, 3), np.uint8), np.stack([labels, labels]))
    data = SegmentationData(name="x", class_names=("a", "b", "c"), train=split, val=split)
    share = torch.tensor([2 / 3, 1 / 3])
    for power in (0.5, 1.0):
        weights = class_weights(data, power)
        assert weights[2] == 0
        assert weights[1] / weights[0] == pytest.approx(2**power)
        assert float((weights[:2] * share).sum()) == pytest.approx(1)


def test_class_shares_of_a_large_split_are_those_of_evenly_spaced_samples():
    labels = np.zeros((2 * SHARES_FROM, 2, 2), np.uint8)
    labels[::4] = 1
    split = ArraySplit(np.zeros((*labels.shape, 3), np.uint8), labels)
    np.testing.assert_array_equal(class_shares(split, 3), [0.5, 0.5, 0])
    with pytest.raises(DataError, match="no pixel of the training set is labelled"):
        class_shares(ArraySplit(split.images, np.full_like(labels, IGNORE)), 3)


def test_the_weighted_loss_is_torchs_own_mean():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    labels = torch.randint(3, (2, 4, 5), generator=generator)
    labels[0, :2] = 255
    weights = torch.tensor([0.5, 2.0, 1.0])
    torch.testing.assert_close(
        segmentation_loss(logits, labels, 255, weights),
        torch.nn.functional.cross_entropy(logits, labels, weights, ignore_index=255),
    )
    assert segmentation_loss(logits, torch.full_like(labels, 255), 255, weights) == 0


# Checkpoints


@pytest.mark.parametrize("averaging", [0, 0.9])
@pytest.mark.parametrize("stop", [3, 6, 9])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, stop, averaging):
    settings = recipe(evaluations=4, weight_averaging=averaging)
    whole_model, resumed_model = build(), build(model_seed=9)
    whole = train(whole_model, DATA, settings, seed=0)

    path = tmp_path / "run" / "last.pt"
    with pytest.raises(StopRunError):
        train(build(), DATA, settings, seed=0, checkpoint=path, on_check=stop_at(stop))
    seen = []
    resumed = train(
        resumed_model,
        DATA,
        settings,
        seed=0,
        checkpoint=path,
        on_check=lambda check: seen.append(check.step),
    )
    assert seen == [step for step in (3, 6, 9, 12) if step > stop]
    assert_same_result(whole, resumed)
    assert_same_state(whole_model, resumed_model)
    assert [file.name for file in path.parent.iterdir()] == ["last.pt"]


def test_a_run_killed_between_evaluations_goes_on_from_its_last_checkpoint(tmp_path):
    class Killed(Net):
        calls = 0

        def forward(self, images):
            self.calls += 1
            if self.calls == 8:
                raise KeyboardInterrupt
            return super().forward(images)

    path = tmp_path / "last.pt"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        killed = Killed()
    with pytest.raises(KeyboardInterrupt):
        train(killed, DATA, recipe(), seed=0, checkpoint=path, checkpoint_seconds=0)
    counted = Killed()
    counted.calls = 100
    resumed = train(counted, DATA, recipe(), seed=0, checkpoint=path)
    assert counted.calls == 100 + (12 - 7) + 1
    assert_same_result(train(build(), DATA, recipe(), seed=0), resumed)


def test_a_finished_run_is_not_repeated(tmp_path):
    path = tmp_path / "last.pt"
    first_model, second_model = build(), build(model_seed=1)
    first = train(first_model, DATA, recipe(), seed=0, checkpoint=path)
    stamp = path.stat().st_mtime_ns
    second = train(second_model, DATA, recipe(), seed=0, checkpoint=path, on_check=stop_at(12))
    assert_same_result(first, second)
    assert_same_state(first_model, second_model)
    assert second.seconds == first.seconds
    assert path.stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a checkpoint"),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: torch.save({"weights": torch.zeros(2)}, path),
        lambda path: path.write_bytes(pickle.dumps(print, protocol=2)),
    ],
    ids=["empty", "text", "truncated", "foreign", "pickle"],
)
def test_a_broken_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "last.pt"
    train(build(), DATA, recipe(), seed=0, checkpoint=path)
    damage(path)
    with pytest.raises(CheckpointError, match=r"^checkpoint .*last\.pt ") as caught:
        train(build(), DATA, recipe(), seed=0, checkpoint=path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "is of another run: seed is 0 there, 1 here$"),
        (
            {"settings": recipe(learning_rate=1.0)},
            "is of another run: recipe.learning_rate is 0.02 there, 1.0 here$",
        ),
        ({"model": build(width=4)}, "is of another network: .*backbone.0.weight"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, message):
    path = tmp_path / "last.pt"
    train(build(), DATA, recipe(), seed=0, checkpoint=path)
    run = {"seed": 0, "settings": recipe(), "model": build(), **change}
    with pytest.raises(CheckpointError, match=message):
        train(run["model"], DATA, run["settings"], seed=run["seed"], checkpoint=path)


def test_a_run_may_go_on_with_another_number_of_workers(tmp_path):
    path = tmp_path / "last.pt"
    first = train(build(), DATA, recipe(), seed=0, checkpoint=path)
    assert_same_result(first, train(build(), DATA, recipe(num_workers=2), seed=0, checkpoint=path))


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
        train(Broken(at=at, where=where), DATA, recipe(), seed=0, checkpoint=path)
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
        train(Coarse(), DATA, recipe(), seed=0)
