"""Trials that failed are handed out again, so often and no more."""

from collections import deque
from dataclasses import replace

import pytest

from hrvit_nas.arch import get_hrvit
from hrvit_nas.execution.retries import MOST_LOST, Retries
from hrvit_nas.results import Trial, TrialResult

FIRST = Trial(number=0, arch=get_hrvit("hrvit_b1"), seed=0, purpose="search", budget=1)
SECOND = replace(FIRST, number=1, seed=1)
FAILED = TrialResult.failed("loss became NaN")
COMPLETE = TrialResult(state="complete", miou=0.5, seconds=1, steps=1)


class Source:
    def __init__(self, *trials):
        self.left = deque(trials)

    @property
    def finished(self):
        return not self.left

    def next(self):
        return self.left.popleft() if self.left else None


@pytest.fixture
def told():
    return []


@pytest.fixture
def retries(told):
    return lambda most, *trials: Retries(Source(*trials), lambda *what: told.append(what), most)


def test_a_trial_is_tried_again_before_the_next_and_then_has_failed(retries, told):
    source = retries(2, FIRST, SECOND)
    assert source.next() is FIRST
    for _ in range(2):
        source.ended(FIRST, FAILED)
        assert source.next() is FIRST
    assert told == []
    source.ended(FIRST, FAILED)
    ((trial, result),) = told
    assert (trial, result.error, result.attempts) == (FIRST, "loss became NaN", 3)
    assert source.next() is SECOND


def test_what_comes_of_it_in_the_end_counts(retries, told):
    source = retries(1, FIRST)
    source.ended(source.next(), FAILED)
    source.ended(source.next(), COMPLETE)
    assert [(result.miou, result.attempts) for _, result in told] == [(0.5, 2)]


def test_none_is_tried_again_where_none_may_be(retries, told):
    source = retries(0, FIRST)
    source.ended(source.next(), FAILED)
    assert [result.attempts for _, result in told] == [1]
    assert source.next() is None


def test_earlier_sittings_count(retries, told):
    source = retries(2, replace(FIRST, attempts=2))
    source.ended(source.next(), FAILED)
    assert [result.attempts for _, result in told] == [3]


def test_the_death_of_a_node_is_no_failure(retries, told):
    source = retries(0, FIRST)
    for _ in range(5):
        source.lost(source.next())
    source.ended(source.next(), COMPLETE)
    assert [result.attempts for _, result in told] == [1]


def test_a_trial_that_takes_nodes_down_fails_in_the_end(retries, told):
    source = retries(0, FIRST)
    for _ in range(MOST_LOST + 1):
        source.lost(source.next())
    assert [result.state for _, result in told] == ["failed"]
    assert source.next() is None
