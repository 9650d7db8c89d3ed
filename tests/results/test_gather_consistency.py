"""Which scores of a run are compared: those with inherited weights and those of training alone."""

import numpy as np
import pytest

from hrvit_nas.results import HistoryPoint, gather_consistency, ranking_consistency
from hrvit_nas.results.consistency import MIN_FOR_CONSISTENCY

IDS = [f"{number:012x}" for number in range(MIN_FOR_CONSISTENCY)]
SEEDS = (3, 4)


def inherited(record, number, **fields):
    history = (HistoryPoint(800, 0.1, cross_entropy=9.0), HistoryPoint(800, 0.2, cross_entropy=2.0))
    values = {"miou": 0.2 + 0.01 * number, "macs": 100 + number, "history": history, "seed": 3}
    return record(arch_id=IDS[number], evaluator="inherited", **(values | fields))


def alone(record, number, seed, purpose="ranking_check", **fields):
    values = {"miou": 0.5 + 0.01 * number + 0.001 * seed} | fields
    return record(arch_id=IDS[number], seed=seed, purpose=purpose, **values)


@pytest.fixture
def scored(record):
    return [inherited(record, number) for number in range(len(IDS))]


@pytest.fixture
def trained(record):
    """In another order than the architectures."""
    return [alone(record, n, seed) for seed in reversed(SEEDS) for n in reversed(range(len(IDS)))]


def test_rows_are_the_architectures_and_columns_the_seeds(scored, trained):
    wanted = IDS[::-1]
    scores = gather_consistency([*trained, *scored], wanted, SEEDS)
    assert (scores.arch_ids, scores.seeds) == (tuple(wanted), SEEDS)
    numbers = np.arange(len(IDS))[::-1]
    assert scores.macs == pytest.approx(100 + numbers)
    assert scores.inherited["miou"] == pytest.approx(0.2 + 0.01 * numbers)
    assert scores.alone == pytest.approx(0.5 + 0.01 * numbers[:, None] + 0.001 * np.array(SEEDS))


def test_less_cross_entropy_of_the_whole_training_is_more(record, scored, trained):
    scored[1] = inherited(record, 1, history=(HistoryPoint(800, 0.2, cross_entropy=0.5),))
    scores = gather_consistency([*scored, *trained], IDS[:3], SEEDS)
    assert scores.inherited["cross_entropy"].tolist() == [-2.0, -0.5, -2.0]


@pytest.mark.parametrize("history", [(), (HistoryPoint(800, 0.2),)])
def test_a_criterion_that_one_lacks_is_left_out(record, scored, trained, history):
    scored[1] = inherited(record, 1, history=history)
    assert gather_consistency([*scored, *trained], IDS, SEEDS).inherited.keys() == {"miou"}
    others = [arch_id for arch_id in IDS if arch_id != IDS[1]]
    found = gather_consistency([*scored, *trained], others, SEEDS).inherited
    assert found.keys() == {"miou", "cross_entropy"}


def test_what_lacks_a_score_of_either_kind_is_left_out(record, scored, trained):
    failed = {"miou": None, "state": "failed", "error": "diverged"}
    scored[0] = inherited(record, 0, **failed)
    trained = [r for r in trained if (r.arch_id, r.seed) != (IDS[2], SEEDS[1])]
    trained = [alone(record, 4, r.seed, **failed) if r.arch_id == IDS[4] else r for r in trained]
    unknown = "f" * 12
    scores = gather_consistency([*scored, *trained], [*IDS, unknown], SEEDS)
    assert scores.arch_ids == (IDS[1], IDS[3], IDS[5])
    assert scores.alone.shape == (3, len(SEEDS))
    assert all(len(values) == 3 for values in scores.inherited.values())


def test_training_alone_counts_whatever_it_was_for_and_further_seeds_do_not(record, scored):
    purposes = {3: "search", 4: "confirmation", 5: "calibration"}
    trained = [
        alone(record, number, seed, purpose)
        for number in range(len(IDS))
        for seed, purpose in purposes.items()
    ]
    scores = gather_consistency([*scored, *trained], IDS, SEEDS)
    assert scores.arch_ids == tuple(IDS)
    assert scores.alone[0] == pytest.approx([0.503, 0.504])


def test_architectures_that_were_not_chosen_do_not_count(scored, trained):
    scores = gather_consistency([*scored, *trained], IDS[:2], SEEDS)
    assert scores.arch_ids == tuple(IDS[:2])


def test_nothing_gathered_has_the_shape_of_nothing():
    scores = gather_consistency([], IDS, SEEDS)
    assert (scores.arch_ids, scores.macs.shape) == ((), (0,))
    assert scores.alone.shape == (0, len(SEEDS))
    with pytest.raises(ValueError, match="at least 6 architectures and 2 seeds"):
        scores.ranking_consistency()


@pytest.mark.parametrize("criterion", ["miou", "cross_entropy"])
def test_a_criterion_is_compared_with_miou_of_training_alone(scored, trained, record, criterion):
    history = [0.9, 1.9, 0.2, 1.1, 2.5, 0.4]
    scored = [
        inherited(record, n, history=(HistoryPoint(800, 0.1, cross_entropy=value),))
        for n, value in enumerate(history)
    ]
    scores = gather_consistency([*scored, *trained], IDS, SEEDS)
    expected = {"miou": 0.2 + 0.01 * np.arange(len(IDS)), "cross_entropy": -np.array(history)}
    assert scores.ranking_consistency(criterion) == ranking_consistency(
        expected[criterion], scores.alone, scores.macs, seeds=SEEDS
    )
