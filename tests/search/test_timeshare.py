"""What grows with a run is kept within a share of its time."""

import pytest

from hrvit_nas.search import timeshare
from hrvit_nas.search.timeshare import TimeShare


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still; work moves it."""
    now = [100.0]
    monkeypatch.setattr(timeshare.time, "monotonic", lambda: now[0])
    return now


def test_work_is_done_again_once_it_is_a_small_share_of_the_time(clock):
    done = []

    def work(seconds=2.0):
        clock[0] += seconds
        done.append(clock[0])
        return "done"

    share = TimeShare(0.1)
    assert share.do(work) == "done"
    for _ in range(19):
        assert share.do(work) is None
        clock[0] += 1
    assert len(done) == 1
    clock[0] += 1
    assert share.do(work) == "done"
    # As the work grows, it is done less often: 1,000 s hold some 100 s of it.
    clock[0] += 1000
    begun, spent = clock[0], 0.0
    while clock[0] < begun + 1000:
        spent += 10.0 if share.do(lambda: work(10.0)) else 0.0
        clock[0] += 1
    assert spent == pytest.approx(100, abs=10)
