"""What a calibration reads off trials with several seeds."""

import math

import numpy as np
import pytest

from hrvit_nas.results import CalibrationError, HistoryPoint, calibrate, calibrate_criteria

STEPS = (50, 100)
NOISE = {50: 0.2, 100: 0.04}


def history(scores, *, averaged=None):
    return tuple(
        HistoryPoint(step, score, averaged, cross_entropy=1 - score, seconds=step / 10)
        for step, score in scores.items()
    )


@pytest.fixture
def trials(record):
    """Twelve architectures, two seeds each: hopeless at half the steps, good at the end."""
    rng = np.random.default_rng(0)
    return [
        record(
            number=2 * arch + seed,
            arch_id=f"{arch:012x}",
            purpose="calibration",
            seed=seed,
            macs=10**7 * (1 + arch),
            miou=0.3,
            history=history(
                {s: 0.2 + 0.02 * (arch * 5 % 12) + NOISE[s] * rng.random() for s in STEPS}
            ),
        )
        for arch in range(12)
        for seed in (0, 1)
    ]


def test_each_fidelity_has_its_spreads_its_taus_and_its_price(trials):
    found = calibrate(trials)
    assert (found.num_architectures, found.seeds, found.num_left_out) == (12, (0, 1), 0)
    assert found.macs == (10**7, 12 * 10**7)
    half, full = found.fidelities
    assert [(f.steps, f.seconds) for f in found.fidelities] == [(50, 5.0), (100, 10.0)]
    assert full.components.seeds.value < half.components.seeds.value
    assert full.seed_tau.value > 0.8 > half.seed_tau.value
    assert full.final_tau.value == full.seed_tau.value
    assert full.seed_tau.low <= full.seed_tau.value <= full.seed_tau.high
    # The order was made so that costs say nothing.
    assert full.residual_tau.value > 0.7


def test_the_cheapest_fidelity_that_reaches_the_wanted_tau_is_recommended(trials):
    found = calibrate(trials)
    half, full = found.fidelities
    assert found.recommended(half.seed_tau.value) == half
    assert found.recommended(half.seed_tau.value + 1e-9) == full
    assert found.recommended(1.01) is None


def test_more_seeds_are_expected_to_agree_more(trials):
    half, _ = calibrate(trials).fidelities
    taus = [half.expected_tau(n) for n in (1, 2, 8, 64)]
    assert taus == sorted(taus)
    assert taus[0] == pytest.approx(2 / math.pi * math.asin(half.components.reliability.value))
    needed = half.seeds_for(0.8)
    assert half.expected_tau(needed) >= 0.8 > half.expected_tau(needed - 1)
    assert half.seeds_for(0.9999) is None


def test_another_criterion_ranks_as_well_where_less_is_better(trials):
    by_iou, by_loss = calibrate(trials), calibrate(trials, "cross_entropy")
    assert by_loss.final.seed_tau.value == by_iou.final.seed_tau.value
    with pytest.raises(CalibrationError, match="needs averaged_miou of at least 4"):
        calibrate(trials, "averaged_miou")


def test_criteria_are_set_against_the_target_of_another_seed(trials):
    found = calibrate_criteria(trials, "miou")
    assert list(found) == ["miou", "cross_entropy"]
    assert found["miou"] == calibrate(trials)
    # 1 - mIoU, so that it ranks just as mIoU does.
    assert found["cross_entropy"].final.final_tau == found["miou"].final.final_tau
    reverse = [
        trial.model_copy(
            update={"history": tuple(p._replace(cross_entropy=p.miou) for p in trial.history)}
        )
        for trial in trials
    ]
    aside = calibrate_criteria(reverse, "miou")["cross_entropy"].final
    assert aside.seed_tau.value > 0.8
    assert aside.final_tau.value == -found["miou"].final.final_tau.value


def test_an_architecture_that_lacks_a_seed_is_left_out(trials, record):
    failed = record(arch_id="f" * 12, purpose="calibration", state="failed")
    found = calibrate([*trials[:-1], failed])
    assert (found.num_architectures, found.num_left_out) == (11, 2)


def test_a_seed_that_few_have_so_far_takes_nothing_away(trials):
    whole = calibrate(trials)
    third = [t.model_copy(update={"seed": 2}) for t in trials if t.seed == 0]
    assert calibrate([*trials, *third[:5]]) == whole
    more = calibrate([*trials, *third[:9]])
    assert (more.num_architectures, more.seeds, more.num_left_out) == (9, (0, 1, 2), 3)


def test_trials_of_a_search_do_not_count(trials, record):
    assert calibrate([*trials, record(arch_id="a" * 12)]) == calibrate(trials)


@pytest.mark.parametrize("kept", [slice(0, 6), slice(0, 24, 2), slice(0, 0)])
def test_too_few_trials_are_said(trials, kept):
    with pytest.raises(CalibrationError, match="at least 4 architectures with each of at least 2"):
        calibrate(trials[kept])
