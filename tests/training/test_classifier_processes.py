"""Two processes that train one classifier together."""

import numpy as np
import pytest
import torch
from small_classifiers import assert_same_scores, build_class_net, class_recipe, run_class
from test_processes import by_two

pytestmark = pytest.mark.slow


def train_together(folder):
    found = {}
    for mixed in (True, False):
        recipe = class_recipe() if mixed else uneven()
        net = build_class_net(plain=True)
        found[mixed] = run_class(net, recipe), net.state_dict()
    with pytest.raises(ValueError, match="must be a multiple of 4 for mixup") as caught:
        run_class(build_class_net(), class_recipe(batch_size=6))
    return found, str(caught.value)


def uneven():
    """Halves of two images and of one, which are not mixed."""
    how = class_recipe().classification.model_copy(update={"mixup": 0.0, "cutmix": 0.0})
    return class_recipe(batch_size=3, classification=how)


def test_two_processes_train_a_classifier_as_one_does(tmp_path):
    (one, refusal), (other, _) = by_two(tmp_path / "two", train_together)
    assert "by 2 processes" in refusal
    for mixed in (True, False):
        net = build_class_net(plain=True)
        expected = run_class(net, class_recipe() if mixed else uneven())
        assert_same_scores(one[mixed][0], other[mixed][0])
        found, weights = one[mixed]
        np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-4)
        for name, tensor in net.state_dict().items():
            torch.testing.assert_close(weights[name], tensor, rtol=1e-3, atol=1e-4)
