"""Objectives are declared once, and what is declared is on record."""

import pytest

from hrvit_nas.objectives import COSTS, CRITERIA, OBJECTIVES, SCORES, known_costs, known_criterion
from hrvit_nas.results import SCHEMA, ArchSummary, HistoryPoint
from hrvit_nas.search.facts import LOGGED


def test_a_score_is_a_field_of_the_learning_curve_and_the_other_way_round():
    assert {"step", "seconds", *SCORES} == set(HistoryPoint._fields)


def test_a_cost_is_a_column_of_the_trials_and_of_what_sums_them_up():
    assert set(COSTS) <= SCHEMA.keys() & ArchSummary.__annotations__.keys() & set(LOGGED)


def test_directions_are_those_of_the_declaration():
    point = HistoryPoint(1, 0.5, cross_entropy=0.25)
    assert point.gain("miou") == 0.5
    assert point.gain("cross_entropy") == -0.25
    assert point.gain("fw_iou") is None
    assert {name for name in SCORES if OBJECTIVES[name].gain(1.0) < 0} == {"cross_entropy"}
    assert {OBJECTIVES[name].direction for name in COSTS} == {"minimize"}


def test_a_search_has_one_score_and_one_or_two_costs():
    assert known_criterion("boundary_miou") in CRITERIA
    assert known_costs(("params",)) == ("params",)
    assert known_costs(("params", "latency_ms")) == ("params", "latency_ms")
    with pytest.raises(ValueError, match=r"a criterion must be one of miou, .*, got 'averaged_"):
        known_criterion("averaged_miou")
    with pytest.raises(ValueError, match=r"a cost must be one of macs, .*, got 'miou'"):
        known_costs(("macs", "miou"))
    three = ("macs", "params", "latency_ms")
    for names, got in (((), "none"), (("macs", "macs"), "macs, macs"), (three, "macs, params")):
        with pytest.raises(ValueError, match=f"against 1 to 2 different costs, got {got}"):
            known_costs(names)
