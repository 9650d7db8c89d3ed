"""The scores of one network on a data set: a table, records, and data of the confusion figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hrvit_nas.results import Column

from .figures import one_line
from .grid import Grid, GridColumn
from .section import Records

if TYPE_CHECKING:
    from hrvit_nas.evaluation import Evaluation

CLASS_COLUMNS: dict[str, Column] = {
    "label": Column("", "label of the class"),
    "class": Column("", "name of the class"),
    "iou": Column("fraction", "intersection over union, over the whole data set"),
    "accuracy": Column("fraction", "share of the class's true pixels that are right"),
    "boundary_iou": Column("fraction", "IoU of the pixels within 2 of another class"),
    "true_pixels": Column("pixels", "labelled pixels that are of the class"),
    "predicted_pixels": Column("pixels", "labelled pixels that are called the class"),
}
"""Columns of `classes.csv`, in order, with their units."""
CONFUSIONS_SHOWN = 5
_LONGEST_NAME = 24


@dataclass(frozen=True, kw_only=True, eq=False)
class ConfusionData:
    """Everything that the confusion figure shows.

    Attributes:
        names: Of the classes, by label.
        shares: (classes, classes), row = truth, column = prediction: share of a class's true pixels
            that are called each class; nan in the rows of classes that truth lacks.
        caption: Data and number of pixels.
    """

    names: tuple[str, ...]
    shares: NDArray[np.float64]
    caption: str


def confusion_data(
    confusion: NDArray[np.int64], class_names: Sequence[str], title: str
) -> ConfusionData:
    """A confusion matrix as its figure shows it.

    Args:
        confusion: (classes, classes) pixels; row = truth, column = prediction.
        class_names: Names of the classes, by label.
        title: What was scored.
    """
    truth = confusion.sum(1, keepdims=True)
    shares = np.full(confusion.shape, np.nan)
    np.divide(confusion, truth, out=shares, where=truth > 0)
    return ConfusionData(
        names=tuple(one_line(name, _LONGEST_NAME) for name in class_names),
        shares=shares,
        caption=f"{title}; {int(truth.sum()):,} labelled pixels, each row adds up to 100%",
    )


def evaluation_grid(evaluation: Evaluation, class_names: Sequence[str]) -> Grid:
    """A row a class, and the scores of all below it."""
    rows = [
        [
            str(label),
            one_line(name, 60),
            *(_percent(value) for value in scores),
            _percent(share) if share else "none",
        ]
        for label, (name, share, *scores) in enumerate(
            zip(
                class_names,
                evaluation.confusion.sum(1) / evaluation.confusion.sum(),
                evaluation.class_iou,
                evaluation.class_accuracy,
                evaluation.class_boundary_iou,
                strict=True,
            )
        )
    ]
    overall = {
        "mIoU": evaluation.miou,
        "pixel accuracy": evaluation.pixel_accuracy,
        "mean class accuracy": evaluation.mean_accuracy,
        "frequency-weighted IoU": evaluation.frequency_weighted_iou,
        "boundary mIoU": evaluation.boundary_miou,
    }
    headings = ("IoU", "accuracy", "boundary IoU", "of the pixels")
    notes = [f"{name} {_percent(value)}%" for name, value in overall.items()]
    return Grid(
        title="",
        columns=[
            GridColumn(name="label"),
            GridColumn(name="class", align="left"),
            *(GridColumn(name=heading, unit="%") for heading in headings),
        ],
        rows=rows,
        notes=[f"{', '.join(notes)}; cross entropy {evaluation.cross_entropy:.4f}"],
    )


def class_records(evaluation: Evaluation, class_names: Sequence[str]) -> Records:
    """A row a class; `CLASS_COLUMNS` says what the columns are."""
    names = list(CLASS_COLUMNS)
    rows = []
    for label, name in enumerate(class_names):
        values: list[float] = [
            evaluation.class_iou[label],
            evaluation.class_accuracy[label],
            evaluation.class_boundary_iou[label],
            int(evaluation.confusion[label].sum()),
            int(evaluation.confusion[:, label].sum()),
        ]
        cells = ["" if math.isnan(value) else value for value in values]
        rows.append(dict(zip(names, [label, name, *cells], strict=True)))
    return Records(name="classes", columns=CLASS_COLUMNS, rows=rows)


def score_facts(evaluation: Evaluation) -> dict[str, float | None]:
    """The scores of all classes together, fractions and nats; None where there is none."""
    scores = {
        "miou": evaluation.miou,
        "pixel_accuracy": evaluation.pixel_accuracy,
        "mean_accuracy": evaluation.mean_accuracy,
        "fw_iou": evaluation.frequency_weighted_iou,
        "boundary_miou": evaluation.boundary_miou,
        "cross_entropy": evaluation.cross_entropy,
    }
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}


def largest_confusions(data: ConfusionData) -> list[str]:
    """Which classes are most often called another, in words."""
    shares = np.nan_to_num(data.shares).copy()
    np.fill_diagonal(shares, 0)
    order = np.argsort(shares, axis=None)[::-1][:CONFUSIONS_SHOWN]
    pairs = [divmod(int(place), len(data.names)) for place in order]
    return [
        f"{shares[truth, found]:.1%} of {data.names[truth]} is called {data.names[found]}"
        for truth, found in pairs
        if shares[truth, found] > 0
    ]


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"
