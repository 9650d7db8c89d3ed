"""What the tests of training classifiers share: drawn objects, a small network, a recipe."""

import torch
from torch import nn

from hrvit_nas.data import DataConfig, load_images
from hrvit_nas.training import ClassificationRecipe, Recipe, train_classifier

OBJECTS = load_images(
    DataConfig(name="drawn_classes", num_train=12, num_val=6, image_size=(32, 32))
)


class ClassNet(nn.Module):
    """Everything that has a state or draws a random number, small; or nothing of that."""

    def __init__(self, *, plain=False):
        super().__init__()
        middle = [] if plain else [nn.BatchNorm2d(8), nn.Dropout2d(0.1)]
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 5, stride=4), *middle, nn.ReLU())
        self.head = nn.Linear(8, OBJECTS.num_classes)

    def forward(self, images):
        return self.head(self.backbone(images).amax((2, 3)))


def build_class_net(seed=0, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ClassNet(**options)


HOW = ClassificationRecipe(
    augment={"crop_size": (32, 32), "rand_augment": {}, "erasing": 0.25},
    label_smoothing=0.1,
    mixup=0.8,
    cutmix=1.0,
)


def class_recipe(**fields):
    defaults = {
        "steps": 8,
        "batch_size": 4,
        "learning_rate": 0.01,
        "warmup_steps": 2,
        "decay": "cosine",
        "evaluations": 2,
        "classification": HOW,
    }
    return Recipe(**defaults | fields)


def run_class(net, recipe=None, **options):
    return train_classifier(net, OBJECTS, recipe or class_recipe(), **{"seed": 0} | options)


def assert_same_scores(one, other):
    assert one.losses == other.losses
    assert [(c.step, c.evaluation, c.averaged) for c in one.checks] == [
        (c.step, c.evaluation, c.averaged) for c in other.checks
    ]
