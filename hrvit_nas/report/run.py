"""A run directory as a report sees it: read only, whatever command made it, also while it goes on.

Of a large run the texts of architectures stay on disk; `ReportedRun.specs` reads those that are
wanted.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from random import Random

from hrvit_nas.arch import Arch, ArchError, ArchSpec, parse_arch
from hrvit_nas.cost import estimate_cost
from hrvit_nas.results import RunSummary, TrialRecord, TrialStore, summarise
from hrvit_nas.results.records import SEARCHED
from hrvit_nas.search.config import SpaceConfig
from hrvit_nas.search.kinds import KINDS
from hrvit_nas.search.run_config import RunConfig
from hrvit_nas.search.stored import read_config
from hrvit_nas.space import Space, SpaceError
from hrvit_nas.space.genes import Value

from .figures import ReportError

MOST_SAMPLED = 1000
"""Searched architectures that genes and allocation are looked at in, beside the frontier."""


@dataclass(frozen=True, kw_only=True)
class ReportedRun:
    """One run.

    Attributes:
        directory: The run directory.
        config: What it was to do.
        store: Its trials; the records hold no texts of architectures.
        records: The trials, in the order in which they ended.
        summary: One row an architecture.
        opened_space: The space, where who has the run open has loaded it already.
    """

    directory: Path
    config: RunConfig
    store: TrialStore
    records: tuple[TrialRecord, ...]
    summary: RunSummary
    opened_space: Space | None = None
    _read: dict[str, Arch] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Name of the directory; what UTF-8 cannot hold becomes a question mark."""
        return self.directory.resolve().name.encode("utf-8", "replace").decode("utf-8")

    @property
    def dataset(self) -> str:
        """Name of the data set, or what scores are of where there is none."""
        return self.config.data.title

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of images."""
        return self.config.image_size

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of any complete trial."""
        return tuple(sorted({r.seed for r in self.records if r.state == "complete"}))

    @property
    def search_seeds(self) -> str:
        """Seeds that proposals were first trained with, for a caption."""
        seeds = {record.seed for record in self.records if record.stage == SEARCHED}
        return ", ".join(map(str, sorted(seeds)))

    @property
    def started_and_ended(self) -> tuple[datetime, datetime] | None:
        """Times at which the first and the last trial ended; None without one."""
        if not self.records:
            return None
        return self.records[0].finished_at, self.records[-1].finished_at

    @cached_property
    def num_classes(self) -> int:
        """Classes of the networks; where an earlier version did not store them, from a trial's
        parameters.

        Raises:
            ReportError: They are not stored, and there is no trial, or none has the parameters of
                its architecture.
        """
        if self.config.num_classes is not None:
            return self.config.num_classes
        for record in self.records[:1]:
            spec = self.specs([record.arch_id])[record.arch_id]
            one, two = (
                estimate_cost(spec, self.image_size, num_classes=count).params for count in (1, 2)
            )
            classes, rest = divmod(record.params - one, two - one)
            if not rest and classes >= 0:
                return classes + 1
        raise ReportError(f"{self.directory}: the number of classes cannot be told from its trials")

    @cached_property
    def space(self) -> Space | None:
        """The space that was searched, as it was then; None for a run over none, or if damaged."""
        if self.opened_space is not None or not isinstance(self.config, SpaceConfig):
            return self.opened_space
        try:
            return self.config.load_space()
        except SpaceError:
            return None

    @cached_property
    def drawn(self) -> frozenset[str]:
        """Ids of searched architectures with all costs: all, or `MOST_SAMPLED` drawn at random."""
        rows = self.summary.rows
        ids = [row.arch_id for row in rows if row.searched and row.has(self.summary.costs)]
        return frozenset(ids if len(ids) <= MOST_SAMPLED else Random(0).sample(ids, MOST_SAMPLED))

    @cached_property
    def sample(self) -> dict[str, ArchSpec]:
        """HRViTs by id: all of the frontier first, then those of `drawn`. Raises as `specs`."""
        frontier = [row.arch_id for row in self.summary.frontier]
        found = self.specs([*frontier, *sorted(self.drawn.difference(frontier))])
        return {key: spec for key, spec in found.items() if isinstance(spec, ArchSpec)}

    @property
    def of_how_many(self) -> str:
        """What `drawn` was drawn from, for a caption; empty where it is all."""
        searched = sum(row.searched for row in self.summary.rows)
        return "" if len(self.drawn) == searched else f" of {searched:,}"

    @cached_property
    def genes(self) -> dict[str, dict[str, Value | None]]:
        """Genes of the sample, by id of the architecture.

        Raises:
            ReportError: The run is not over a space, or it is damaged.
        """
        if not isinstance(self.config, SpaceConfig):
            words = KINDS[self.config.kind].words
            raise ReportError(f"{self.directory} holds {words}, which has no genes")
        if self.space is None:
            raise ReportError(f"{self.directory}: its space is damaged, and genes are of a space")
        try:
            return {key: self.space.genes_of(spec) for key, spec in self.sample.items()}
        except SpaceError as error:
            raise ReportError(f"{self.directory}: {error}") from error

    def specs(self, arch_ids: Iterable[str]) -> dict[str, Arch]:
        """Architectures by id, each read once.

        Raises:
            ReportError: One is damaged.
        """
        wanted = list(arch_ids)
        missing = {arch_id for arch_id in wanted if arch_id not in self._read}
        if missing:
            # A pass over the journal costs the same for one or for all that will be asked for.
            missing |= {row.arch_id for row in self.summary.shown}
            try:
                for arch_id, text in self.store.arch_texts(missing - self._read.keys()).items():
                    self._read[arch_id] = parse_arch(text)
            except ArchError as error:
                raise ReportError(f"{self.store.journal} is damaged: {error}") from error
        return {arch_id: self._read[arch_id] for arch_id in wanted if arch_id in self._read}


def load_run(directory: str | Path) -> ReportedRun:
    """Reads a run directory.

    Raises:
        ConfigError: It holds no run, or its configuration is damaged or of a newer version.
        StoreError: Its trials cannot be read.
    """
    directory = Path(directory)
    config: RunConfig = read_config(directory)
    with _no_collection():
        store = TrialStore(directory, arches=False)
        records = tuple(store.records())
        summary = summarise(records, **config.ranking)
    return ReportedRun(
        directory=directory,
        config=config,
        store=store,
        records=records,
        summary=summary,
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Spares the search for cycles while millions of objects are made that have none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
