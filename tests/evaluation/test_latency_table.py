"""Latencies of parts and networks, and what is predicted from them."""

from dataclasses import replace
from random import Random

import pytest
import torch
from latency_models import (
    CONDITIONS,
    INTERCEPT,
    SLOPE,
    made_up_model,
    made_up_ms,
    made_up_network_ms,
)

from hrvit_nas.arch import get_arch, get_hrvit, scale_widths
from hrvit_nas.cost.latency import LatencyError, LatencyModel
from hrvit_nas.cost.timed_parts import timed_parts
from hrvit_nas.evaluation.latency_fit import fitted_model, heads_of, parts_of
from hrvit_nas.evaluation.part_latency import Timer
from hrvit_nas.evaluation.part_modules import part_inputs, part_module
from hrvit_nas.models import build_segmentor
from hrvit_nas.space import load_space

CPU = torch.device("cpu")
SMALL = scale_widths(get_hrvit("hrvit_b1"), 0.25)


@pytest.fixture(scope="module")
def specs():
    space, rng = load_space("heterogeneous_branches"), Random(0)
    return [space.sample(rng) for _ in range(40)]


@pytest.fixture(scope="module")
def model(specs):
    return made_up_model(specs)


def test_prices_and_slopes_that_were_made_up_are_found_again(model, specs):
    assert model.calibration.intercept_ms == pytest.approx(INTERCEPT, rel=1e-3)
    assert list(model.calibration.slopes.values()) == pytest.approx([SLOPE] * 7, rel=1e-3)
    space, rng = load_space("heterogeneous_branches"), Random(1)
    for spec in (space.sample(rng) for _ in range(20)):  # with parts that were not measured
        assert model.predict(spec).ms == pytest.approx(made_up_network_ms(spec), rel=0.02)


def test_a_prediction_is_the_sum_of_its_parts(model, specs):
    spec = specs[0]
    predicted = model.predict(spec)
    calibration = model.calibration
    total = sum(
        calibration.slopes[part.kind] * times * model.part_ms(part)[0]
        for part, times in timed_parts(spec, CONDITIONS.image_size).items()
    )
    assert predicted.ms == pytest.approx(calibration.intercept_ms + total)
    assert predicted.ms == pytest.approx(calibration.intercept_ms + sum(predicted.by_kind.values()))
    measured = [part for part in timed_parts(spec, CONDITIONS.image_size) if part.kind != "head"]
    assert all(model.part_ms(part) == (made_up_ms(part), True) for part in measured)
    assert predicted.num_estimated <= 1
    assert predicted.estimated_ms <= predicted.by_kind["head"]


def test_a_further_block_is_never_faster(model, specs):
    for spec in specs[:10]:
        before = model.predict(spec).ms
        for m, b, branch in spec.walk():
            branches = list(spec.modules[m].branches)
            branches[b] = replace(branch, blocks=branch.blocks + 1)
            modules = list(spec.modules)
            modules[m] = replace(modules[m], branches=tuple(branches))
            assert model.predict(replace(spec, modules=tuple(modules))).ms > before


def test_a_model_is_the_same_once_it_was_plain_data(model, specs):
    again = LatencyModel.model_validate(model.to_dict())
    assert again == model
    assert [again.predict(spec) for spec in specs] == [model.predict(spec) for spec in specs]


def test_what_cannot_be_predicted_is_told(model):
    with pytest.raises(LatencyError, match=r"of an HRViT, .* got a mit pyramid"):
        model.predict(get_arch("mit_b0"))
    bare = LatencyModel.model_validate(model.to_dict() | {"parts_ms": {}, "estimators": ()})
    with pytest.raises(LatencyError, match="has no part of kind stem"):
        bare.predict(SMALL)
    with pytest.raises(ValueError, match="calibrated with at least 8 networks, got 1"):
        fitted_model(CONDITIONS, {}, [(SMALL, 1.0)])


@pytest.mark.parametrize("space", ["heterogeneous_branches", "joint"])
def test_modules_of_parts_run_and_have_the_networks_parameters(space):
    declared, rng, size = load_space(space), Random(3), (64, 64)
    spec = declared.sample(rng)
    count = 0
    for part, times in timed_parts(spec, size).items():
        module = part_module(part, size, 5).eval()
        inputs = part_inputs(part, size, batch_size=1, device=CPU)
        with torch.inference_mode():
            assert module(*inputs).isfinite().all()
        if part.kind not in ("attention", "feed_forward"):  # a whole block is held there
            count += times * sum(p.numel() for p in module.parameters())
    network = build_segmentor(spec, 5)
    blocks = sum(p.numel() for name, p in network.named_parameters() if ".blocks." in name)
    assert count == sum(p.numel() for p in network.parameters()) - blocks


def test_halves_of_a_block_are_the_block():
    stage = build_segmentor(SMALL, 5).eval().backbone.stages[0].branches[0]
    block = stage.blocks[0]
    x_bhwc = torch.randn(1, 4, 6, SMALL.modules[0].branches[0].width)
    with torch.inference_mode():
        expected = block(x_bhwc.clone())
        assert torch.equal(block.mix_channels(block.mix_tokens(x_bhwc.clone())), expected)


def test_parts_and_networks_are_timed():
    timer = Timer(device=CPU, image_size=(32, 64), num_classes=3, warmup=1, repeats=3)
    parts = [*parts_of([SMALL], (32, 64)), *heads_of([SMALL], (32, 64))]
    assert {part.kind for part in parts} == {part.kind for part in timed_parts(SMALL, (32, 64))}
    before = torch.get_rng_state(), torch.get_num_threads()
    *timings, network = [*timer.time_parts(parts[:6]), *timer.time_networks([SMALL])]
    assert torch.get_num_threads() == before[1]
    for timing in (*timings, network):
        assert 0 < timing.p10_ms <= timing.median_ms <= timing.p90_ms
        assert timing.repeats == 3
    assert network.median_ms > max(timing.median_ms for timing in timings)
    at = timer.conditions
    assert (at.image_size, at.num_classes, at.threads) == ((32, 64), 3, 1)


def test_heads_are_measured_at_their_corners():
    wide = replace(scale_widths(SMALL, 2), head_width=SMALL.head_width)
    found = {part.widths for part in heads_of([SMALL, wide], (64, 96))}
    low, high = SMALL.out_widths, wide.out_widths
    mixed = {(*low[:b], high[b], *low[b + 1 :]) for b in range(4)}
    assert found == {(*widths, SMALL.head_width) for widths in (low, high, *mixed)}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
        ({"warmup": -1}, "warmup must be at least 0, got -1"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size"),
        ({"image_size": (16, 64)}, "image_size"),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        Timer(**{"device": CPU, "image_size": (64, 64), "num_classes": 2} | setting)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_parts_are_timed_on_a_gpu():
    timer = Timer(device=torch.device("cuda"), image_size=(64, 64), num_classes=3, repeats=2)
    parts = parts_of([SMALL], (64, 64)) + heads_of([SMALL], (64, 64))
    assert len(timer.time_parts(parts)) == len(parts)
    assert timer.time_networks([SMALL])[0].median_ms > 0
    assert timer.conditions.precision == "bfloat16"
