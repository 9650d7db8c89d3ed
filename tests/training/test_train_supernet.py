"""Training of a supernet over a tiny space: learning, seeds, resuming, collapse, processes."""

import math
from copy import deepcopy
from random import Random

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing, nn

from hrvit_nas.arch import ArchSpec, BranchSpec, ModuleSpec
from hrvit_nas.cost import estimate_cost
from hrvit_nas.data import AugmentConfig, DataConfig, load_data, train_batches
from hrvit_nas.evaluation import measure_latency
from hrvit_nas.models import build_supernet
from hrvit_nas.space import Gene, Space
from hrvit_nas.training import (
    CheckpointError,
    MemberScorer,
    Recipe,
    SupernetProgress,
    SupernetRecipe,
    TrainingFailedError,
    load_supernet,
    save_supernet,
    segmentation_loss,
    train_supernet,
)
from hrvit_nas.training import supernet as module
from hrvit_nas.training.loop import mixed_seed, seed_generators
from hrvit_nas.training.supernet import MAX_RETURNS, find_ends, projected_sum

SIZE = (32, 48)
SEED = 4
CPU = torch.device("cpu")
PLAIN = AugmentConfig(scale=(1, 1), max_class_share=1, flip=0.5, photometric=0)


def branch(width):
    return BranchSpec(width=width, blocks=1, expansion_ratio=1, strip_width=2, head_dim=8)


def declare(*widths):
    genes = (
        Gene(name="width", field="modules.*.branches.1.width", choices=widths),
        Gene(
            name="attention",
            field="modules.*.branches.1.attention",
            choices=("cross_shaped", "convolution"),
        ),
        Gene(name="blocks", field="modules.1.branches.1.blocks", choices=(1, 2)),
    )
    base = ArchSpec(
        stem_width=8, head_width=16, modules=(ModuleSpec(branches=(branch(widths[0]),)),)
    )
    return Space(name="tiny", base=base, genes=genes)


SPACE = declare(8, 16)


def cost(spec):
    return float(estimate_cost(spec, SIZE).macs)


def scenes():
    return load_data(DataConfig(num_train=8, num_val=4, image_size=SIZE))


@pytest.fixture(scope="module")
def data():
    return scenes()


def build(seed=0, space=SPACE, num_classes=None):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_supernet(space, num_classes or scenes().num_classes)


def recipe(**fields):
    defaults = {
        "batch_size": 2,
        "learning_rate": 5e-3,
        "warmup_steps": 2,
        "augment": PLAIN,
        "eval_batch_size": 4,
    }
    return Recipe(**defaults | fields)


def plan(**fields):
    defaults = {
        "steps": 8,
        "random_members": 1,
        "sampling": "space",
        "evaluations": 2,
        "calibration_batches": 1,
    }
    return SupernetRecipe(**defaults | fields)


def run(net, data, settings=None, how=None, **options):
    settings, how = settings or recipe(), how or plan()
    return train_supernet(net, data, settings, how, **{"cost": cost, "seed": SEED} | options)


def assert_same_weights(one, other):
    one, other = one.state_dict(), other.state_dict()
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def assert_same_progress(one, other):
    assert one.losses == other.losses
    assert one.returns == other.returns
    assert [check[:3] for check in one.checks] == [check[:3] for check in other.checks]


# Learning and seeds


@pytest.mark.parametrize("sampling", ["cost", "space"])
def test_largest_and_other_members_learn(data, sampling):
    net = build()
    reports = []
    progress = run(
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
    nets = [build() for _ in range(3)]
    runs = []
    for net, seed in zip(nets, (SEED, SEED, SEED + 1), strict=True):
        torch.rand(len(runs) + 1)  # the global state differs, and must not matter
        before = torch.get_rng_state()
        runs.append(run(net, data, seed=seed))
        assert torch.equal(torch.get_rng_state(), before)
    assert_same_progress(*runs[:2])
    assert_same_weights(*nets[:2])
    assert runs[2].losses != runs[0].losses


def test_the_ends_are_the_dearest_and_the_cheapest():
    costs = sorted(cost(SPACE.decode(code)) for code in {SPACE.encode(s) for s in drawn(200)})
    ends = find_ends(build(), cost)
    assert (cost(ends.smallest), cost(ends.largest)) == (costs[0], costs[-1])


def drawn(count):
    rng = Random(0)
    return [SPACE.sample(rng) for _ in range(count)]


# One step, by hand


def by_hand(net, data, *, distillation, rank=0, world=1):
    """Losses and gradients of the first step on the largest and the smallest member."""
    net = deepcopy(net).train()
    ends = find_ends(net, cost)
    images, labels = next(
        train_batches(
            data.train,
            batch_size=recipe().batch_size,
            num_steps=1,
            seed=mixed_seed(SEED, 1, 0),
            augment=PLAIN,
            part=(rank, world),
        )
    )
    with torch.random.fork_rng():
        seed_generators(SEED, 0, CPU, 0, rank)
        teacher, student = net(images, ends.largest), net(images, ends.smallest)
    largest = segmentation_loss(teacher, labels, data.ignore_index)
    p = teacher.detach().softmax(1)
    divergence = (p * (p.log() - student.log_softmax(1))).sum(1).mean()
    smallest = (1 - distillation) * segmentation_loss(student, labels, data.ignore_index)
    smallest = smallest + distillation * divergence
    parameters = list(net.parameters())
    gradients = [
        torch.autograd.grad(loss, parameters, allow_unused=True) for loss in (largest, smallest)
    ]
    return (largest.item(), smallest.item()), gradients


ONE_STEP = {"steps": 1, "random_members": 0, "evaluations": 1}


def assert_gradients(parameters, expected):
    for parameter, gradient in zip(parameters, expected, strict=True):
        found = parameter.grad if isinstance(parameter, nn.Parameter) else parameter
        assert (found is None) == (gradient is None)
        if found is not None:
            torch.testing.assert_close(found, gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("distillation", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("project", [False, True])
def test_a_step_has_the_losses_and_gradients_by_hand(data, distillation, project):
    net = build()
    losses, (firsts, others) = by_hand(net, data, distillation=distillation)
    how = plan(**ONE_STEP, distillation=distillation, project_conflicts=project)
    progress = run(net, data, recipe(clip_norm=None, learning_rate=1e-9), how)
    assert progress.losses[0] == pytest.approx(losses, rel=1e-4)
    total = projected_sum(firsts, others) if project else added(firsts, others)
    assert_gradients(net.parameters(), [g if g is None else g / 2 for g in total])


def added(firsts, others):
    pairs = [[g for g in pair if g is not None] for pair in zip(firsts, others, strict=True)]
    return [sum(pair) if pair else None for pair in pairs]


@pytest.mark.parametrize("conflict", [False, True])
def test_a_projected_sum_is_numpys(conflict):
    rng = np.random.default_rng(0)
    sizes = (3, 5, 2, 4)
    firsts = [rng.normal(size=size) for size in sizes]
    sign = -1 if conflict else 1
    others = [sign * first + 0.1 * rng.normal(size=first.size) for first in firsts]
    firsts[1], others[2] = None, None
    firsts[3] = others[3] = None

    def flat(tensors):
        return np.concatenate(
            [np.zeros(n) if t is None else t for t, n in zip(tensors, sizes, strict=True)]
        )

    a, b = flat(firsts), flat(others)
    assert (a @ b < 0) == conflict
    expected = a + b - (min(0, a @ b) / (a @ a)) * a
    found = projected_sum(
        *([t if t is None else torch.from_numpy(t) for t in side] for side in (firsts, others))
    )
    assert found[3] is None
    np.testing.assert_allclose(
        flat([t if t is None else t.numpy() for t in found]), expected, rtol=1e-12
    )
    if conflict:
        assert a @ (expected - a) == pytest.approx(0, abs=1e-9)


# Checkpoints


class StopRunError(Exception):
    pass


def stop_at(step):
    def callback(progress):
        if progress.step == step:
            raise StopRunError

    return callback


@pytest.mark.parametrize(("stop", "sampling"), [(1, "space"), (4, "cost"), (7, "space")])
def test_a_stopped_run_goes_on_as_if_it_had_not(tmp_path, data, stop, sampling):
    whole, resumed, how = build(), build(seed=9), plan(sampling=sampling)
    expected = run(whole, data, how=how)
    path = tmp_path / "run" / "supernet.pt"
    with pytest.raises(StopRunError):
        run(build(), data, how=how, checkpoint=path, checkpoint_seconds=0, on_step=stop_at(stop))
    steps = []
    progress = run(
        resumed,
        data,
        how=how,
        checkpoint=path,
        on_step=lambda progress: steps.append(progress.step),
    )
    assert steps == list(range(stop + 1, 9))
    assert_same_progress(progress, expected)
    assert_same_weights(resumed, whole)
    assert [file.name for file in path.parent.iterdir()] == ["supernet.pt"]


def test_a_finished_run_is_not_repeated(tmp_path, data):
    path = tmp_path / "supernet.pt"
    first, second = build(), build(seed=1)
    expected = run(first, data, checkpoint=path)
    progress = run(second, data, checkpoint=path, on_step=stop_at(8))
    assert_same_progress(progress, expected)
    assert_same_weights(first, second)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 5}, "another run: seed is 4 there, 5 here$"),
        ({"settings": recipe(learning_rate=1.0)}, r"recipe.learning_rate is 0\.005 there, 1\.0"),
        ({"how": plan(distillation=0.1)}, r"supernet\.distillation is 0\.5 there, 0\.1 here"),
        ({"how": plan(steps=9)}, "supernet.steps is 8 there, 9 here"),
        ({"net": declare(8, 24)}, "another run: space is "),
    ],
    ids=["seed", "recipe", "plan", "steps", "space"],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, data, change, message):
    path = tmp_path / "supernet.pt"
    run(build(), data, checkpoint=path)
    net = build(space=change.pop("net", SPACE))
    with pytest.raises(CheckpointError, match=message):
        run(net, data, checkpoint=path, **change)


def test_a_supernet_stored_is_loaded(tmp_path, data):
    net, path = build(), tmp_path / "supernet.pt"
    progress = run(net, data)
    save_supernet(path, net, progress)
    for space in (SPACE, SPACE.narrow({"width": [16], "blocks": [1, 2]})):
        again = build(seed=1, space=space)
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
    save_supernet(path, build(), SupernetProgress())
    with pytest.raises(CheckpointError, match=message):
        load_supernet(path, build(**change))


def test_a_damaged_supernet_is_named(tmp_path):
    path = tmp_path / "supernet.pt"
    save_supernet(path, build(), SupernetProgress())
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"supernet\.pt cannot be read"):
        load_supernet(path, build())


# Collapse


def stored(path):
    return torch.load(path, weights_only=True)


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
    net = build()
    steps = []
    spoil = poison(net, at=5)

    def callback(progress):
        steps.append(progress.step)
        spoil(progress)

    progress = run(net, data, on_step=callback, checkpoint=tmp_path / "last.pt")
    assert progress.returns == [5]
    assert steps == [1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8]  # back to the last state but one
    assert progress.step == 8
    assert all(math.isfinite(x) for loss in progress.losses for x in loss)
    assert all(tensor.isfinite().all() for tensor in net.state_dict().values())
    assert stored(tmp_path / "last.pt")["progress"]["returns"] == [5]


def test_a_return_brings_other_batches_and_a_lower_rate(data):
    plain, net = run(build(), data), build()
    rates = []

    def callback(progress):
        rates.append(progress.losses[0])
        poison_once(progress)

    poison_once = poison(net, at=1)
    progress = run(net, data, on_step=callback)
    assert progress.returns == [1]
    assert rates[0] == plain.losses[0] != rates[1]


def test_a_loss_that_jumps_is_taken_back(monkeypatch, data):
    monkeypatch.setattr(module, "CLIFF_STEPS", 2)
    net = build()
    progress = run(net, data, on_step=poison(net, at=5, value=1e3))
    assert progress.returns[0] in (5, 6)
    assert progress.step == 8
    assert max(loss.largest for loss in progress.losses) < 10


def test_scores_that_fall_are_taken_back(monkeypatch, data):
    net = build()
    # The last class is a rare one, so that to see it everywhere scores next to nothing.
    progress = run(net, data, how=plan(steps=24), on_step=poison(net, at=23, value=1e3))
    assert progress.returns == [23]
    assert [check.step for check in progress.checks] == [12, 24]
    assert progress.checks[-1].largest_miou > 0.5 * progress.checks[0].largest_miou


def test_a_run_that_collapses_again_and_again_fails(data):
    net = build()
    seen = []

    def callback(progress):
        seen.append(list(progress.returns))
        poison(net, at=3)(progress)

    with pytest.raises(TrainingFailedError, match="failed at step 3: loss nan") as caught:
        run(net, data, on_step=callback)
    assert caught.value.step == 3
    assert seen[-1] == [3] * MAX_RETURNS


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"weight_averaging": 0.9}, "weight_averaging"), ({"tied_initialisation": True}, "tied_")],
)
def test_what_a_supernet_has_not_is_refused(data, fields, message):
    with pytest.raises(ValueError, match=f"must leave {message}.*off"):
        run(build(), data, recipe(**fields))


# Several processes


def one_process(rank, folder):
    """One of two processes: two runs, the first of a step whose gradients are kept."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2
    )
    data = scenes()
    step = build()
    settings = recipe(clip_norm=None, learning_rate=1e-9)
    first = run(step, data, settings, plan(**ONE_STEP))
    net = build()
    progress = run(net, data, how=plan(project_conflicts=True), checkpoint=folder / "last.pt")
    try:
        run(build(), data, recipe(batch_size=1))
    except ValueError as error:
        refusal = str(error)
    found = {
        "losses": (first.losses, progress.losses),
        "checks": [check[:3] for check in progress.checks],
        "gradients": [p.grad for p in step.parameters()],
        "weights": net.state_dict(),
        "refusal": refusal,
    }
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_one_supernet_on_halves_of_each_batch(tmp_path, data):
    multiprocessing.spawn(one_process, (tmp_path,), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in (0, 1))
    assert one["losses"] == other["losses"]
    assert one["checks"] == other["checks"]
    assert all(torch.equal(w, other["weights"][name]) for name, w in one["weights"].items())
    assert one["refusal"] == "batch_size must be at least the number of processes, 2, got 1"

    net = build()
    halves = [by_hand(net, data, distillation=0.5, rank=rank, world=2) for rank in (0, 1)]
    losses = np.mean([losses for losses, _ in halves], 0)
    assert one["losses"][0][0] == pytest.approx(losses, rel=1e-4)
    sums = added(*(added(*gradients) for _, gradients in halves))
    assert_gradients(one["gradients"], [g if g is None else g / 4 for g in sums])

    written = stored(tmp_path / "last.pt")["model"]
    assert all(torch.equal(w, one["weights"][name]) for name, w in written.items())


# Scores of members


@pytest.mark.parametrize("training", [False, True])
def test_a_scorer_measures_latency_whatever_the_mode(data, training):
    net = build().train(training)
    scorer = MemberScorer(net, data, recipe(), plan(), CPU)
    member = scorer.member(drawn(1)[0])
    assert not member.training
    assert measure_latency(member, SIZE, warmup=0, repeats=1).median_ms > 0
    assert net.training == training
