"""Two processes that train one network together, each on half of every batch."""

import shutil

import numpy as np
import pytest
import torch
from small_trainings import (
    PLAIN,
    assert_same_result,
    build_net,
    build_super,
    plain_recipe,
    plan,
    run_plain,
    run_super,
    scenes,
    super_recipe,
)
from test_sandwich import ONE_STEP, added, assert_gradients, by_hand
from torch import distributed, multiprocessing, nn

from hrvit_nas.training.packing import unpack

pytestmark = pytest.mark.slow


class Unnormalised(nn.Module):
    """Nothing in it depends on what else is in a batch, nor on chance."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, images):
        return self.head(self.backbone(images))


SETTINGS = {
    "plain": plain_recipe(evaluations=2, batch_size=3),  # halves of two images and one
    "weighted": plain_recipe(class_weighting=0.5, weight_averaging=0.9, batch_size=4),
}
# Crops differ in how much of them is labelled.
CROPPED = PLAIN.model_copy(update={"crop_size": (32, 32), "scale": (0.5, 1.0)})


def settings_of(name):
    return SETTINGS[name].model_copy(update={"augment": CROPPED})


def in_group(rank, folder, work):
    """One of two processes: does some work, and keeps what it returns."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2
    )
    torch.save(work(folder), folder / f"{rank}.pt")
    distributed.destroy_process_group()


def by_two(folder, work):
    """What two processes return."""
    folder.mkdir(exist_ok=True)
    multiprocessing.spawn(in_group, (folder, work), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def refusal(train):
    with pytest.raises(ValueError, match="batch_size") as caught:
        train()
    return str(caught.value)


REFUSAL = "batch_size must be at least the number of processes, 2, got 1"


def train_plainly(folder):
    found = {}
    for name in SETTINGS:
        net = build_net(kind=Unnormalised)
        found[name] = run_plain(net, settings_of(name)), net.state_dict()
    settings = plain_recipe(batch_size=4, recalibration_batches=1, evaluations=2)
    path, kept = folder / "last.pt", folder / "kept.pt"

    def keep(progress):
        if progress.step == 5:
            shutil.copy(path, kept)

    whole, resumed = build_net(), build_net(model_seed=9)
    saves = {"checkpoint_seconds": 0, "on_step": keep}
    found["whole"] = run_plain(whole, settings, checkpoint=path, **saves), whole.state_dict()
    distributed.barrier()
    found["resumed"] = run_plain(resumed, settings, checkpoint=kept), resumed.state_dict()
    found["refusal"] = refusal(lambda: run_plain(build_net(), plain_recipe(batch_size=1)))
    return found


@pytest.fixture(scope="module")
def plainly(tmp_path_factory):
    return by_two(tmp_path_factory.mktemp("plain"), train_plainly)


@pytest.mark.parametrize("name", SETTINGS)
def test_two_processes_train_a_network_as_one_does(plainly, name):
    net = build_net(kind=Unnormalised)
    expected = run_plain(net, settings_of(name))
    for found, weights in (found[name] for found in plainly):
        np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-4)
        assert [check.step for check in found.checks] == [check.step for check in expected.checks]
        assert found.evaluation.cross_entropy == pytest.approx(
            expected.evaluation.cross_entropy, rel=1e-4
        )
        for key, tensor in net.state_dict().items():
            torch.testing.assert_close(weights[key], tensor, rtol=1e-3, atol=1e-4)
    assert_same_result(*(found[name][0] for found in plainly))


def test_batch_norms_differ_from_one_process_and_not_between_two(plainly):
    (one, weights), (other, theirs) = (found["whole"] for found in plainly)
    assert_same_result(one, other)
    assert weights.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in weights.items())
    alone = run_plain(build_net(), plain_recipe(batch_size=4))
    np.testing.assert_allclose(one.losses, alone.losses, rtol=0.3)
    assert one.losses[0] != pytest.approx(alone.losses[0], rel=1e-6)


def test_two_processes_go_on_bit_for_bit(plainly):
    for found in plainly:
        (whole, weights), (resumed, others) = found["whole"], found["resumed"]
        assert_same_result(whole, resumed)
        assert all(torch.equal(tensor, others[name]) for name, tensor in weights.items())
        assert found["refusal"] == REFUSAL


def train_supernets(folder):
    """Two runs, the first of a step whose gradients are kept."""
    data, step, net = scenes(), build_super(), build_super()
    settings = super_recipe(clip_norm=None, learning_rate=1e-9)
    first = run_super(step, data, settings, plan(**ONE_STEP))
    how = plan(project_conflicts=True)
    progress = run_super(net, data, how=how, checkpoint=folder / "last.pt")
    return {
        "losses": (first.losses, progress.losses),
        "checks": [check[:3] for check in progress.checks],
        "gradients": [p.grad for p in step.parameters()],
        "weights": net.state_dict(),
        "refusal": refusal(lambda: run_super(build_super(), data, super_recipe(batch_size=1))),
    }


def test_two_processes_train_one_supernet_on_halves_of_each_batch(tmp_path, data):
    one, other = by_two(tmp_path, train_supernets)
    assert one["losses"] == other["losses"]
    assert one["checks"] == other["checks"]
    assert all(torch.equal(w, other["weights"][name]) for name, w in one["weights"].items())
    assert one["refusal"] == REFUSAL

    net = build_super()
    halves = [by_hand(net, data, distillation=0.5, rank=rank, world=2) for rank in (0, 1)]
    losses = np.mean([losses for losses, _ in halves], 0)
    assert one["losses"][0][0] == pytest.approx(losses, rel=1e-4)
    sums = added(*(added(*gradients) for _, gradients in halves))
    assert_gradients(one["gradients"], [g if g is None else g / 4 for g in sums])

    written = unpack(torch.load(tmp_path / "last.pt", weights_only=True))["model"]
    assert all(torch.equal(w, one["weights"][name]) for name, w in written.items())
