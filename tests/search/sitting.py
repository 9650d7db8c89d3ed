"""A run without workers, whose plan's trials a test scores."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hrvit_nas.cost import estimate_cost
from hrvit_nas.results import HistoryPoint, TrialRecord, TrialStore
from hrvit_nas.search.kinds import KINDS
from hrvit_nas.search.layout import RunLayout
from hrvit_nas.search.plan import Resolved
from hrvit_nas.search.run import sampler_of

SIZE, CLASSES = (32, 48), 10


class Sitting:
    """A run without workers: hands out trials and scores them as a test decides."""

    def __init__(self, config, folder):
        self.config = config
        self.layout, self.space = RunLayout(folder), config.load_space()
        self.store = TrialStore(folder, write=True)
        sampler = None if config.kind == "calibration" else sampler_of(self)
        resolved = Resolved(
            seeds=config.seeds, num_classes=CLASSES, space=self.space, sampler=sampler
        )
        self.plan = KINDS[config.kind].trials(config, self.store, resolved)
        self.running = []

    def hand_out(self, most):
        """Starts trials until so many run, or none is to be had for now."""
        while len(self.running) < most and (trial := self.plan.next()) is not None:
            self.running.append(trial)

    def finish(self, position=0, *, fails=False, attempts=None):
        """Ends a trial; one that fails has been tried as often as it may be, unless told."""
        trial = self.running.pop(position)
        cost = estimate_cost(trial.arch, SIZE, num_classes=CLASSES)
        # Dearer is better, with a little noise by architecture, so that the frontier is wide.
        miou = min(0.9, cost.macs / 1e7 + int(trial.arch.id[:2], 16) / 1e4 + trial.seed / 1e5)
        record = TrialRecord(
            **trial.identity,
            macs=cost.macs,
            published_macs=cost.published_macs,
            params=cost.params,
            peak_activation_bytes=cost.peak_activation_bytes,
            seconds=1.0,
            steps=0 if fails else trial.budget,
            finished_at=datetime.now(UTC),
            state="failed" if fails else "complete",
            miou=None if fails else miou,
            error="diverged" if fails else "",
            attempts=attempts or 1 + fails * self.config.resources.max_retries,
            history=() if fails else (HistoryPoint(trial.budget, miou, cross_entropy=1 - miou),),
        )
        self.store.append(record)
        self.plan.ended(trial, record)
        return record

    def run(self, *, workers=2, most=10**6):
        """Runs to the end, or until so many trials have ended; closes the store."""
        for _ in range(most):
            self.hand_out(workers)
            if not self.running:
                break
            self.finish(-1)
        self.store.close()
        return self.store.records()


def run_in_sittings(config, cuts, workers):
    """Records of a run whose sittings were cut off after so many trials each, but for the last, and
    the proposals that its sampler is still to be told of.
    """
    with tempfile.TemporaryDirectory() as folder:
        for cut in cuts:
            Sitting(config, Path(folder)).run(workers=workers, most=cut)
        last = Sitting(config, Path(folder))
        records = last.run(workers=workers)
        return records, sampler_of(last)._waiting
