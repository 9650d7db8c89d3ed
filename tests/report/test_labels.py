"""Where names go, as boxes alone."""

from itertools import combinations

import numpy as np
import pytest

from hrvit_nas.report.plots.labels import MARK, place_labels

FRAME = (0.0, 0.0, 250.0, 200.0)
SIZE = (40.0, 8.0)


def boxes(anchors, *, marks=None, others=(), frame=FRAME):
    sizes = np.tile(SIZE, (len(anchors), 1))
    marks = anchors if marks is None else marks
    placed = place_labels(anchors, sizes, marks=marks, others=others, frame=frame)
    return [
        (*place.corner, place.corner[0] + SIZE[0], place.corner[1] + SIZE[1]) for place in placed
    ]


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def covers(box, mark):
    left, lower, right, upper = box
    return left - MARK < mark[0] < right + MARK and lower - MARK < mark[1] < upper + MARK


@pytest.mark.parametrize("num", [1, 2, 5, 9])
@pytest.mark.parametrize("apart", [1.0, 6.0, 20.0])
def test_names_are_clear_of_marks_and_of_each_other(num, apart):
    anchors = [(60 + apart * n, 100 + 0.5 * apart * n) for n in range(num)]
    found = boxes(anchors)
    assert not any(overlap(a, b) for a, b in combinations(found, 2))
    assert not any(covers(box, mark) for box in found for mark in anchors)


@pytest.mark.parametrize("anchor", [(2, 2), (248, 2), (2, 198), (248, 198)])
def test_a_name_stays_inside_the_frame(anchor):
    ((left, lower, right, upper),) = boxes([anchor])
    assert left >= 0
    assert lower >= 0
    assert right <= 250
    assert upper <= 200


def test_a_lone_name_is_close_to_its_mark():
    (place,) = place_labels([(100, 100)], [SIZE], marks=[(100, 100)], others=[], frame=FRAME)
    assert place.gap < 6


def test_a_name_evades_lines_where_there_is_room():
    line = [(100 + 0.5 * n, 96) for n in range(100)]
    (box,) = boxes([(100, 100)], others=line)
    assert not any(covers(box, (x, y)) for x, y in line if abs(y - box[1]) > MARK)
    assert not any(box[0] < x < box[2] and box[1] < y < box[3] for x, y in line)


def test_where_there_is_no_room_names_still_are_apart():
    crowd = [(5.0 * x, 5.0 * y) for x in range(50) for y in range(40)]
    found = boxes([(100, 100), (103, 100), (106, 100)], marks=crowd)
    assert not any(overlap(a, b) for a, b in combinations(found, 2))
