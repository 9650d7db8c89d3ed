"""A run directory while it is open for writing: what it is of, and what is kept there."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, Protocol

from ..cost import estimate_cost
from ..data import SegmentationData
from ..results import RunSummary, Trial, TrialRecord, TrialResult, TrialStore, summarise
from ..space import Space
from .ablation_config import AblationConfig
from .layout import RunLayout, remove_empty
from .sittings import began, note_sitting, set_damaged_aside
from .stored import C
from .supernet import Step
from .timeshare import TimeShare
from .tracking import Tracking


class Observer(Protocol):
    """Who watches a run: a terminal, or nothing."""

    def started(self, trial: Trial) -> None:
        """A trial was handed out."""

    def ended(self, record: TrialRecord, summary: RunSummary | None) -> None:
        """A trial ended; the summary, if there is time for one, includes it."""

    def supernet(self, step: Step | None) -> None:
        """How far a supernet's training is; None before its first step."""


@dataclass(kw_only=True)
class Run(Generic[C]):
    """One run directory, open for writing.

    Attributes:
        layout: Where its files lie.
        config: What it is to do.
        data: The data set, loaded once to check it and to fill the node's copy.
        store: The trials.
        space: Its space, narrowed; None for a run that has none.
        new: Whether this sitting made the run.
        made: Folders above the run directory that it made with it, the innermost first.
        resources_changed: Whether this sitting asks for other resources than those on record, which
            they replace once they are found to be there.
    """

    layout: RunLayout
    config: C
    data: SegmentationData
    store: TrialStore
    space: Space | None
    new: bool = False
    made: tuple[Path, ...] = ()
    resources_changed: bool = False
    _table: TimeShare = field(default_factory=TimeShare, repr=False)
    _tracking: Tracking = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._tracking = Tracking(self.layout.tensorboard)

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self.layout.directory

    def summary(self) -> RunSummary:
        """What the run has found so far."""
        return summarise(self.store.records(), **self.config.ranking)

    def supernet_layout(self, seed: int) -> RunLayout:
        """Where the supernet of a seed lies; an ablation has one a seed."""
        return self.layout.of_seed(seed) if isinstance(self.config, AblationConfig) else self.layout

    def keep(self, trial: Trial, result: TrialResult) -> TrialRecord:
        """Writes what came of a trial; from then on it need not be done again."""
        cost = estimate_cost(trial.arch, self.config.image_size, num_classes=self.data.num_classes)
        predicted = self.config.predicted_latency_ms(trial.arch)
        record = TrialRecord.of(trial, result, cost, predicted)
        self.store.append(record)
        self._tracking.add(record)
        if trial.purpose != "rung" or record.state == "failed":
            self.layout.training_of(trial).unlink(missing_ok=True)
        self._table.do(self.store.write_parquet)
        return record

    def close(self) -> None:
        """Writes the table once more, lets others write, and sends what could not be sent.

        Closing twice is allowed.
        """
        try:
            if self.store.records() and self.store.writes:
                self.store.write_parquet()
        finally:
            self.store.close()
            self._tracking.close()

    def discard_if_unused(self) -> None:
        """Removes what this sitting made, if no trial and no step of a supernet came of it."""
        layout = self.layout
        seeds = [self.supernet_layout(seed) for seed in self.config.supernet_seeds]
        trained = any(s.supernet_training.exists() or s.supernet_curve.exists() for s in seeds)
        if not self.new or trained or self.store.records():
            return
        self.store.close()
        for of_seed in seeds:
            of_seed.supernet_steps.unlink(missing_ok=True)
            of_seed.supernet.unlink(missing_ok=True)
            remove_empty(of_seed.training, *([of_seed.directory] if of_seed != layout else []))
        for path in (self.store.journal, layout.config, layout.provenance, layout.study):
            path.unlink(missing_ok=True)
        remove_empty(layout.training, layout.directory, *self.made)

    def begin(self) -> None:
        """Notes this sitting, and shows other tools the trials they have missed.

        Raises:
            ConfigError: MLflow is not installed, or the URI does not answer.
        """
        config, provenance = self.config, self.layout.provenance
        note = partial(note_sitting, provenance, config.resources, config.seeds)
        first = set_damaged_aside(provenance) or not provenance.exists()
        if first:  # how it began is its name elsewhere
            note()
        name = self.directory.resolve().name
        self._tracking.start(self.store.records(), config.mlflow, name, began(provenance))
        if not first:
            note()
