"""Training of a classifier: what it learns, how it goes on, by one process and two."""

import numpy as np
import pytest
import torch
from small_classifiers import (
    HOW,
    OBJECTS,
    assert_same_scores,
    build_class_net,
    class_recipe,
    run_class,
)
from small_trainings import (
    PLAIN,
    StopRunError,
    assert_same_weights,
    build_net,
    plain_recipe,
    squares,
    stop_at,
)
from torch import nn

from hrvit_nas.arch import get_arch, scale_widths
from hrvit_nas.data import ImageAugmentConfig
from hrvit_nas.evaluation.classification import hits
from hrvit_nas.models import build_classifier
from hrvit_nas.training import CheckpointError, ClassificationRecipe, Recipe, train
from hrvit_nas.training.losses import SoftLoss
from hrvit_nas.training.processes import Processes

STILL = ImageAugmentConfig(crop_size=(32, 32), area=(1, 1), aspect=(1, 1), flip=0)


def test_the_loss_is_the_cross_entropy_with_the_targets():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 7, generator=generator)
    targets = torch.rand(5, 7, generator=generator).softmax(1)
    shares = np.exp(logits.double().numpy())
    shares /= shares.sum(1, keepdims=True)
    expected = -(targets.double().numpy() * np.log(shares)).sum(1).mean()
    loss = SoftLoss(Processes())
    assert loss(logits, targets).item() == pytest.approx(expected, rel=1e-5)
    assert (loss.amount(targets).item(), loss.share(targets)) == (5, 1)


def test_a_classifier_learns_a_small_set_and_is_scored():
    torch.manual_seed(0)
    model = build_classifier(scale_widths(get_arch("hrvit_b1"), 0.125), OBJECTS.num_classes)
    how = ClassificationRecipe(augment=STILL, label_smoothing=0.1)
    result = run_class(
        model, class_recipe(steps=12, batch_size=12, learning_rate=2e-3, classification=how)
    )
    assert result.losses[-1] < 0.8 * result.losses[0]
    assert [check.step for check in result.checks] == [6, 12]
    images = torch.stack(
        [torch.from_numpy(OBJECTS.val.load(n)[0].copy()).permute(2, 0, 1) for n in range(6)]
    ).float()
    mean, deviation = (
        torch.tensor(values).view(3, 1, 1)
        for values in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    )
    with torch.no_grad():
        logits = model.eval()((images - mean) / deviation)
    expected = hits(logits, torch.arange(6)).float().mean(0).tolist()
    assert result.evaluation[:2] == pytest.approx(expected)
    assert result.evaluation.cross_entropy == pytest.approx(
        nn.functional.cross_entropy(logits, torch.arange(6)).item(), rel=1e-4
    )


@pytest.mark.parametrize(("averaging", "num_workers"), [(0.0, 0), (0.9, 1)])
def test_a_stopped_training_goes_on_bit_for_bit(tmp_path, averaging, num_workers):
    recipe = class_recipe(weight_averaging=averaging)
    whole = build_class_net()
    expected = run_class(whole, recipe)
    path = tmp_path / "state.pt"
    with pytest.raises(StopRunError):
        run_class(
            build_class_net(), recipe, checkpoint=path, checkpoint_seconds=0, on_step=stop_at(5)
        )
    again = build_class_net(seed=9)
    recipe = class_recipe(weight_averaging=averaging, num_workers=num_workers)
    assert_same_scores(run_class(again, recipe, checkpoint=path), expected)
    assert_same_weights(again, whole)


def test_another_recipe_or_kind_does_not_go_on(tmp_path):
    path = tmp_path / "state.pt"
    run_class(build_class_net(), checkpoint=path)
    other = class_recipe(classification=HOW.model_copy(update={"mixup": 0.2}))
    with pytest.raises(CheckpointError, match=r"recipe\.classification is .*there"):
        run_class(build_class_net(), other, checkpoint=path)


def test_parts_of_a_batch_are_as_the_whole():
    whole, parts = (build_class_net(plain=True) for _ in range(2))
    expected = run_class(whole)
    found = run_class(parts, class_recipe(accumulation_steps=3))
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-4)
    for (name, one), other in zip(
        whole.state_dict().items(), parts.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4, msg=name)


def test_a_recipe_for_segmentation_is_refused():
    with pytest.raises(ValueError, match="a recipe that sets classification"):
        run_class(build_class_net(), plain_recipe())
    with pytest.raises(ValueError, match="a recipe that leaves classification unset"):
        train(build_net(), squares(4, seed=0), class_recipe(), seed=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("criterion", "cross_entropy"),
        ("class_weighting", 0.5),
        ("auxiliary_weight", 0.4),
        ("augment", PLAIN),
        ("recalibration_batches", 2),
        ("eval_window", (32, 32)),
    ],
)
def test_what_is_of_masks_is_refused(name, value):
    fields = {name: value}
    if name == "eval_window":
        fields["eval_stride"] = (32, 32)
    with pytest.raises(ValueError, match=f"classification must not set {name}"):
        Recipe(classification=HOW, **fields)


def test_a_recipe_says_what_it_is_for():
    assert (Recipe().task, Recipe().crop_size) == ("segmentation", (96, 128))
    recipe = class_recipe()
    assert (recipe.task, recipe.crop_size) == ("classification", (32, 32))
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
