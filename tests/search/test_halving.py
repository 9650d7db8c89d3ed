"""Successive halving: who goes on from a rung, and that a paused training goes on as if it had
never stopped.
"""

import math
from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sitting import run_in_sittings

from hrvit_nas.arch import get_arch
from hrvit_nas.data import AugmentConfig
from hrvit_nas.results import Trial
from hrvit_nas.search.halving import MoAsha, Rungs, by_crowding, by_epsilon_net, fronts
from hrvit_nas.search.run import continue_run, create_run, open_run
from hrvit_nas.search.worker import TrialWorker, shared_by_trials
from hrvit_nas.training import Recipe

SIZE = (32, 48)
RECIPE = Recipe(
    steps=8, stop_after=4, batch_size=2, warmup_steps=0, augment=AugmentConfig(crop_size=SIZE)
)
HALVING = {"grace_period": 1, "reduction_factor": 2}
SCORES = st.tuples(st.integers(0, 5), st.integers(0, 5)).map(lambda v: (v[0] / 5, float(v[1])))


@pytest.fixture
def halving_config(make_config):
    def make(**changes):
        fields = {"recipe": RECIPE.model_dump(), "scheduler": HALVING, "trials": 8, **changes}
        return make_config(**fields)

    return make


# Who goes on


def test_rungs_are_powers_of_the_reduction_factor_below_the_highest():
    def rungs(grace_period, factor, max_t):
        return MoAsha(grace_period=grace_period, reduction_factor=factor).rungs(max_t)

    assert rungs(50, 2, 600) == (50, 100, 200, 400, 600)
    assert rungs(200, 3, 600) == rungs(None, 3, 600) == (200, 600)
    with pytest.raises(ValueError, match="grace_period must be below the 200 steps"):
        rungs(200, 2, 200)


@given(points=st.lists(SCORES, min_size=1, max_size=12), count=st.integers(1, 12))
def test_fronts_are_what_none_of_the_rest_dominates(points, count):
    def dominates(p, q):
        return p[0] >= q[0] and p[1] <= q[1] and p != q

    found = fronts(np.array(points), len(points))
    assert sorted(index for front in found for index in front) == list(range(len(points)))
    left = set(range(len(points)))
    for front in found:
        assert set(front) == {
            i for i in left if not any(dominates(points[j], points[i]) for j in left)
        }
        left -= set(front)
    some = fronts(np.array(points), count)
    assert some == found[: len(some)]
    assert sum(map(len, some)) >= min(count, len(points)) > sum(map(len, some[:-1]))


def test_the_lonelier_come_first():
    # Distances: the ends are infinite, then (9 - 1) / 10 + (9 - 1) / 10, and so on.
    line = np.array([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (9.0, 9.0), (10.0, 10.0)])
    assert by_crowding(line) == [0, 4, 2, 3, 1]


def test_an_epsilon_net_begins_with_the_best_and_goes_as_far_as_can_be():
    line = np.array([(0.0, 0.0), (0.1, 0.1), (0.5, 0.5), (0.9, 0.9), (1.0, 1.0)])
    assert by_epsilon_net(line) == [4, 0, 2, 1, 3]


ARCHS = [replace(get_arch("hrvit_b1"), stem_width=16 + 4 * number) for number in range(12)]


@pytest.mark.parametrize("selector", ["nsga2", "epsnet"])
@given(points=st.lists(SCORES, max_size=12), factor=st.integers(2, 4), data=st.data())
def test_one_in_so_many_goes_on_and_none_twice(selector, points, factor, data):
    halving = MoAsha(grace_period=1, reduction_factor=factor, mo_selector=selector)
    rungs = Rungs(halving, (1, 2))
    archs = ARCHS[: len(points)]
    on = {}
    for arch, point in data.draw(st.permutations(list(zip(archs, points, strict=True)))):
        rungs.end(arch, 1, point)
        on[arch.id] = point
        assert halving.best(on) == halving.best(dict(sorted(on.items())))
    passed = []
    while (found := rungs.next()) is not None:
        arch, rung = found
        assert rung == 1
        rungs.begin(arch, 2)
        passed.append(arch.id)
    assert passed == halving.best(on)
    assert len(set(passed)) == len(points) // factor


def test_the_highest_rung_comes_first_and_what_failed_goes_nowhere():
    rungs = Rungs(MoAsha(grace_period=1, reduction_factor=2), (1, 2, 4))
    first, second, third, fourth = ARCHS[:4]
    rungs.end(first, 1, (0.9, 1.0))
    assert rungs.next() is None
    rungs.end(second, 1, None)
    assert rungs.next() is None, "one of two failed, and half of one is none"
    rungs.end(third, 1, (0.5, 2.0))
    assert rungs.next() == (first, 1)
    rungs.end(first, 2, (0.9, 1.0))
    rungs.end(third, 2, (0.5, 2.0))
    rungs.end(fourth, 1, (0.8, 0.5))
    assert rungs.next() == (first, 2)


# The plan


def test_the_best_of_each_rung_go_on(halving_config, sit):
    records = sit(halving_config(references=[])).run(workers=1)
    budgets = Counter((record.purpose, record.budget) for record in records)
    assert budgets["rung", 1] == 8
    assert 4 <= budgets["rung", 2] <= 8
    assert 2 <= budgets["search", 4] <= budgets["rung", 2]
    at = {(record.arch_id, record.budget) for record in records}
    assert all((arch_id, budget // 2) in at for arch_id, budget in at if budget > 1)


def test_a_promotion_comes_before_a_new_architecture(halving_config, sit):
    sitting = sit(halving_config())
    sitting.hand_out(2)
    assert [trial.budget for trial in sitting.running] == [1, 1]
    sitting.finish()
    sitting.finish()
    sitting.hand_out(2)
    assert [(trial.budget, trial.goes_on_from) for trial in sitting.running] == [(2, 1), (1, None)]


def test_what_failed_does_not_go_on(halving_config, sit):
    sitting = sit(halving_config())
    for _ in range(4):
        sitting.hand_out(1)
        assert sitting.running[0].budget == 1
        sitting.finish(fails=True)


@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(cuts=st.lists(st.integers(0, 8), max_size=4), workers=st.integers(1, 3))
def test_wherever_it_is_cut_nothing_is_lost_or_done_twice(halving_config, cuts, workers):
    config = halving_config(references=[])
    records, untold = run_in_sittings(config, cuts, workers)
    assert len({record.key for record in records}) == len(records)
    assert sum(record.budget == 1 for record in records) == 8
    assert sum(record.budget == 4 for record in records) >= 2
    assert untold == []


def test_all_must_be_able_to_reach_the_highest_rung(halving_config):
    with pytest.raises(ValidationError, match="trials must be at least 4"):
        halving_config(trials=3)
    with pytest.raises(ValidationError, match="grace_period must be below the 4 steps"):
        halving_config(scheduler={"grace_period": 4})


# Training


class Nobody:
    def started(self, trial): ...

    def ended(self, record, summary): ...


def scores(result):
    return [point._replace(seconds=None) for point in result.history]


def test_paused_and_gone_on_with_elsewhere_it_scores_the_same_to_the_bit(halving_config, tmp_path):
    run = create_run(halving_config(), tmp_path / "run")
    run.close()
    spec = run.space.sample(Random(0))

    def trial(budget, goes_on_from=None, purpose="rung"):
        return Trial(
            number=0, arch=spec, seed=3, purpose=purpose, budget=budget, goes_on_from=goes_on_from
        )

    shared = shared_by_trials(run)
    through = TrialWorker(shared).run(trial(4, purpose="search"))
    run.layout.training_of(trial(4)).unlink()
    for budget, before in ((1, None), (2, 1), (4, 2)):
        paused = TrialWorker(shared).run(trial(budget, before))  # which holds nothing of the others
        assert paused.steps == budget
    assert scores(paused)[-1] == scores(through)[-1]
    assert [point.step for point in paused.history] == [1, 2, 4]
    assert not run.layout.training_of(trial(1)).exists()


@pytest.mark.slow
def test_a_search_by_halving_leaves_its_frontier_and_no_state(halving_config, tmp_path):
    run = create_run(halving_config(trials=4), tmp_path / "run")
    continue_run(run, Nobody())
    run.close()
    records = run.store.records()
    assert {record.state for record in records} == {"complete"}
    top = {record.arch_id for record in records if record.purpose == "search"}
    assert {row.arch_id for row in run.summary().frontier} <= top
    assert not run.layout.training.exists()
    kept = {arch_id for arch_id, _ in run.layout.all_weights()}
    assert kept <= {r.arch_id for r in records if r.purpose != "rung"}

    # Asked for more, what was paused may go on after all, and is then trained from the beginning.
    run = open_run(tmp_path / "run", {"trials": 8})
    continue_run(run, Nobody())
    run.close()
    more = run.store.records()
    assert more[: len(records)] == records
    assert sum(record.budget == 1 for record in more) == 8
    assert math.isfinite(run.summary().best.interval.mean)
