"""One row an architecture: whose score counts, and who is on the frontier."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrvit_nas.results import HistoryPoint, Summing, mean_interval, pareto_front, summarise
from hrvit_nas.results.score_noise import variance_components

A, B, C, REF = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc", "dddddddddddd")


@pytest.fixture
def trials(record):
    return [
        record(arch_id=A, macs=10, miou=0.30),
        record(arch_id=B, macs=20, miou=0.40),
        record(arch_id=C, macs=30, miou=0.35),
        record(arch_id=REF, macs=15, miou=0.45, purpose="reference", label="b1 scaled"),
        record(arch_id="eeeeeeeeeeee", macs=1, state="failed"),
    ]


@pytest.fixture
def confirmed(trials, record):
    scores = {A: (0.28, 0.30), B: (0.27, 0.29), REF: (0.25, 0.26)}
    return trials + [
        record(
            arch_id=arch_id,
            macs={A: 10, B: 20, REF: 15}[arch_id],
            miou=miou,
            purpose="confirmation",
            seed=seed,
        )
        for arch_id, pair in scores.items()
        for seed, miou in enumerate(pair, start=1)
    ]


def by_id(summary):
    return {row.arch_id: row for row in summary.rows}


def test_frontier_before_confirmation(trials):
    summary = summarise(trials)
    assert [row.arch_id for row in summary.rows] == [A, REF, B, C]
    assert [row.arch_id for row in summary.frontier] == [A, B]
    assert [row.label for row in summary.references] == ["b1 scaled"]
    assert (summary.num_failed, summary.steps, summary.confirmed) == (1, (100,), False)
    row = by_id(summary)[B]
    assert (row.interval.mean, row.search_miou, row.interval.known) == (0.40, 0.40, False)


def test_confirmed_means_leave_out_the_seed_that_selected(confirmed):
    summary = summarise(confirmed, confidence=0.9)
    row = by_id(summary)[A]
    assert row.scores == {1: 0.28, 2: 0.30}
    assert row.interval == mean_interval([0.28, 0.30], 0.9)
    assert row.search_miou == 0.30


def test_once_confirmed_only_the_confirmed_make_the_frontier(confirmed):
    # B lost its lead when trained again; C kept its one flattered seed, which counts no more.
    summary = summarise(confirmed)
    assert [row.arch_id for row in summary.frontier] == [A]
    assert summary.confirmed


def test_where_only_some_are_to_be_confirmed_those_make_the_frontier(confirmed, trials):
    of_b = [r for r in confirmed if r.purpose == "confirmation" and r.arch_id != A]
    assert {row.arch_id for row in summarise([*trials, *of_b]).frontier} == {A, B}
    assert [row.arch_id for row in summarise([*trials, *of_b], finalists=1).frontier] == [B]
    assert {row.arch_id for row in summarise(trials, finalists=1).frontier} == {A, B}
    within = summarise([*trials, *of_b], finalists=1).within(macs=15)
    assert [row.arch_id for row in within.frontier] == [A]  # none of the confirmed is left


def test_a_reference_that_the_search_found_too_may_be_on_the_frontier(trials, record):
    summary = summarise([*trials, record(arch_id=REF, macs=15, miou=0.45)])
    row = by_id(summary)[REF]
    assert row.reference
    assert row.on_frontier
    assert row.label == "b1 scaled"


@pytest.mark.parametrize(
    ("cost", "arch_ids"), [("macs", [A, B]), ("params", [B]), ("latency_ms", [A])]
)
def test_the_cost_decides_the_frontier(record, cost, arch_ids):
    # A alone has a latency: without one, there is no place on that frontier.
    summary = summarise(
        [
            record(arch_id=A, macs=10, params=9, latency_ms=3.0, miou=0.3),
            record(arch_id=B, macs=20, params=5, miou=0.4),
        ],
        costs=[cost],
    )
    assert [row.arch_id for row in summary.frontier] == arch_ids


def test_comparison_with_the_nearest_reference_is_paired(confirmed, record):
    label = by_id(summarise(confirmed))[REF].label

    def beside(digit, macs, name):
        return [
            record(
                arch_id=C[:-1] + digit, macs=macs, miou=0.9, purpose=purpose, seed=seed, label=name
            )
            for purpose, seed in (("reference", 0), ("confirmation", 1), ("confirmation", 2))
        ]

    # One of the same name far off, and one of another name close by.
    near = by_id(summarise(confirmed))[A].macs
    summary = summarise([*confirmed, *beside("d", 1000, label), *beside("e", near, "other")])
    assert set(summary.reference_labels) == {label, "other"}
    reference, difference = summary.against_reference(by_id(summary)[A], label)
    assert reference.arch_id == REF
    assert difference.interval.mean == pytest.approx((0.03 + 0.04) / 2)
    other, _ = summary.against_reference(by_id(summary)[A], "other")
    assert other.arch_id == C[:-1] + "e"
    assert summary.against_reference(reference, label) is None
    # C was not confirmed and shares no condition with a confirmed reference.
    assert summary.against_reference(by_id(summary)[C], label) is None


def test_hypervolume_beside_a_reference_is_compared_seed_by_seed(confirmed, record):
    summary = summarise(confirmed)
    # A alone is on the frontier: up to a cost of 16.5 it has a width of 6.5, the reference 1.5.
    gains = [
        (6.5 * mine - 1.5 * theirs) / (1.5 * 0.255) for mine, theirs in [(0.28, 0.25), (0.30, 0.26)]
    ]
    gain = summary.hypervolume_gain("b1 scaled")
    expected = mean_interval(gains)
    assert gain.interval.mean == pytest.approx(expected.mean)
    assert (gain.interval.low, gain.interval.high) == pytest.approx((expected.low, expected.high))
    assert gain.verdict == "higher"
    # A dearer reference has one seed of the two: what is common to all is left.
    dear = record(
        arch_id=C[:-1] + "1", macs=30, miou=0.5, purpose="confirmation", seed=2, label="b1 scaled"
    )
    gain = summarise([*confirmed, dear]).hypervolume_gain("b1 scaled")
    theirs = 0.26 * (33 - 15) + (0.5 - 0.26) * (33 - 30)
    assert gain.interval.mean == pytest.approx(0.30 * (33 - 10) / theirs - 1)
    assert gain.verdict == "undecided"


def test_hypervolume_is_not_compared_before_all_is_confirmed(trials, confirmed):
    assert summarise(confirmed).hypervolume_gain("b2 scaled") is None
    assert summarise(trials).hypervolume_gain("b1 scaled") is None
    without_b = [r for r in confirmed if r.purpose != "confirmation" or r.arch_id != B]
    assert summarise(without_b).hypervolume_gain("b1 scaled") is None


def test_probabilities_need_noise_and_sum_up_all_that_is_known(trials, record):
    more = [record(arch_id=f"{n:012x}", macs=12 + n, miou=0.2) for n in range(6)]
    assert summarise([*trials, *more]).probabilities == {}
    assert summarise(trials, noise=0.01).probabilities == {}, "three are too few for a line"

    known = summarise([*trials, *more], noise=0.01)
    assert known.noise == 0.01
    assert known.probabilities.keys() == {A, B, C} | {row.arch_id for row in more}
    assert known.probabilities[A] == 1.0  # nothing is cheaper
    assert known.probabilities[B] > 0.9 > 0.2 > known.probabilities[more[0].arch_id]


def test_where_scores_scatter_no_more_than_by_noise_no_probability_is_told(record):
    rng = random.Random(1)
    archs = [(f"{n:012x}", 1000 + 100 * n, 0.3 + 0.01 * n) for n in range(30)]

    def summary(scatter):
        trials = [
            record(arch_id=name, macs=macs, miou=score + rng.gauss(0, scatter) + rng.gauss(0, 0.02))
            for name, macs, score in archs
        ]
        return summarise(trials, noise=0.02)

    nothing, something = summary(0.0), summary(0.04)
    assert nothing.tells_nothing
    assert nothing.scatter_p_value > 0.05
    assert nothing.probabilities == {}
    assert not something.tells_nothing
    assert something.scatter_p_value < 0.001
    assert len(something.probabilities) == 30
    assert summarise([], noise=0.02).scatter_p_value is None
    assert not summarise([], noise=0.02).tells_nothing


def test_noise_is_taken_from_confirming_seeds_where_nothing_was_calibrated(confirmed, record):
    more = [record(arch_id=f"{n:012x}", macs=12 + n, miou=0.2) for n in range(6)]
    summary = summarise([*confirmed, *more])
    # Three architectures with three seeds each leave (3 - 1) * (3 - 1) degrees of freedom.
    scores = [[0.30, 0.28, 0.30], [0.40, 0.27, 0.29], [0.45, 0.25, 0.26]]
    assert summary.noise == pytest.approx(variance_components(scores).seeds.value)
    # So noisy a noise, itself an estimate, leaves nothing to tell.
    assert summary.tells_nothing
    assert summary.probabilities == {}
    assert summarise([*confirmed, *more], noise=0.5).noise == 0.5


def decided(summary):
    return [(row.arch_id, row.all_scores, row.search_miou, row.on_frontier) for row in summary.rows]


def inherited(record, arch_id, miou, **fields):
    values = {"evaluator": "inherited", "steps": 800, "miou": miou, "arch_id": arch_id}
    return record(**(values | fields))


def test_inherited_scores_stand_beside_and_decide_nothing(trials, record):
    scored = [
        inherited(record, A, 0.90, macs=10),
        inherited(record, C, 0.95, macs=30),
        inherited(record, "ffffffffffff", 0.99, macs=1),
    ]
    summary, without = summarise([*scored, *trials]), summarise(trials)
    assert [row.inherited_miou for row in summary.rows] == [0.90, None, None, 0.95]
    assert [row.inherited_miou for row in without.rows] == [None] * 4
    assert decided(summary) == decided(without)
    assert summary.steps == without.steps == (100,)
    assert summary.inherited == tuple(scored)
    assert without.inherited == ()
    assert summary.noise is None


def test_what_was_only_scored_with_inherited_weights_has_no_row(record):
    failed = record(evaluator="inherited", state="failed", arch_id=B)
    summary = summarise([inherited(record, A, 0.5), failed])
    assert (summary.rows, summary.frontier, summary.steps) == ((), (), ())
    assert [scored.arch_id for scored in summary.inherited] == [A]
    assert summary.num_failed == 1


def test_architectures_that_calibrate_beside_a_search_are_no_candidates(trials, record):
    other = "ffffffffffff"
    calibrating = [
        record(arch_id=other, macs=1, miou=0.99, purpose="calibration", seed=seed)
        for seed in (0, 1)
    ]
    summary = summarise([*trials, *calibrating])
    assert [row.arch_id for row in summary.frontier] == [A, B]
    row = by_id(summary)[other]
    assert (row.searched, row.reference, row.on_frontier) == (False, False, False)
    assert row.scores == {0: 0.99, 1: 0.99}
    # Without a search they are all there is.
    assert [row.arch_id for row in summarise(calibrating).frontier] == [other]


def test_a_calibrating_seed_does_not_change_what_the_search_selected(trials, record):
    # One seed more of some architectures alone would move the frontier that confirming starts from.
    lucky = record(arch_id=C, macs=30, miou=0.60, purpose="calibration", seed=1)
    summary = summarise([*trials, lucky])
    row = by_id(summary)[C]
    assert (row.search_miou, row.scores) == (0.35, {0: 0.35})
    assert row.all_scores == {0: 0.35, 1: 0.60}
    assert [row.arch_id for row in summary.frontier] == [A, B]


def test_nothing_to_summarise(record):
    summary = summarise([])
    assert (summary.rows, summary.frontier, summary.num_failed) == ((), (), 0)
    assert summarise([record(state="failed")]).num_failed == 1


@given(
    scores=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 10)), max_size=20),
)
def test_frontier_is_the_non_dominated_rows(record, scores):
    records = [
        record(arch_id=f"{index:012x}", macs=macs, miou=score / 10)
        for index, (macs, score) in enumerate(scores)
    ]
    summary = summarise(records)
    front = pareto_front([(r.miou, r.macs) for r in records])
    expected = {r.arch_id for r, on_front in zip(records, front, strict=True) if on_front}
    assert {row.arch_id for row in summary.frontier} == expected


def test_within_a_budget_the_frontier_is_drawn_anew(trials):
    summary = summarise(trials)
    cheap = summary.within(macs=15)
    assert [row.arch_id for row in cheap.rows] == [A, REF]
    assert [row.arch_id for row in cheap.frontier] == [A]
    assert cheap.best.arch_id == A
    assert summary.best.arch_id == B
    assert summary.within(macs=9).best is None
    assert summary.within() == summary


def test_budgets_combine_and_may_bring_others_to_the_frontier(record):
    summary = summarise(
        [
            record(arch_id=A, macs=10, params=9, miou=0.5),
            record(arch_id=B, macs=20, params=5, miou=0.4, latency_ms=3.0),
            record(arch_id=C, macs=30, params=4, miou=0.3),
        ]
    )
    assert [row.arch_id for row in summary.frontier] == [A]
    assert [row.arch_id for row in summary.within(params=5).frontier] == [B]
    assert summary.within(macs=15, params=5).rows == ()
    # What was never measured is not known to be within.
    assert [row.arch_id for row in summary.within(latency_ms=4).rows] == [B]


def test_a_budget_keeps_what_all_architectures_say_of_the_noise(trials, record):
    more = [record(arch_id=f"{n:012x}", macs=12 + n, miou=0.2 + n / 50) for n in range(6)]
    again = [
        r.model_copy(update={"seed": 1, "miou": r.miou + (-1) ** n / 50})
        for n, r in enumerate(more)
    ]
    summary = summarise([*trials, *more, *again])
    assert summary.noise
    cheap = summary.within(macs=15)
    assert cheap.noise == summary.noise
    assert cheap.probabilities.keys() == {row.arch_id for row in cheap.rows if row.searched}


@pytest.mark.parametrize("budget", [0, -1, float("nan")])
def test_a_budget_that_is_none_is_refused(trials, budget):
    with pytest.raises(ValueError, match="a budget of params must be above 0"):
        summarise(trials).within(params=budget)


def test_alternatives_are_those_of_the_same_conditions_the_best_first(confirmed, trials):
    summary = summarise(confirmed)
    found = summary.alternatives(by_id(summary)[A])
    assert [other.arch_id for other, _ in found] == [B, REF]  # C was not confirmed
    assert found[0][1].interval.mean == pytest.approx(0.01)
    assert found[0][1].interval.num_values == 2
    alone = summarise(trials)
    found = alone.alternatives(by_id(alone)[B])
    assert [other.arch_id for other, _ in found] == [REF, C, A]  # a reference may be better
    assert {difference.verdict for _, difference in found} == {"undecided"}  # one seed


def test_the_frame_has_units_and_marks_what_is_unknown(confirmed, trials, record):
    frame = summarise(confirmed).to_frame()
    assert list(frame.index) == [A, REF, B]
    row = frame.loc[A]
    assert (row["seeds"], row["on frontier"], row["GMACs"]) == ("1, 2", True, 10 / 1e9)
    assert row["mIoU %"] == pytest.approx(29)
    assert row["low"] < row["mIoU %"] < row["high"]
    assert summarise(trials).to_frame()["low"].isna().all()
    assert set(frame).isdisjoint({"latency ms", "P(frontier)"})
    more = [
        record(arch_id=f"{n:012x}", macs=12 + n, miou=0.2 + 0.05 * (n % 2), latency_ms=3)
        for n in range(6)
    ]
    frame = summarise([*trials, *more], noise=0.01, costs=["latency_ms"]).to_frame()
    assert frame["latency ms"].max() == 3
    assert frame["P(frontier)"].max() > 0
    assert summarise([]).to_frame().empty


def test_probabilities_of_a_large_run_are_drawn_in_parts(record, monkeypatch):
    rng = random.Random(0)
    records = [
        record(arch_id=f"{n:012x}", macs=1000 + 100 * n, miou=0.3 + 0.01 * n + rng.gauss(0, 0.05))
        for n in range(20)
    ]
    whole = summarise(records, noise=0.02).probabilities
    monkeypatch.setattr("hrvit_nas.results.summary.MOST_DRAWN", 20 * 100)
    monkeypatch.setattr("hrvit_nas.results.summary.LEAST_DRAWS", 2000)
    parts = summarise(records, noise=0.02).probabilities
    assert parts.keys() == whole.keys()
    assert parts != whole
    assert list(parts.values()) == pytest.approx(list(whole.values()), abs=0.06)


def by_loss(record, losses, **fields):
    """Trials whose cross entropy falls with cost, and whose mIoU says the contrary."""
    return [
        record(
            arch_id=f"{n:012x}",
            macs=10 + n,
            params=30 - n,
            miou=0.1 * n if n < 9 else 0.9,
            history=(HistoryPoint(100, 0.5, cross_entropy=loss),),
            **fields,
        )
        for n, loss in enumerate(losses)
    ]


def test_what_a_search_by_cross_entropy_found_is_by_cross_entropy(record):
    trials = by_loss(record, [0.9, 0.95, 0.6, 0.65, 1.2, 0.5])
    summary = summarise(trials, criterion="cross_entropy", noise=0.05)
    ids = [f"{n:012x}" for n in range(6)]
    assert [row.arch_id for row in summary.frontier] == [ids[0], ids[2], ids[5]]
    assert [row.all_scores for row in summary.rows][:2] == [{0: -0.9}, {0: -0.95}]
    chances = summary.probabilities
    assert chances.keys() == set(ids)
    assert chances[ids[0]] == 1.0  # nothing is cheaper
    assert chances[ids[4]] < 0.01 < chances[ids[3]] < 0.5 < chances[ids[2]]
    # What no history tells of has no place on that frontier, and no probability.
    unknown = record(arch_id=A, macs=1, miou=0.9)
    with_unknown = summarise([*trials, unknown], criterion="cross_entropy", noise=0.05)
    assert with_unknown.probabilities.keys() == set(ids)


def test_confirmed_by_miou_a_frontier_has_no_probability_by_cross_entropy(record):
    trials = by_loss(record, [0.9, 0.95, 0.6, 0.65, 1.2, 0.5])
    confirming = by_loss(record, [0.9, 0.95, 0.6, 0.65, 1.2, 0.5], purpose="confirmation", seed=1)
    some = summarise([*trials, confirming[0]], criterion="cross_entropy", noise=0.05)
    assert some.frontier_criterion == "cross_entropy", "two of its three are not confirmed"
    summary = summarise([*trials, *confirming], criterion="cross_entropy", noise=0.05)
    assert summary.frontier_criterion == "miou"
    assert len(summary.frontier) == 6
    assert summary.probabilities == {}
    assert summarise([*trials, *confirming], noise=0.001).probabilities.keys() == {
        row.arch_id for row in summary.rows
    }


def test_noise_of_cross_entropy_is_in_nats(record):
    rng = random.Random(0)
    trials = [
        trial
        for seed in range(3)
        for trial in by_loss(record, [n + rng.gauss(0, 0.3) for n in range(6)], seed=seed)
    ]
    assert summarise(trials, criterion="cross_entropy").noise == pytest.approx(0.3, rel=0.5)
    assert summarise(trials).noise == pytest.approx(0, abs=1e-9), "seeds have the same mIoU"


@given(
    scores=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.integers(1, 4)), max_size=15)
)
def test_two_costs_make_one_frontier_of_three_objectives(record, scores):
    records = [
        record(arch_id=f"{index:012x}", miou=score / 10, macs=macs, params=params)
        for index, (score, macs, params) in enumerate(scores)
    ]
    summary = summarise(records, costs=["params", "macs"])
    front = pareto_front([(r.miou, r.macs, r.params) for r in records])
    expected = {r.arch_id for r, on_front in zip(records, front, strict=True) if on_front}
    assert {row.arch_id for row in summary.frontier} == expected
    by_cost = [(row.params, row.macs) for row in summary.rows]
    assert by_cost == sorted(by_cost)


def test_probabilities_of_three_objectives(record):
    trials = [
        record(arch_id=A, macs=10, params=10, miou=0.30),
        record(arch_id=B, macs=20, params=20, miou=0.30),
        record(arch_id=C, macs=30, params=5, miou=0.30),
        *(record(arch_id=f"{n:012x}", macs=40 + n, params=40 + n * n, miou=0.2) for n in range(4)),
    ]
    summary = summarise(trials, costs=["macs", "params"], noise=0.01)
    chances = summary.probabilities
    assert (chances[A], chances[C]) == (1.0, 1.0)  # each is the cheapest in one
    assert 0.1 < chances[B] < 0.9
    one = summarise(trials, costs=["macs"], noise=0.01).probabilities
    assert one[C] < 0.9
    four = summarise(trials[:4], costs=["macs", "params"], noise=0.01)
    assert four.probabilities == {}, "four are too few for a plane"


@pytest.mark.parametrize("seed", range(3))
def test_records_that_keep_coming_are_summed_up_as_all_of_them_at_once(record, seed):
    rng = random.Random(seed)
    # The shortest budget, which says what was trained long, comes late.
    kinds = [
        {"purpose": "search", "budget": 100},
        {"purpose": "rung", "budget": 30},
        {"purpose": "reference", "budget": 100, "label": "b1 scaled"},
        {"purpose": "confirmation", "budget": 100},
        {"purpose": "confirmation", "budget": 300},
        {"purpose": "ranking_check", "budget": 300},
        {"purpose": "ranking_check", "budget": 50, "evaluator": "inherited"},
        {"purpose": "search", "budget": 100, "state": "failed"},
    ]
    late = [{"purpose": "calibration", "budget": 60}]
    records = []
    for number in range(60):
        arch_id = rng.choice((A, B, C, REF))
        fields = {**rng.choice(kinds + late * (number > 40)), "arch_id": arch_id}
        if fields.get("state") != "failed":
            fields["miou"] = rng.random()
        fields["steps"] = fields["budget"]
        records.append(record(**fields, macs=ord(arch_id[0]), seed=rng.randrange(3)))
    how = {"costs": ("macs",), "criterion": "miou", "finalists": 2}
    summing = Summing(**how)
    for number, one in enumerate(records):
        summing.add([one])
        if rng.random() < 0.7:
            # As text, in which what is unknown equals itself.
            assert repr(summing.summary()) == repr(summarise(records[: number + 1], **how))
