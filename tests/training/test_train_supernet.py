"""Training of a supernet over a tiny space: learning, seeds, what is stored, scores of subnets."""

import numpy as np
import pytest
import torch
from small_trainings import (
    SEED,
    SIZE,
    SPACE,
    assert_same_progress,
    assert_same_weights,
    build_super,
    cost,
    declare,
    drawn,
    plan,
    run_super,
    super_recipe,
)

from hrvit_nas.evaluation import measure_latency
from hrvit_nas.training import (
    CheckpointError,
    SubnetScorer,
    SupernetProgress,
    find_ends,
    load_supernet,
    save_supernet,
)

CPU = torch.device("cpu")

# Learning and seeds


@pytest.mark.parametrize("sampling", ["cost", "space"])
def test_largest_and_other_subnets_learn(data, sampling):
    net = build_super()
    reports = []
    progress = run_super(
        net,
        data,
        how=plan(steps=60, sampling=sampling),
        on_step=lambda progress: reports.append(progress.step),
    )
    for kind in ("largest", "others"):
        losses = [getattr(loss, kind) for loss in progress.losses]
        assert np.mean(losses[-8:]) < 0.7 * np.mean(losses[:3])
    assert reports == list(range(1, 61))
    assert [check.step for check in progress.checks] == [30, 60]
    assert progress.checks[-1].largest_miou > 0
    assert progress.returns == []
    assert 0 < progress.checks[0].seconds < progress.checks[1].seconds <= progress.seconds
    assert net.training


def test_same_seed_same_weights_and_another_seed_others(data):
    nets = [build_super() for _ in range(3)]
    runs = []
    for net, seed in zip(nets, (SEED, SEED, SEED + 1), strict=True):
        torch.rand(len(runs) + 1)  # the global state differs, and must not matter
        before = torch.get_rng_state()
        runs.append(run_super(net, data, seed=seed))
        assert torch.equal(torch.get_rng_state(), before)
    assert_same_progress(*runs[:2])
    assert_same_weights(*nets[:2])
    assert runs[2].losses != runs[0].losses


def test_the_ends_are_the_dearest_and_the_cheapest():
    costs = sorted(cost(SPACE.decode(code)) for code in {SPACE.encode(s) for s in drawn(200)})
    ends = find_ends(build_super(), cost)
    assert (cost(ends.smallest), cost(ends.largest)) == (costs[0], costs[-1])


def test_a_supernet_stored_is_loaded(tmp_path, data):
    net, path = build_super(), tmp_path / "supernet.pt"
    progress = run_super(net, data)
    save_supernet(path, net, progress)
    for space in (SPACE, SPACE.narrow({"width": [16], "blocks": [1, 2]})):
        again = build_super(seed=1, space=space)
        assert load_supernet(path, again) == progress
        assert_same_weights(net, again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": declare(8, 24)}, "another space: gene 'width' was not trained at 24"),
        ({"space": declare(8, 12, 16)}, "another space: gene 'width' was not trained at 12"),
        ({"space": declare(16, 8)}, "another space: its base differs"),
        ({"num_classes": 3}, "number of classes differs"),
    ],
    ids=["wider", "between", "base", "classes"],
)
def test_a_supernet_of_another_space_is_refused(tmp_path, change, message):
    path = tmp_path / "supernet.pt"
    save_supernet(path, build_super(), SupernetProgress())
    with pytest.raises(CheckpointError, match=message):
        load_supernet(path, build_super(**change))


def test_a_damaged_supernet_is_named(tmp_path):
    path = tmp_path / "supernet.pt"
    save_supernet(path, build_super(), SupernetProgress())
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"supernet\.pt cannot be read"):
        load_supernet(path, build_super())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight_averaging": 0.9}, "weight_averaging"),
        ({"tied_initialisation": True}, "tied_"),
        ({"auxiliary_weight": 0.4}, "auxiliary_weight"),
        ({"accumulation_steps": 2}, "accumulation_steps"),
        ({"precision": "bfloat16"}, "precision"),
        ({"sync_batch_norm": True}, "sync_batch_norm"),
        ({"gradient_checkpointing": True}, "gradient_checkpointing"),
    ],
)
def test_what_a_supernet_has_not_is_refused(data, fields, message):
    with pytest.raises(ValueError, match=f"must leave {message}.*off"):
        run_super(build_super(), data, super_recipe(**fields))


# Scores of subnets


@pytest.mark.parametrize("training", [False, True])
def test_a_scorer_measures_latency_whatever_the_mode(data, training):
    net = build_super().train(training)
    scorer = SubnetScorer(net, data, super_recipe(), plan(), CPU)
    subnet = scorer.subnet(drawn(1)[0])
    assert not subnet.training
    assert measure_latency(subnet, SIZE, warmup=0, repeats=1).median_ms > 0
    assert net.training == training
