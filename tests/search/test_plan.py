"""The order of a run's stages, what each waits for, and what is left of them after any stop."""

import math
from collections import Counter
from itertools import groupby, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sitting import CLASSES, SIZE, run_in_sittings

from hrvit_nas.arch import get_arch, parse_arch
from hrvit_nas.report import search_verdict
from hrvit_nas.results import (
    TrialKey,
    calibrate,
    summarise,
)
from hrvit_nas.samplers import REPEATABLE
from hrvit_nas.samplers.first import PRESET_COSTS
from hrvit_nas.search.plan import calibration_archs
from hrvit_nas.search.profiles import load_profile
from hrvit_nas.search.run import sampler_of
from hrvit_nas.search.search_plan import outside_space
from hrvit_nas.search.selection import best_inherited, finalists


def test_stages_come_in_order_and_wait_for_what_runs(make_config, sit):
    sitting = sit(make_config(trials=5, confirm=2, seed=7))
    sitting.hand_out(100)
    assert [trial.purpose for trial in sitting.running] == ["search"] * 5
    assert {trial.seed for trial in sitting.running} == {7}
    while len(sitting.running) > 1:
        sitting.finish()
        sitting.hand_out(100)
        assert {trial.purpose for trial in sitting.running} == {"search"}
    assert not sitting.plan.finished
    sitting.finish()

    sitting.hand_out(100)
    references = list(sitting.running)
    assert {(trial.purpose, trial.label, trial.seed) for trial in references} == {
        ("reference", "b1 scaled", 7)
    }
    assert references
    for _ in references:
        assert sitting.plan.next() is None
        sitting.finish()

    front = summarise(r for r in sitting.store.records() if r.purpose == "search").frontier
    sitting.hand_out(100)
    confirming = list(sitting.running)
    arch_ids = {row.arch_id for row in front} | {trial.arch.id for trial in references}
    assert {trial.purpose for trial in confirming} == {"confirmation"}
    assert {trial.key for trial in confirming} == {
        TrialKey(arch_id, seed, "trained", 1) for arch_id in arch_ids for seed in (8, 9)
    }
    while sitting.running:
        assert not sitting.plan.finished
        sitting.finish()
        sitting.hand_out(100)
    assert sitting.plan.finished
    assert sitting.plan.next() is None
    numbers = [record.number for record in sitting.store.records()]
    assert sorted(numbers) == list(range(len(numbers)))
    assert sitting.plan.notes == []


@pytest.mark.parametrize("cost", ["macs", "params"])
def test_each_frontier_architecture_has_a_reference_of_its_cost(cost, make_config, sit):
    records = sit(make_config(trials=16, costs=[cost])).run()
    summary = summarise(records, costs=[cost])
    front, references = summary.frontier, summary.references
    assert len(front) >= 3, "the scores were made so that the frontier is wide"
    assert len(references) <= len(front)
    for row in front:
        nearest = min(abs(ref.cost(cost) / row.cost(cost) - 1) for ref in references)
        assert nearest < 0.1, "so small networks have few widths"
    # The same allocation: widths are scaled, blocks are b1's.
    b1 = get_arch("hrvit_b1")
    for record in records:
        if record.purpose == "reference":
            blocks = [[b.blocks for b in module.branches] for module in record.spec.modules]
            assert blocks == [[b.blocks for b in module.branches] for module in b1.modules]


def test_failures_do_not_enter_the_frontier(make_config, sit):
    config = make_config(trials=4, confirm=1)
    first = sit(config)
    first.hand_out(4)
    first.finish(fails=True)
    while first.running:
        first.finish()
    first.store.close()
    records = sit(config).run()
    failed = [record for record in records if record.state == "failed"]
    assert len(failed) == 1
    assert [record.arch_id for record in records].count(failed[0].arch_id) == 1
    assert Counter(record.purpose for record in records)["search"] == 4


def test_without_a_complete_trial_the_run_ends_with_a_note(make_config, sit):
    sitting = sit(make_config(trials=2, confirm=3))
    sitting.hand_out(4)
    while sitting.running:
        sitting.finish(fails=True)
    assert sitting.plan.next() is None
    assert sitting.plan.finished
    assert sitting.plan.notes == ["no trial was completed, so there is no frontier"]


def test_an_exhausted_space_ends_the_search_but_not_the_run(make_config, sit):
    config = make_config(trials=50)
    choices = dict(config.narrowing.choices)
    for gene in config.load_space().genes:
        choices[gene.name] = gene.choices[:1]
    choices["width_1"] = (8, 16)
    narrowing = config.narrowing.model_copy(update={"choices": choices})
    sitting = sit(config.model_copy(update={"narrowing": narrowing}))
    counts = Counter(record.purpose for record in sitting.run())
    assert counts["search"] == 2
    assert counts["reference"] >= 1
    assert len(sitting.plan.notes) == 1
    assert "no further architecture" in sitting.plan.notes[0]


def test_a_finished_run_asks_for_no_more(make_config, sit):
    config = make_config(trials=3, confirm=1)
    records = sit(config).run()
    assert sit(config).run() == records


def test_a_finished_run_can_be_extended(make_config, sit):
    records = sit(make_config(trials=3)).run()
    more = sit(make_config(trials=5, confirm=1)).run()
    assert more[: len(records)] == records
    assert Counter(record.purpose for record in more)["search"] == 5
    assert len({record.key for record in more}) == len(more)
    front = {row.arch_id for row in summarise(r for r in more if r.purpose == "search").frontier}
    confirmed = {record.arch_id for record in more if record.purpose == "confirmation"}
    assert front <= confirmed


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(cuts=st.lists(st.integers(0, 6), max_size=4), workers=st.integers(1, 3))
def test_wherever_a_run_is_cut_the_sittings_add_up(make_config, cuts, workers):
    config = make_config(trials=4, confirm=1)
    records, untold = run_in_sittings(config, cuts, workers)
    counts = Counter(record.purpose for record in records)
    summary = summarise(r for r in records if r.purpose == "search")
    references = {record.arch_id for record in records if record.purpose == "reference"}
    assert len({record.key for record in records}) == len(records)
    assert counts["search"] == 4
    assert counts["confirmation"] == len({row.arch_id for row in summary.frontier} | references)
    assert untold == []


def table(records):
    """What a run found, times aside."""
    rows = (r.model_dump(exclude={"finished_at", "seconds", "worker"}) for r in records)
    return sorted(rows, key=lambda row: row["number"])


@pytest.mark.parametrize("sampler", REPEATABLE)
def test_a_deterministic_search_finds_the_same_however_it_runs(make_config, sampler):
    config = make_config(
        sampler=sampler, deterministic=True, trials=14, population=4, confirm=1, seed=3
    )
    undisturbed = table(run_in_sittings(config, [], 1)[0])
    for cuts, workers in [([], 2), ([], 4), ([0, 3, 6], 1), ([4, 5, 1, 7], 3), ([15], 2)]:
        assert table(run_in_sittings(config, cuts, workers)[0]) == undisturbed


def test_other_searches_are_not_deterministic(make_config):
    with pytest.raises(ValidationError, match="deterministic must go with sampler nsga2 or random"):
        make_config(sampler="tpe", deterministic=True)
    with pytest.raises(ValidationError, match="deterministic must go with scheduler fifo"):
        make_config(
            sampler="random",
            deterministic=True,
            trials=9,
            scheduler={"grace_period": 1},
            recipe=make_config().recipe.model_copy(update={"steps": 9}),
        )


@pytest.mark.parametrize("deterministic", [False, True])
def test_what_failed_is_tried_again_in_a_later_sitting_as_often_as_it_may_be(
    make_config, sit, deterministic
):
    config = make_config(trials=3, sampler="nsga2", references=[], deterministic=deterministic)
    first = sit(config)
    first.hand_out(3)
    failed = first.finish(1, fails=True, attempts=1)
    first.finish(fails=True)  # as often as it may be
    first.finish()
    first.store.close()

    second = sit(config)
    second.hand_out(3)
    (again,) = second.running
    assert (again.key, again.number, again.attempts) == (failed.key, failed.number, 1)
    record = second.finish()
    assert [r.state for r in second.store.records()].count("failed") == 1
    assert record in second.store.records()
    second.store.close()
    third = sit(config)
    scores = [t.values[0] for t in sampler_of(third)._kept.trials if t.state.name == "COMPLETE"]
    assert sorted(scores) == sorted(r.miou for r in third.store.records() if r.miou is not None)
    assert third.plan.next() is None
    third.store.close()

    more = config.model_copy(
        update={"resources": config.resources.model_copy(update={"max_retries": 2})}
    )
    fourth = sit(more)
    fourth.hand_out(3)
    assert len(fourth.running) == 1


def test_a_calibration_trains_architectures_of_all_costs_with_each_seed(make_config, sit):
    config = make_config("calibration", architectures=8, num_seeds=3, seed=4)
    records = sit(config).run()
    assert Counter(record.purpose for record in records) == {"calibration": 24}
    assert Counter(record.seed for record in records) == {4: 8, 5: 8, 6: 8}
    macs = sorted({record.macs for record in records})
    assert len(macs) == 8
    # Even steps of the logarithm, as far as the space allows; uniform draws leave gaps twice that.
    steps = [math.log(b / a) for a, b in pairwise(macs)]
    assert max(steps) < 1.5 * math.log(macs[-1] / macs[0]) / 7


def test_an_interrupted_calibration_trains_the_rest(make_config, sit, tmp_path):
    config = make_config("calibration")
    whole = sit(config, tmp_path / "whole").run(workers=1)
    first = sit(config, tmp_path / "parts").run(workers=1, most=4)
    both = sit(config, tmp_path / "parts").run(workers=1)
    assert both[:4] == first
    assert {record.key for record in both} == {record.key for record in whole}
    assert len(both) == len(whole) == 12


def test_a_calibration_of_a_small_space_says_so(make_config, sit):
    config = make_config()
    one = {gene.name: gene.choices[:1] for gene in config.load_space().genes}
    few = {**one, "expansion_ratio_1": (1, 2), "expansion_ratio_2": (1, 2)}
    narrowing = config.narrowing.model_copy(update={"choices": few})
    sitting = sit(make_config("calibration", narrowing=narrowing))
    assert len(sitting.run()) == 8
    assert sitting.plan.notes == [
        "the space holds no more than 4 architectures that could be found, of 6 wanted"
    ]


LONG = {"steps": 3, "batch_size": 2, "warmup_steps": 0, "augment": {"crop_size": SIZE}}


def test_what_confirms_is_trained_long_and_nothing_else(make_config, sit):
    sitting = sit(make_config(trials=4, confirm=2, long=LONG))
    sitting.run()
    records = sitting.store.records()
    assert {record.budget for record in records if record.purpose == "confirmation"} == {3}
    assert {record.budget for record in records if record.purpose != "confirmation"} == {1}
    assert len({record.key for record in records}) == len(records)
    # Scores of two kinds of training are no sample of one distribution.
    for row in summarise(records).rows:
        assert not row.confirmed or row.scores.keys() & row.all_scores.keys() == set()


def test_only_finalists_and_what_is_beside_them_are_confirmed(make_config, sit):
    records = sit(make_config(trials=8, confirm=2, finalists=2, long=LONG)).run()
    front = summarise(r for r in records if r.purpose == "search").frontier
    assert len(front) > 2
    chosen = {row.arch_id for row in finalists(front, ["macs"], 2)}
    confirmed = [r for r in records if r.purpose == "confirmation"]
    assert {r.arch_id for r in confirmed if not r.label} == chosen
    assert all(
        any(abs(r.macs / row.macs - 1) < 0.05 for row in front if row.arch_id in chosen)
        for r in records
        if r.purpose == "reference"
    )
    assert {row.arch_id for row in summarise(records, finalists=2).frontier} <= chosen


def test_a_calibration_trains_its_architectures_on_where_it_is_to_judge_validity(make_config, sit):
    config = make_config("calibration", num_seeds=2, long=LONG)
    sitting = sit(config)
    sitting.run(most=7)
    sitting.store.close()
    again = sit(config)
    again.run()
    records = again.store.records()
    assert Counter((record.budget, record.seed) for record in records) == {
        (budget, seed): 6 for budget in (1, 3) for seed in (0, 1)
    }
    assert calibrate(records).long_tau is not None
    # Long scores judge, and are compared with nothing.
    summary = summarise(records)
    assert len(summary.rows) == 6
    assert all(len(row.all_scores) == 2 for row in summary.rows)


@pytest.mark.parametrize("sampler", ["nsga2", "random"])
def test_what_is_a_reference_too_is_trained_once_and_compared(sampler, make_config, sit):
    """An allocation that the search starts from comes out on its frontier."""
    profile = load_profile("laptop")
    narrowing = profile.narrowing.model_dump(exclude_unset=True)
    config = make_config(
        narrowing=narrowing, initial=("hrvit_b1",), trials=8, sampler=sampler, confirm=1
    ).with_num_classes(CLASSES)
    sitting = sit(config)
    sitting.run()
    records = sitting.store.records()
    assert len({record.key for record in records}) == len(records)
    blocks = [[b.blocks for b in module.branches] for module in get_arch("hrvit_b1").modules]
    mine = [
        record
        for record in records
        if record.purpose == "search"
        and [[b.blocks for b in module.branches] for module in record.spec.modules] == blocks
    ]
    assert len(mine) >= PRESET_COSTS
    assert {record.label for record in records} == {"", "b1 scaled"}
    summary = summarise(records)
    assert all(row.confirmed for row in (*summary.frontier, *summary.references))
    references = [parse_arch(row.arch) for row in summary.references]
    assert not outside_space(references, config.load_space())
    for row in summary.frontier:
        if not row.reference:
            reference, difference = summary.against_reference(row, "b1 scaled")
            assert difference.interval.num_values == 1
            assert abs(reference.macs / row.macs - 1) < 0.03
    cheapest, dearest = (
        end(config.cost_of(r.spec) for r in records if r.purpose == "search") for end in (min, max)
    )
    if sampler == "nsga2":  # the spread's ends stay among the first proposals
        assert dearest / cheapest > 2.5


def test_a_reference_outside_the_space_is_known_as_such(make_config, sit):
    config = make_config(trials=4, confirm=2)
    sitting = sit(config)
    sitting.run()
    summary = summarise(sitting.store.records())
    references = [parse_arch(row.arch) for row in summary.references]
    outside = outside_space(references, config.load_space())
    assert outside == {row.arch_id for row in summary.references}  # it has one block a branch
    said = search_verdict(summary, 0, None, outside=outside)
    beside = [finding for finding in said if finding.name == "beside_reference"]
    assert [finding.facts["num_outside"] > 0 for finding in beside] == [True] * len(beside)
    inside = [f for f in search_verdict(summary, 0, None) if f.name == "beside_reference"]
    assert beside
    assert [finding.facts["num_outside"] for finding in inside] == [0] * len(beside)


def supernet_config(make_config, **changes):
    values = {"trials": 8, "retrain": 3, "seed": 5}
    return make_config("supernet_search", **{**values, **changes})


def test_the_stages_of_a_supernet_run_come_in_order(make_config, sit):
    config = supernet_config(make_config, ranking_check=6, ranking_seeds=3, confirm=1)
    sitting = sit(config)
    handed = []
    while not sitting.plan.finished:
        sitting.hand_out(100)
        handed.append(sitting.running[:])
        while sitting.running:
            sitting.finish()
    stages = [
        [(*stage, label) for (stage, label), _ in groupby(trials, lambda t: (t.stage, t.label))]
        for trials in handed
        if trials
    ]
    assert stages == [
        [("search", "inherited", "")],
        [("search", "trained", "")],
        [("reference", "trained", "b1 scaled")],
        [("confirmation", "trained", "b1 scaled"), ("confirmation", "trained", "")],
        [("ranking_check", "inherited", ""), ("ranking_check", "trained", "")],
    ]
    records = sitting.store.records()
    assert len({record.key for record in records}) == len(records)
    assert Counter(r.stage for r in records)["search", "inherited"] == 8
    assert {r.seed for r in records if r.purpose == "search"} == {5}
    best = best_inherited(records, ["macs"], 3, config.searched_by)
    assert {r.spec for r in records if r.stage == ("search", "trained")} == set(best)
    assert len(best) == 3


def test_a_ranking_check_looks_at_architectures_of_all_costs_with_every_seed(make_config, sit):
    config = supernet_config(make_config, ranking_check=6, ranking_seeds=3)
    records = sit(config).run()
    arch_ids = {spec.id for spec in calibration_archs(config.load_space(), config, 6)}
    assert len(arch_ids) == 6
    assert arch_ids <= {r.arch_id for r in records if r.evaluator == "inherited"}
    trained = {(r.arch_id, r.seed) for r in records if r.evaluator == "trained"}
    assert {(arch_id, seed) for arch_id in arch_ids for seed in (5, 6, 7)} <= trained
    proposed = {r.arch_id for r in records if r.stage == ("search", "inherited")}
    checked = {r.arch_id for r in records if r.stage == ("ranking_check", "inherited")}
    assert checked == arch_ids - proposed


def test_checked_architectures_are_not_what_an_extended_search_chooses(make_config, sit):
    first = sit(supernet_config(make_config, trials=3, retrain=2, ranking_check=8)).run()
    more = sit(supernet_config(make_config, trials=6, retrain=6, ranking_check=8)).run()
    assert more[: len(first)] == first
    assert len({record.key for record in more}) == len(more)
    scored = [record for record in more if record.evaluator == "inherited"]
    proposed = {record.arch_id for record in scored if record.purpose == "search"}
    checked = {record.arch_id for record in scored if record.purpose == "ranking_check"}
    assert len(proposed) == 6
    assert proposed.isdisjoint(checked)
    assert {record.arch_id for record in more if record.purpose == "search"} <= proposed
    assert {row.arch_id for row in summarise(more).frontier} <= proposed


@pytest.mark.parametrize("cut", [5, 9, 14])
def test_a_supernet_run_goes_on_wherever_it_was_cut(make_config, sit, tmp_path, cut):
    config = supernet_config(make_config, ranking_check=6)
    first = sit(config).run(most=cut)
    assert len(first) == cut
    records = sit(config).run()
    assert records[:cut] == first
    assert sit(config).run() == records
    assert len({record.key for record in records}) == len(records)
    own = [r for r in records if r.stage == ("search", "inherited")]
    assert len(own) == 8
    best = best_inherited(own, ["macs"], 3, config.searched_by)
    assert {r.spec for r in records if r.stage == ("search", "trained")} == set(best)
    arch_ids = {spec.id for spec in calibration_archs(config.load_space(), config, 6)}
    trained = {(r.arch_id, r.seed) for r in records if r.evaluator == "trained"}
    assert {(arch_id, seed) for arch_id in arch_ids for seed in (5, 6)} <= trained


def test_a_supernet_run_of_which_nothing_comes_trains_nothing(make_config, sit):
    sitting = sit(supernet_config(make_config, trials=2))
    sitting.hand_out(4)
    while sitting.running:
        sitting.finish(fails=True)
    assert sitting.plan.next() is None
    assert sitting.plan.finished
    assert sitting.plan.notes == ["no trial was completed, so there is no frontier"]
