"""Which architectures go on: those that dominate most between them."""

from itertools import pairwise
from random import Random

import pytest

from hrvit_nas.results import HistoryPoint, hypervolume, summarise
from hrvit_nas.search.selection import best_inherited, finalists


def area(points, corner):
    """Union of the rectangles between points (score, cost) and a corner, strip by strip."""
    costs = sorted({cost for _, cost in points} | {corner[1]})
    return sum(
        (right - left) * (max(score for score, cost in points if cost <= left) - corner[0])
        for left, right in pairwise(costs)
    )


def greedily(points, count):
    """The most that each further point adds, looked for among all points, not the frontier's."""
    (worst, best), (cheapest, dearest) = ((min(x), max(x)) for x in zip(*points, strict=True))
    corner = (worst - 0.1 * (best - worst or 1), dearest + 0.1 * (dearest - cheapest or 1))
    chosen = []
    while len(chosen) < count:
        best = max(points, key=lambda point: area([*chosen, point], corner))
        if chosen and area([*chosen, best], corner) <= (1 + 1e-12) * area(chosen, corner):
            break
        chosen.append(best)
    return sorted(chosen, key=lambda point: point[1])


@pytest.fixture(scope="module")
def archs(make_config):
    space = make_config().load_space()
    rng = Random(0)
    return sorted({space.sample(rng) for _ in range(40)}, key=lambda spec: spec.id)


@pytest.mark.parametrize("criterion", ["miou", "cross_entropy"])
@pytest.mark.parametrize("count", [1, 2, 4, 40])
def test_the_best_are_those_that_add_most_to_what_is_dominated(archs, record, criterion, count):
    for seed in range(12):
        rng = Random(seed)
        chosen = rng.sample(archs, 1 + rng.randrange(16))
        # Dearer is better on the whole, so that frontiers are long.
        costs = [rng.randrange(10**6, 10**8) for _ in chosen]
        scores = [cost / 2e8 + rng.random() / 4 for cost in costs]
        if criterion == "cross_entropy":
            scores = [score - 2 for score in scores]
        points = list(zip(scores, costs, strict=True))
        records = [
            record(
                arch_id=spec.id,
                arch=spec.to_json(),
                evaluator="inherited",
                params=cost,
                miou=score if criterion == "miou" else rng.random(),
                history=(HistoryPoint(9, 0.5, cross_entropy=-score),),
            )
            for spec, (score, cost) in zip(chosen, points, strict=True)
        ]
        at = dict(zip(chosen, points, strict=True))
        found = [at[spec] for spec in best_inherited(records, ["params"], count, criterion)]
        assert found == greedily(points, count)


def test_with_two_costs_the_best_are_those_of_the_greatest_volume(record):
    """One that is middling in both costs adds more than the second best in either."""
    points = {  # mIoU, macs, params
        "0": (0.50, 100, 10),
        "1": (0.50, 95, 11),
        "2": (0.50, 10, 100),
        "3": (0.50, 50, 50),
        "4": (0.49, 100, 10),  # dominated
        "5": (0.10, 5, 5),
    }
    records = [
        record(arch_id=name * 12, miou=miou, macs=macs, params=params)
        for name, (miou, macs, params) in points.items()
    ]
    costs = ("macs", "params")
    front = summarise(records, costs=costs).frontier
    assert {row.arch_id[0] for row in front} == {"0", "1", "2", "3", "5"}
    corner = (0.10 - 0.1 * 0.4, 100 + 0.1 * 95, 100 + 0.1 * 95)
    chosen: list[str] = []
    for count in range(1, 6):
        rest = sorted(points.keys() - chosen)
        taken = [points[name] for name in chosen]
        chosen.append(max(rest, key=lambda n: hypervolume([*taken, points[n]], corner)))
        found = [row.arch_id[0] for row in finalists(front, costs, count)]
        assert sorted(found) == sorted(chosen)
        assert found == sorted(found, key=lambda name: points[name][1])
    assert chosen[0] == "3"
    one = [row.arch_id[0] for row in finalists(front, ("macs",), 9)]
    assert one == ["5", "2"], "against multiply-adds alone, no other is on the frontier"


def test_only_what_the_search_scored_with_inherited_weights_can_be_the_best(archs, record):
    def scored(spec, **fields):
        values = {"arch_id": spec.id, "arch": spec.to_json(), "evaluator": "inherited", "macs": 100}
        return record(**(values | fields))

    own, checked, broken, trained = archs[:4]
    records = [
        scored(own, miou=0.2),
        scored(checked, miou=0.9, purpose="ranking_check"),
        scored(broken, state="failed"),
        scored(trained, miou=0.8, evaluator="trained"),
    ]
    assert best_inherited(records, ["macs"], 9, "miou") == [own]
    assert best_inherited(records[1:], ["macs"], 9, "miou") == []


def test_the_finalists_are_those_that_add_most(record):
    points = {"a" * 12: (0.2, 10), "b" * 12: (0.21, 11), "c" * 12: (0.4, 50), "d" * 12: (0.1, 60)}
    records = [record(arch_id=a, miou=miou, macs=macs) for a, (miou, macs) in points.items()]
    front = summarise(records).frontier
    assert [row.arch_id[0] for row in finalists(front, ["macs"], 1)] == ["b"]
    assert [row.arch_id[0] for row in finalists(front, ["macs"], 2)] == ["b", "c"]
    assert finalists(front, ["macs"], 9) == list(front)
