"""A search as it goes on: a bar, what runs, and the frontier so far."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from ..objectives import OBJECTIVES
from ..results import Criterion, RunSummary, Stage, Trial, TrialKey, TrialRecord
from ..results.records import SEARCHED

if TYPE_CHECKING:
    from ..search.supernet import Step

ROWS = 12
SUPERNET_LINES = 20
"""Lines about a supernet's training where there is no terminal."""
STAGES: dict[Stage, str] = {
    Stage("search", "inherited"): "scoring",
    SEARCHED: "searching",
    Stage("rung", "trained"): "searching, lower rungs",
    Stage("reference", "trained"): "references",
    Stage("confirmation", "trained"): "confirming",
    Stage("calibration", "trained"): "calibrating",
    Stage("ranking_check", "inherited"): "scoring, to check the ranking",
    Stage("ranking_check", "trained"): "training, to check the ranking",
    Stage("ablation", "trained"): "ablating",
    Stage("ablation", "inherited"): "scoring",
}


class SearchProgress:
    """Shows a search on a terminal; elsewhere prints one line a trial.

    Args:
        console: Where to.
        trials: Trials of the first stage.
        done: How many of them earlier sittings have done.
        stage: The first stage.
    """

    def __init__(self, console: Console, trials: int, done: int, stage: Stage = SEARCHED) -> None:
        self._console = console
        self._trials = trials
        self._running: dict[TrialKey, Trial] = {}
        self._summary: RunSummary | None = None
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._first = stage
        bar = self._bar.add_task(STAGES[stage], total=trials, completed=done)
        self._stages = {stage: bar}
        self._counts = {stage: done}
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=4)
        self._started = time.monotonic()
        self._supernet: TaskID | None = None
        self._steps_said = 0

    def __enter__(self) -> SearchProgress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def supernet(self, step: Step | None) -> None:
        """Notes how far the supernet's training is; elsewhere than on a terminal now and then."""
        if step is None:
            return
        if self._supernet is None:
            self._supernet = self._bar.add_task("training the supernet", total=step.steps)
        self._bar.update(self._supernet, completed=step.done)
        share = step.done * SUPERNET_LINES // step.steps
        if not self._console.is_terminal and share > self._steps_said:
            self._steps_said = share
            returns = f", taken back {step.returns} times" if step.returns else ""
            elapsed = time.monotonic() - self._started
            self._console.print(
                f"[{elapsed:6.0f} s] supernet {step.done}/{step.steps} steps: loss"
                f" {step.largest_loss:.3f} of the largest subnet, {step.others_loss:.3f} of the"
                f" others{returns}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )

    def started(self, trial: Trial) -> None:
        """Notes a trial that was handed out."""
        self._running[trial.key] = trial
        if trial.stage not in self._stages:
            self._stages[trial.stage] = self._bar.add_task(STAGES[trial.stage], total=None)

    def ended(self, record: TrialRecord, summary: RunSummary | None = None) -> None:
        """Notes a trial that ended; a summary is shown as the frontier so far."""
        self._running.pop(record.key, None)
        self._summary = summary or self._summary
        self._counts[record.stage] = self._counts.get(record.stage, 0) + 1
        self._bar.update(self._stages[record.stage], completed=self._counts[record.stage])
        if not self._console.is_terminal:
            line = self._line(record, summary)
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _line(self, record: TrialRecord, summary: RunSummary | None) -> str:
        elapsed = time.monotonic() - self._started
        count = self._counts[record.stage]
        first = record.stage == self._first and count <= self._trials
        of = f"/{self._trials}" if first else ""
        score = f"failed: {record.error}"
        if record.miou is not None:
            score = f"{record.miou:.2%}{self._ranked_by(record.score(self._criterion))}"
        name = record.label or record.arch_id
        return (
            f"[{elapsed:6.0f} s] {STAGES[record.stage]} {count}{of}: {name} seed {record.seed}"
            f" {record.macs / 1e9:.4f} GMACs, mIoU {score} ({record.steps:,} steps,"
            f" {record.seconds:.0f} s)"
            + (
                ""
                if summary is None or self._first.purpose == "calibration"
                else f"; frontier {len(summary.frontier)}"
            )
        )

    @property
    def _criterion(self) -> Criterion:
        return "miou" if self._summary is None else self._summary.criterion

    def _ranked_by(self, score: float | None) -> str:
        """A score that trials are ranked by, where that is not mIoU; more was made better in it."""
        if self._criterion == "miou" or score is None:
            return ""
        by = OBJECTIVES[self._criterion]
        return f", {by.word} {by.gain(score) * by.scale:.4g}{by.level}"

    def _render(self) -> Group:
        parts: list[object] = [self._bar]
        running = ", ".join(
            f"{trial.label or trial.arch.id} seed {trial.seed}" for trial in self._running.values()
        )
        parts.append(Text(f"running: {running or 'nothing yet'}", style="dim"))
        if self._first.purpose == "calibration":
            return Group(*parts)  # type: ignore[arg-type]
        if self._summary is not None and self._summary.frontier:
            table = Table(title="frontier so far", title_justify="left", box=None)
            for heading in ("GMACs", "mIoU %", "params M"):
                table.add_column(heading, justify="right")
            table.add_column("architecture")
            for row in self._summary.frontier[-ROWS:]:
                table.add_row(
                    f"{row.macs / 1e9:.4f}",
                    f"{row.interval.mean * 100:.2f}{self._ranked_by(row.search_score)}",
                    f"{row.params / 1e6:.3f}",
                    row.arch_id,
                )
            parts.append(table)
        return Group(*parts)  # type: ignore[arg-type]
