"""Where names beside marks go: clear of marks, of each other, and of the edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MARK = 3.5
"""Half the side of a mark, with its outline, in points (1/72 inch)."""
OTHER = 2.5
"""The same of what else is drawn."""
_GAPS = (4.5, 7.0, 10.0, 14.0, 19.0, 25.0, 32.0, 40.0, 50.0, 62.0, 76.0, 92.0)
_ANGLES = np.deg2rad(np.arange(0, 360, 15) - 30)  # the first lies at the lower right
_OVER_LABEL, _OUTSIDE, _OVER_MARK, _OVER_OTHER = 1e6, 1e5, 1e4, 10.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a name is written, in points.

    Attributes:
        corner: Its lower left corner.
        gap: Distance of its edge from the middle of its mark.
    """

    corner: tuple[float, float]
    gap: float


def place_labels(
    anchors: ArrayLike,
    sizes: ArrayLike,
    *,
    marks: ArrayLike,
    others: ArrayLike,
    frame: tuple[float, float, float, float],
) -> list[Place]:
    """Places names one by one, each at the nearest spot that is free.

    A spot that hides another name is taken last, before it one that leaves the frame, before that
    one that hides a mark. What else is drawn may lie below a name where there is no room.

    Args:
        anchors: (num, 2) middles of the marks that are named, in points.
        sizes: (num, 2) width and height of the names.
        marks: (num_marks, 2) middles of all marks, those that are named among them.
        others: (num_others, 2) points of lines and of small marks.
        frame: Left, lower, right and upper edge of the plot.
    """
    mark_points, other_points = (np.reshape(np.asarray(p, float), (-1, 2)) for p in (marks, others))
    taken: list[NDArray[np.float64]] = []
    places = []
    pairs = zip(np.reshape(anchors, (-1, 2)), np.reshape(sizes, (-1, 2)), strict=True)
    for anchor, size in pairs:
        boxes, gaps = _candidates(anchor, size)
        badness = (
            _OVER_LABEL * sum((_overlap(boxes, box) for box in taken), np.zeros(len(boxes)))
            + _OUTSIDE * _outside(boxes, frame)
            + _OVER_MARK * _num_inside(boxes, mark_points, MARK)
            + _OVER_OTHER * _num_inside(boxes, other_points, OTHER)
            + gaps
        )
        best = int(np.argmin(badness))
        taken.append(boxes[best])
        left, lower = boxes[best, :2]
        places.append(Place(corner=(float(left), float(lower)), gap=float(gaps[best])))
    return places


def _candidates(
    anchor: NDArray[np.float64], size: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes (left, lower, right, upper) around a mark, the nearest first, and their gaps."""
    directions = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
    gaps = np.repeat(_GAPS, len(_ANGLES))
    ways = np.tile(directions, (len(_GAPS), 1))
    # A box is pushed out until the corner or side that faces the mark is at the gap.
    middles = anchor + ways * gaps[:, None] + np.clip(2 * ways, -1, 1) * size / 2
    return np.concatenate([middles - size / 2, middles + size / 2], axis=1), gaps


def _overlap(boxes: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(num,) 1 where a box overlaps another."""
    low = np.maximum(boxes[:, :2], other[:2])
    high = np.minimum(boxes[:, 2:], other[2:])
    return np.asarray((low < high).all(axis=1), np.float64)


def _outside(
    boxes: NDArray[np.float64], frame: tuple[float, float, float, float]
) -> NDArray[np.float64]:
    """(num,) 1 where a box leaves the frame."""
    left, lower, right, upper = frame
    inside = (boxes[:, :2] >= (left, lower)).all(axis=1) & (boxes[:, 2:] <= (right, upper)).all(
        axis=1
    )
    return np.asarray(~inside, np.float64)


def _num_inside(
    boxes: NDArray[np.float64], points: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """(num,) points that are nearer to a box than a radius, along either axis."""
    if not len(points):
        return np.zeros(len(boxes))
    low, high = boxes[:, None, :2] - radius, boxes[:, None, 2:] + radius
    return np.asarray(((points > low) & (points < high)).all(axis=2).sum(axis=1), np.float64)
