"""Images of any size through a network: against whole-image sums, and what is held meanwhile."""

from weakref import finalize

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hrvit_nas.arch import get_arch, scale_widths
from hrvit_nas.data.batches import normalised
from hrvit_nas.evaluation import (
    InferenceConfig,
    Predictor,
    evaluate,
    evaluate_images,
    inference,
    predictor,
)
from hrvit_nas.models import build_segmentor

CLASSES = 5


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Panels and bands of so few pixels that small images need several."""
    monkeypatch.setattr(predictor, "BAND_PIXELS", 150)
    monkeypatch.setattr(predictor, "PANEL", 2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, CLASSES, 3, padding=1)
    )


def picture(height, width, seed=0):
    shape = (height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def gathered(found, image):
    """Logits (C, H, W) of all parts, and in how many parts each pixel is."""
    logits = torch.zeros(CLASSES, *image.shape[:2])
    times = torch.zeros(image.shape[:2])
    with inference(found.model, found.device):
        for part in found.parts(image):
            logits[:, part.rows, part.columns] = part.logits[0]
            times[part.rows, part.columns] += 1
    assert (times == 1).all()
    return logits


@torch.no_grad()
def whole(model, image, config):
    """The same, by buffers of the whole image."""
    height, width = image.shape[:2]
    views = []
    for scale in config.scales:
        base = config.input_size or (height, width)
        size = [round(side * scale) for side in base]
        resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
        batch = normalised(np.array(resized)[None])
        for mirrored in (False, True) if config.flip else (False,):
            seen = batch.flip(3) if mirrored else batch
            window, step = config.window or size, config.stride or size
            total, cover = torch.zeros(1, CLASSES, *size), torch.zeros(size)
            for top in range(0, size[0] + step[0], step[0]):
                for left in range(0, size[1] + step[1], step[1]):
                    y, x = (
                        min(top, max(0, size[0] - window[0])),
                        min(left, max(0, size[1] - window[1])),
                    )
                    if (y, x) != (top, left) and (
                        (y != top and top - step[0] >= y) or (x != left and left - step[1] >= x)
                    ):
                        continue  # the last window was there already
                    area = (..., slice(y, y + window[0]), slice(x, x + window[1]))
                    total[area] += model(seen[area])
                    cover[area[1:]] += 1
            logits = total / cover
            logits = logits.flip(3) if mirrored else logits
            views.append(
                nn.functional.interpolate(
                    logits, (height, width), mode="bilinear", align_corners=False
                )[0]
            )
    if len(views) == 1:
        return views[0]
    return torch.stack([view.softmax(0) for view in views]).mean(0).log()


CONFIGS = {
    "whole": InferenceConfig(),
    "windows": InferenceConfig(window=(40, 32), stride=(30, 24)),
    "windows, no overlap": InferenceConfig(window=(32, 32), stride=(32, 32)),
    "flip": InferenceConfig(flip=True),
    "flip, windows": InferenceConfig(flip=True, window=(40, 32), stride=(30, 24)),
    "scales": InferenceConfig(scales=(0.5, 1.0, 1.75)),
    "scales, flip, windows": InferenceConfig(
        scales=(0.75, 1.0, 1.5), flip=True, window=(40, 32), stride=(30, 24)
    ),
    "one other scale, windows": InferenceConfig(scales=(1.5,), window=(40, 32), stride=(30, 24)),
    "another size": InferenceConfig(input_size=(50, 70)),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("size", [(97, 131), (64, 300), (201, 67)])
def test_parts_equal_sums_over_the_whole_image(name, size, model):
    config, image = CONFIGS[name], picture(*size)
    found = gathered(Predictor(model, config), image)
    torch.testing.assert_close(found, whole(model, image, config), rtol=1e-4, atol=1e-5)


def test_a_single_view_is_equal_to_the_bit(model):
    image, config = picture(97, 131), CONFIGS["windows"]
    assert torch.equal(gathered(Predictor(model, config), image), whole(model, image, config))


def test_labels_are_the_likeliest_classes(model):
    image, config = picture(97, 131), CONFIGS["scales, flip, windows"]
    labels = Predictor(model, config).labels(image)
    assert labels.dtype == np.uint8
    expected = whole(model, image, config)
    best = expected.topk(2, 0).values
    clear = (best[0] - best[1] > 1e-4).numpy()
    assert clear.mean() > 0.99
    assert np.array_equal(labels[clear], expected.argmax(0).numpy()[clear])


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (33, 47), (31, 100)])
@pytest.mark.parametrize("name", ["whole", "windows", "scales, flip, windows"])
def test_a_network_takes_images_of_any_size(name, size):
    network = build_segmentor(scale_widths(get_arch("hrvit_b1"), 0.25), CLASSES)
    labels = Predictor(network, CONFIGS[name]).labels(picture(*size))
    assert labels.shape == size
    assert labels.max() < CLASSES


def test_mean_and_deviation_are_the_networks_own():
    class Channel(nn.Module):
        def forward(self, images):
            return images[:, :2]

    image = picture(40, 40)
    found = Predictor(Channel(), mean=(1.0, 2.0, 3.0), deviation=(2.0, 4.0, 8.0))
    with inference(found.model, found.device):
        parts = torch.cat([part.logits for part in found.parts(image)], 2)
    expected = (image[..., :2] - np.array([1.0, 2.0])) / np.array([2.0, 4.0])
    np.testing.assert_allclose(parts[0].permute(1, 2, 0).numpy(), expected, rtol=1e-6)


class Held(TorchDispatchMode):
    """Notes the most bytes that tensors hold at a time, and the largest tensor."""

    def __init__(self):
        super().__init__()
        self._known, self.now, self.most, self.largest = set(), 0, 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor.untyped_storage())
        return result

    def _note(self, storage):
        if storage._cdata in self._known:
            return
        self._known.add(storage._cdata)
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        self.largest = max(self.largest, storage.nbytes())
        finalize(storage, self._forget, storage._cdata, storage.nbytes())

    def _forget(self, key, size):
        self._known.discard(key)
        self.now -= size


@pytest.mark.parametrize(
    "config",
    [
        InferenceConfig(window=(32, 32), stride=(24, 24)),
        InferenceConfig(window=(32, 32), stride=(24, 24), scales=(0.5, 1.0, 1.5), flip=True),
    ],
)
def test_what_is_held_does_not_grow_with_the_image(config):
    model = nn.Conv2d(3, CLASSES, 1)
    found = {}
    for side in (96, 384):
        image = picture(side, side)
        labels = np.zeros((side, side), np.uint8)
        held = Held()
        with held:
            evaluate_images(Predictor(model, config), OneImage(image, labels), num_classes=CLASSES)
        found[side] = held
    window = 32 * 32 * CLASSES * 4
    # A band of each view is as high as a window and two windows wide, of the image.
    assert found[384].largest <= 2 * predictor.PANEL * window
    views = len(config.scales) * (1 + config.flip)
    assert found[384].most <= (views + 2) * 2 * predictor.PANEL * window
    assert found[384].most <= 1.1 * found[96].most
    assert found[384].most < 384 * 384 * CLASSES * 4 / 4, "the logits of the whole image"


class OneImage:
    """A split of one."""

    def __init__(self, image, labels):
        self._sample = image, labels
        self.names = ("one",)

    def __len__(self):
        return 1

    def load(self, index):
        return self._sample


@pytest.mark.parametrize("name", ["whole", "windows", "flip, windows"])
def test_scores_of_images_equal_those_of_batches(name, model):
    image = picture(97, 131)
    labels = np.random.default_rng(1).integers(0, CLASSES, (97, 131)).astype(np.uint8)
    labels = np.repeat(np.repeat(labels[:49, :66], 2, 0), 2, 1)[:97, :131].copy()
    labels[20:40, 50:90] = 255
    config, kept = CONFIGS[name], {}
    found = evaluate_images(
        Predictor(model, config),
        OneImage(image, labels),
        num_classes=CLASSES,
        keep=kept.__setitem__,
    )

    def all_of_it(_):
        return whole(model, image, config)[None]

    batch = torch.zeros(1, 3, 97, 131), torch.from_numpy(labels)[None].long()
    expected = evaluate(_Module(all_of_it), [batch], num_classes=CLASSES)
    if not config.flip:  # with it, sums differ in their last bits, and pixels may with them
        assert np.array_equal(found.confusion, expected.confusion)
        assert np.array_equal(found.boundary, expected.boundary)
    assert found.confusion.sum() == expected.confusion.sum() == (labels != 255).sum()
    assert found.boundary.sum() == expected.boundary.sum()
    assert found.miou == pytest.approx(expected.miou, abs=1e-3)
    assert found.cross_entropy == pytest.approx(expected.cross_entropy, rel=1e-5)
    right = kept["one"] == labels
    assert right.sum() == np.trace(found.confusion)


class _Module(nn.Module):
    def __init__(self, function):
        super().__init__()
        self._function = function

    def forward(self, images):
        return self._function(images)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window": (0, 4)}, "window must be at least 1x1, got 0x4"),
        ({"input_size": (4, -1)}, "input size must be at least 1x1, got 4x-1"),
        ({"stride": (4, 4)}, "a stride needs a window"),
        ({"window": (4, 4), "stride": (5, 4)}, "1 to the window's size"),
        ({"window": (4, 4), "stride": (0, 4)}, "1 to the window's size"),
        ({"scales": ()}, "must name one at least"),
        ({"scales": (0.0,)}, r"a scale must be 0\.1 to 8, got 0"),
        ({"scales": (float("nan"),)}, r"a scale must be 0\.1 to 8, got nan"),
        ({"scales": (1.0, 9.0)}, r"a scale must be 0\.1 to 8, got 9"),
        ({"scales": (1.0, 1.0)}, "two scales are the same"),
    ],
)
def test_bad_configurations_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        InferenceConfig(**fields)


def test_by_default_windows_overlap_by_a_quarter():
    assert InferenceConfig(window=(1024, 512)).step((1024, 512)) == (768, 384)
