import time

import numpy as np
import pytest
import torch
from torch import nn

from hrvit_nas.evaluation import compare_latencies, measure_latency


class SelfTimer(nn.Module):
    """Times its own passes, the first of which has far more to do."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self.times_ms = []

    def forward(self, images):
        start = time.perf_counter()
        self.calls.append((self.training, tuple(images.shape), torch.get_num_threads()))
        size = 1000 if len(self.calls) == 1 else 200
        product = torch.ones(size, size) @ torch.ones(size, size)
        self.times_ms.append(1000 * (time.perf_counter() - start))
        return product


@pytest.fixture
def threads():
    """Threads of torch, other than the one that is measured with."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


def test_measures_each_pass_and_says_how(threads):
    model = SelfTimer().train()
    latency = measure_latency(model, (4, 6), batch_size=2, warmup=1, repeats=5, threads=1)
    own = np.quantile(model.times_ms[1:], (0.1, 0.5, 0.9))
    assert (own <= [latency.p10_ms, latency.median_ms, latency.p90_ms]).all()
    assert latency.median_ms < model.times_ms[0]
    assert model.calls == [(False, (2, 3, 4, 6), 1)] * 6
    assert model.training
    assert torch.get_num_threads() == threads
    assert latency.device
    assert (latency.threads, latency.precision) == (1, "float32")
    assert (latency.image_size, latency.batch_size) == ((4, 6), 2)
    assert (latency.warmup, latency.repeats) == (1, 5)


def test_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    measure_latency(nn.Identity(), (2, 2), warmup=0, repeats=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
        ({"warmup": -1}, "warmup must be at least 0, got -1"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        measure_latency(nn.Identity(), (2, 2), **setting)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_latency_waits_for_the_work():
    model = nn.Conv2d(3, 256, 7, padding=3).cuda()
    small = measure_latency(model, (64, 64), device="cuda", repeats=5)
    large = measure_latency(model, (2048, 2048), device="cuda", repeats=5)
    assert large.median_ms > 2 * small.median_ms
    assert small.device == torch.cuda.get_device_name()
    assert small.precision == "bfloat16"


def test_models_are_timed_by_turns_and_put_back():
    order = []

    class Turn(nn.Module):
        def __init__(self, name, size):
            super().__init__()
            self.name, self.size = name, size

        def forward(self, images):
            order.append((self.name, self.training, tuple(images.shape)))
            return torch.ones(self.size, self.size) @ torch.ones(self.size, self.size)

    models = [Turn("small", 10).train(), Turn("large", 800).train()]
    times = compare_latencies(models, (4, 6), warmup=1, rounds=3)
    assert [name for name, _, _ in order] == ["small", "large"] * 4
    assert {(training, shape) for _, training, shape in order} == {(False, (1, 3, 4, 6))}
    assert [len(row) for row in times] == [3, 3]
    assert all(large > small for small, large in zip(*times, strict=True))
    assert all(model.training for model in models)


@pytest.mark.parametrize(
    ("counts", "message"),
    [({"rounds": 0}, "rounds must be at least 1"), ({"warmup": -1}, "warmup")],
)
def test_counts_that_are_none_are_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        compare_latencies([], (4, 6), **counts)
