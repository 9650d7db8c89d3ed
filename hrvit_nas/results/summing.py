"""From the trials of a run to what they say: all at once, or as they come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .records import CALIBRATING, Criterion, TrialRecord
from .rows import ArchSummary, CostName, row_of, with_frontier
from .summary import RunSummary


def summarise(
    records: Iterable[TrialRecord],
    *,
    costs: Sequence[CostName] = ("macs",),
    confidence: float = 0.95,
    noise: float | None = None,
    criterion: Criterion = "miou",
    finalists: int | None = None,
) -> RunSummary:
    """Gathers the complete trials of each architecture and finds the frontier.

    The seed that an architecture was selected with flatters it: of many noisy scores the search
    picks the highest, so the winners' scores are too high on average. Where an architecture has
    confirming seeds, its mean and interval are therefore over those alone, and the score of the
    search stands beside them. For the same reason, once every architecture of the search's frontier
    is confirmed that is to be, the frontier is drawn among the confirmed ones only: a flattered
    score of one seed must not dominate an honest mean. Until then it is the search's.

    References do not belong to the frontier, unless the search found them too, and neither do
    architectures that only calibrate beside a search. Scores with inherited weights are another
    quantity than those of training alone: they stand beside these, and decide nothing here.

    Args:
        records: Records of one run; failed trials are counted and otherwise passed over.
        costs: What the frontier weighs the score against; rows are in the order of the first.
        confidence: Coverage of the intervals.
        noise: Standard deviation of one score between seeds, in the unit of the criterion, from a
            calibration.
        criterion: Score that the search ranks by, and its frontier is drawn by; what confirms is
            compared by mIoU all the same.
        finalists: How many architectures of the search's frontier are to be confirmed; None = all.
    """
    summing = Summing(
        costs=costs, confidence=confidence, noise=noise, criterion=criterion, finalists=finalists
    )
    summing.add(records)
    return summing.summary()


class Summing:
    """Sums up records that keep coming: rows of architectures that none is added to are kept.

    Args: See `summarise`.
    """

    def __init__(
        self,
        *,
        costs: Sequence[CostName] = ("macs",),
        confidence: float = 0.95,
        noise: float | None = None,
        criterion: Criterion = "miou",
        finalists: int | None = None,
    ) -> None:
        self._costs, self._confidence, self._noise = tuple(costs), confidence, noise
        self._criterion, self._finalists = criterion, finalists
        self._num_failed = 0
        self._least: int | None = None
        self._trained: dict[str, list[TrialRecord]] = {}
        self._inherited: dict[str, TrialRecord] = {}
        self._rows: dict[str, ArchSummary | None] = {}
        self._stale: set[str] = set()

    def add(self, records: Iterable[TrialRecord]) -> None:
        """Takes further records, in the order in which they ended."""
        for record in records:
            self._num_failed += record.state == "failed"
            # A score where a training was paused tells what goes on, and is not compared with what
            # has.
            if record.purpose == "rung":
                continue
            if record.evaluator == "trained" and (
                self._least is None or record.budget < self._least
            ):
                self._least = record.budget
                self._stale.update(self._trained)
            if record.state == "failed":
                continue
            if record.evaluator == "inherited":
                self._inherited[record.arch_id] = record
            else:
                self._trained.setdefault(record.arch_id, []).append(record)
            self._stale.add(record.arch_id)

    def summary(self) -> RunSummary:
        """What all of them say."""
        for arch_id in self._stale & self._trained.keys():
            group = self._compared(arch_id)
            self._rows[arch_id] = (
                row_of(
                    group,
                    self._inherited.get(arch_id),
                    self._confidence,
                    self._criterion,
                    self._least or 0,
                )
                if group
                else None
            )
        self._stale.clear()
        # In the order in which architectures ended first.
        rows = [row for arch_id in self._trained if (row := self._rows[arch_id]) is not None]
        steps = {record.steps for row in rows for record in self._compared(row.arch_id)}
        return RunSummary(
            rows=with_frontier(rows, self._costs, self._finalists),
            costs=self._costs,
            confidence=self._confidence,
            num_failed=self._num_failed,
            steps=tuple(sorted(steps)),
            calibrated_noise=self._noise,
            inherited=tuple(self._inherited.values()),
            criterion=self._criterion,
            finalists=self._finalists,
        )

    def _compared(self, arch_id: str) -> list[TrialRecord]:
        """The records that make the row of an architecture."""
        # What calibrates long judges scores, and is none that anything is compared by.
        least = self._least or 0
        return [
            record
            for record in self._trained[arch_id]
            if record.budget <= least or record.purpose not in CALIBRATING
        ]
