"""Scores with inherited weights, against subnets that stand alone."""

from random import Random

import numpy as np
import pytest
import torch

from hrvit_nas.arch import get_arch
from hrvit_nas.data import DataConfig, load_data, val_batches
from hrvit_nas.evaluation import evaluate
from hrvit_nas.models import build_supernet, extract, recalibrate
from hrvit_nas.space import SpaceError
from hrvit_nas.training import Recipe, SubnetScorer, SupernetRecipe, recalibration_batches

CPU = torch.device("cpu")
RECIPE = Recipe(eval_batch_size=2)
PLAN = SupernetRecipe(recalibration_batches=2)


@pytest.fixture(scope="module")
def data():
    return load_data(DataConfig(num_train=9, num_val=3, image_size=(32, 48)))


@pytest.fixture
def net(make_config, data):
    torch.manual_seed(0)
    return build_supernet(make_config().load_space(), data.num_classes)


@pytest.fixture
def spec(net):
    return net.space.sample(Random(0))


def scored(model, data):
    batches = val_batches(data.val, batch_size=RECIPE.eval_batch_size)
    return evaluate(model, batches, num_classes=data.num_classes)


def test_recalibration_batches_are_whole_training_images_evenly_spaced(data):
    batches = recalibration_batches(data, RECIPE, PLAN.recalibration_batches, CPU)
    assert [len(images) for images, _ in batches] == [2, 2]
    expected = [data.train.load(n)[1] for n in (0, 2, 4, 6)]
    np.testing.assert_array_equal(torch.cat([labels for _, labels in batches]), expected)


@pytest.mark.parametrize("training", [False, True])
def test_scores_are_those_of_the_subnet_alone_before_and_after(net, data, spec, training):
    net.train(training)
    alone = extract(net, spec)
    before = scored(alone, data)
    recalibrate(alone, recalibration_batches(data, RECIPE, PLAN.recalibration_batches, CPU))
    after = scored(alone, data)
    assert before.cross_entropy != after.cross_entropy

    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    scorer = SubnetScorer(net, data, RECIPE, PLAN, CPU)
    for _ in range(2):  # nothing of the first is left for the second
        scores = scorer.score(spec)
        for mine, theirs in ((scores.before, before), (scores.after, after)):
            np.testing.assert_array_equal(mine.confusion, theirs.confusion)
            assert mine.cross_entropy == pytest.approx(theirs.cross_entropy, rel=1e-5)
    assert all(part.training == training for part in net.modules())
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not net._statistics


def test_the_order_of_scores_does_not_matter(net, data):
    rng = Random(1)
    specs = [net.space.sample(rng) for _ in range(3)]
    scorer = SubnetScorer(net, data, RECIPE, PLAN, CPU)
    expected = [scorer.score(spec).after.cross_entropy for spec in specs]
    assert [scorer.score(spec).after.cross_entropy for spec in specs[::-1]] == expected[::-1]


def test_a_subnet_of_another_space_is_refused_and_the_mode_put_back(net, data):
    scorer = SubnetScorer(net.train(), data, RECIPE, PLAN, CPU)
    with pytest.raises(SpaceError, match="not in space"):
        scorer.score(get_arch("hrvit_b3"))
    assert net.training
