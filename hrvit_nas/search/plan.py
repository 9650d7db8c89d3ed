"""What a run trains, in order: the search, its references, then the confirming seeds.

A calibration of the proxy has one stage instead: members spread over the cost range, each with
several seeds.

Each stage waits for the one before, since it is made from its results. The plan is rebuilt from
the store alone, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from random import Random

from ..arch import ArchSpec, get_arch, scale_to_cost
from ..cost import estimate_cost
from ..results import ArchSummary, CostName, TrialRecord, TrialStore, summarise
from ..results.records import Origin
from ..space import Space
from .config import SearchConfig
from .proposals import Proposals, SpaceExhaustedError
from .spread import spread_members
from .tasks import Task

CALIBRATION_DRAWS = 2000
REFERENCE = "hrvit_b1"
REFERENCE_LABEL = "b1 scaled"
REFERENCE_GAP = 0.03
"""Share of its cost within which a frontier member makes do with its neighbour's reference."""


class Plan:
    """Hands out tasks, and says when a stage has to wait for the trials still running.

    Args:
        config: The search, or the calibration.
        space: Its space, narrowed.
        store: Trials done so far; the caller appends to it.
        proposals: Where the search stage gets its architectures; None for a calibration.
        num_classes: Classes of the data set.
    """

    def __init__(
        self,
        config: SearchConfig,
        space: Space,
        store: TrialStore,
        proposals: Proposals | None,
        num_classes: int,
    ) -> None:
        self._config = config
        self._space = space
        self._store = store
        self._proposals = proposals
        self._num_classes = num_classes
        self._running: set[tuple[str, int]] = set()
        self._number = 1 + max((record.number for record in store.records()), default=-1)
        self._tasks = self._stages()
        self.finished = False
        self.notes: list[str] = []

    def next(self) -> Task | None:
        """The next task; None if there is none now, for good once `finished` is set."""
        if self.finished:
            return None
        try:
            task = next(self._tasks)
        except StopIteration:
            self.finished = True
            return None
        if task is not None:
            self._running.add(task.key)
        return task

    def done(self, task: Task) -> None:
        """Notes that a task's record is in the store."""
        self._running.discard(task.key)

    def _stages(self) -> Iterator[Task | None]:
        """Tasks in order; None where the next stage has to wait for those still running."""
        if self._proposals is None:
            yield from self._calibration()
            while self._running:
                yield None
            return
        yield from self._search(self._proposals)
        while self._running:
            yield None
        front = frontier_members(self._store.records(), self._config.cost)
        if not front:
            self.notes.append("no trial was completed, so there is no frontier")
            return
        references = self.references(front)
        seed = self._config.seed
        yield from self._untrained(references, [seed], "reference", REFERENCE_LABEL)
        while self._running:
            yield None
        if self._config.confirm:
            seeds = range(seed + 1, seed + 1 + self._config.confirm)
            members = [ArchSpec.from_json(row.arch) for row in front]
            yield from self._untrained(references, seeds, "confirm", REFERENCE_LABEL)
            yield from self._untrained(members, seeds, "confirm", "")
        while self._running:
            yield None

    def _search(self, proposals: Proposals) -> Iterator[Task]:
        started = sum(record.origin == "search" for record in self._store.records())
        while started < self._config.trials:
            try:
                task = proposals.next(self._take_number())
            except SpaceExhaustedError as error:
                self.notes.append(str(error))
                return
            started += 1
            yield task

    def _calibration(self) -> Iterator[Task]:
        config = self._config
        members = spread_members(
            self._space, config.calibrate, config, Random(config.seed), draws=CALIBRATION_DRAWS
        )
        if len(members) < config.calibrate:
            self.notes.append(
                f"the space holds no more than {len(members)} members that could be found, of"
                f" {config.calibrate} wanted"
            )
        seeds = range(config.seed, config.seed + config.calibration_seeds)
        yield from self._untrained(members, seeds, "calibration", "")

    def _untrained(
        self, specs: Sequence[ArchSpec], seeds: Iterable[int], origin: Origin, label: str
    ) -> Iterator[Task]:
        done = {record.key for record in self._store.records()}
        for seed in seeds:
            for spec in specs:
                if (spec.id, seed) not in done:
                    yield Task(
                        number=self._take_number(),
                        spec=spec,
                        seed=seed,
                        origin=origin,
                        label=label,
                    )

    def references(self, front: Sequence[ArchSummary]) -> list[ArchSpec]:
        """b1's allocation, scaled to the cost of each member; close members share one."""
        metric: CostName = "params" if self._config.cost == "params" else "macs"

        def cost(spec: ArchSpec) -> float:
            estimate = estimate_cost(spec, self._config.image_size, num_classes=self._num_classes)
            return float(getattr(estimate, metric))

        references: dict[ArchSpec, float] = {}
        for member in front:
            target = float(getattr(member, metric))
            if not any(
                abs(near - target) <= REFERENCE_GAP * target for near in references.values()
            ):
                scaled = scale_to_cost(get_arch(REFERENCE), cost, target)
                references[scaled] = cost(scaled)
        return list(references)

    def _take_number(self) -> int:
        self._number += 1
        return self._number - 1


def frontier_members(records: Iterable[TrialRecord], cost: CostName) -> Sequence[ArchSummary]:
    """Members of the frontier that the search itself found, by rising cost."""
    return summarise((r for r in records if r.origin == "search"), cost=cost).frontier
