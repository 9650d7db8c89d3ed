"""What the tests of both kinds of training share: small data, networks and recipes."""

from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch import nn

from hrvit_nas.arch import ArchSpec, BranchSpec, ModuleSpec
from hrvit_nas.cost import estimate_cost
from hrvit_nas.data import AugmentConfig, DataConfig, SegmentationData, load_data
from hrvit_nas.models import build_supernet
from hrvit_nas.space import Gene, Space
from hrvit_nas.training import Recipe, SupernetRecipe, train, train_supernet

IGNORE = 255
PLAIN = AugmentConfig(scale=(1, 1), max_class_share=1, flip=0.5, photometric=0)


class StopRunError(Exception):
    pass


def stop_at(step):
    def callback(progress):
        if progress.step == step:
            raise StopRunError

    return callback


def assert_same_weights(one, other):
    one, other = one.state_dict(), other.state_dict()
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


# One network on squares


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


SQUARES = SegmentationData(
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


def build_net(model_seed=0, kind=Net, **options):
    with torch.random.fork_rng():
        torch.manual_seed(model_seed)
        return kind(**options)


def plain_recipe(**fields):
    defaults = {
        "steps": 12,
        "batch_size": 2,
        "learning_rate": 0.02,
        "warmup_steps": 2,
        "augment": PLAIN,
    }
    return Recipe(**{**defaults, **fields})


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


# A supernet on scenes

SIZE = (32, 48)
SEED = 4


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


def drawn(count):
    rng = Random(0)
    return [SPACE.sample(rng) for _ in range(count)]


def cost(spec):
    return float(estimate_cost(spec, SIZE).macs)


def scenes():
    return load_data(DataConfig(num_train=8, num_val=4, image_size=SIZE))


def build_super(seed=0, space=SPACE, num_classes=None):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_supernet(space, num_classes or scenes().num_classes)


def super_recipe(**fields):
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
        "random_subnets": 1,
        "sampling": "space",
        "evaluations": 2,
        "recalibration_batches": 1,
    }
    return SupernetRecipe(**defaults | fields)


def run_super(net, data, settings=None, how=None, **options):
    settings, how = settings or super_recipe(), how or plan()
    return train_supernet(net, data, settings, how, **{"cost": cost, "seed": SEED} | options)


def assert_same_progress(one, other):
    assert one.losses == other.losses
    assert one.returns == other.returns
    assert [check[:3] for check in one.checks] == [check[:3] for check in other.checks]


def run_plain(net, settings=None, **options):
    return train(net, SQUARES, settings or plain_recipe(), **{"seed": 0} | options)
