"""What a run trains, in order: the search, its references, then the confirming seeds.

With a supernet the search only scores what is proposed, with inherited weights, and a stage after
it trains the best alone; a last stage, if asked for, scores and trains members spread over the cost
range, to tell how far inherited scores can be trusted. A calibration of the proxy has one stage
instead: such members, each with several seeds.

Each stage waits for the one before, since it is made from its results. The plan is rebuilt from
the store alone, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random

from ..arch import Arch, ArchSpec, get_arch, scale_to_cost
from ..cost import estimate_cost
from ..results import (
    ArchSummary,
    CostName,
    Criterion,
    Evaluator,
    Purpose,
    Stage,
    Trial,
    TrialKey,
    TrialRecord,
    TrialStore,
    TrustScores,
    gather_trust,
    hypervolume,
    pareto_front,
    summarise,
)
from ..results.records import CALIBRATING
from ..samplers import Sampler, SpaceExhaustedError
from ..space import Space, SpaceError
from ..space.allocation import scaled_member
from ..space.by_cost import spread_members
from .config import SearchConfig

CALIBRATION_DRAWS = 2000
MARGIN = 0.1
REFERENCE_GAP = 0.03
"""Share of its cost within which a frontier member makes do with its neighbour's reference."""


class Plan:
    """Hands out trials, and says when a stage has to wait for the trials still running.

    Args:
        config: The search, or the calibration.
        space: Its space, narrowed.
        store: Trials done so far; the caller appends to it.
        sampler: What proposes architectures; None for a calibration.
        num_classes: Classes of the data set.
    """

    def __init__(
        self,
        config: SearchConfig,
        space: Space,
        store: TrialStore,
        sampler: Sampler | None,
        num_classes: int,
    ) -> None:
        self._config = config
        self._space = space
        self._store = store
        self._sampler = sampler
        self._num_classes = num_classes
        self._running: set[TrialKey] = set()
        self._handed_out: set[TrialKey] = set()
        self._number = 1 + max((record.number for record in store.records()), default=-1)
        self._trials = self._stages()
        self.finished = False
        self.notes: list[str] = []

    def next(self) -> Trial | None:
        """The next trial; None if there is none now, for good once `finished` is set."""
        if self.finished:
            return None
        try:
            trial = next(self._trials)
        except StopIteration:
            self.finished = True
            return None
        if trial is not None:
            self._running.add(trial.key)
            self._handed_out.add(trial.key)
        return trial

    def done(self, trial: Trial) -> None:
        """Notes that a trial's record is in the store."""
        self._running.discard(trial.key)

    def _stages(self) -> Iterator[Trial | None]:
        """Trials in order; None where the next stage has to wait for those still running."""
        if self._sampler is None:
            yield from self._calibration()
            while self._running:
                yield None
            return
        yield from self._search(self._sampler)
        while self._running:
            yield None
        if self._config.strategy == "supernet":
            config = self._config
            best = best_inherited(
                self._store.records(), config.cost, config.retrain, config.searched_by
            )
            yield from self._untrained(best, [self._config.seed], "search")
            while self._running:
                yield None
        yield from self._comparisons()
        if self._config.trust:
            yield from self._ranking_check()
        while self._running:
            yield None

    def _comparisons(self) -> Iterator[Trial | None]:
        """The references, and the confirming seeds."""
        front = frontier_members(self._store.records(), self._config)
        if not front:
            self.notes.append("no trial was completed, so there is no frontier")
            return
        if self._config.finalists is not None:
            front = finalists(front, self._config.cost, self._config.finalists)
        references = {
            reference_label(name): self.references(name, front) for name in self._config.references
        }
        seed = self._config.seed
        for label, specs in references.items():
            yield from self._untrained(specs, [seed], "reference", label=label)
        while self._running:
            yield None
        if self._config.confirm:
            seeds = range(seed + 1, seed + 1 + self._config.confirm)
            budget = self._config.recipes[-1].trained_steps
            members = [ArchSpec.from_json(row.arch) for row in front]
            for label, specs in references.items():
                yield from self._untrained(specs, seeds, "confirmation", label=label, budget=budget)
            yield from self._untrained(members, seeds, "confirmation", budget=budget)
        while self._running:
            yield None

    def _search(self, sampler: Sampler) -> Iterator[Trial]:
        stage = self._config.first_stage
        budget = self._config.budget(stage.evaluator)
        started = sum(record.stage == stage for record in self._store.records())
        while started < self._config.trials:
            try:
                proposal = sampler.ask()
            except SpaceExhaustedError as error:
                self.notes.append(str(error))
                return
            started += 1
            yield Trial(
                number=self._take_number(),
                arch=proposal.spec,
                seed=self._config.seed,
                **stage._asdict(),
                budget=budget,
                proposal=proposal.number,
            )

    def _calibration(self) -> Iterator[Trial]:
        members = self._spread(self._config.calibrate)
        for recipe in self._config.recipes:
            yield from self._untrained(
                members, self._calibration_seeds, "calibration", budget=recipe.trained_steps
            )

    def _ranking_check(self) -> Iterator[Trial]:
        members = self._spread(self._config.trust)
        seeds = self._calibration_seeds
        yield from self._untrained(members, seeds[:1], "ranking_check", evaluator="inherited")
        yield from self._untrained(members, seeds, "ranking_check")

    @property
    def _calibration_seeds(self) -> range:
        return range(self._config.seed, self._config.seed + self._config.calibration_seeds)

    def _spread(self, count: int) -> list[ArchSpec]:
        members = calibration_members(self._space, self._config, count)
        if len(members) < count:
            self.notes.append(
                f"the space holds no more than {len(members)} members that could be found, of"
                f" {count} wanted"
            )
        return members

    def _untrained(
        self,
        specs: Sequence[Arch],
        seeds: Iterable[int],
        purpose: Purpose,
        *,
        evaluator: Evaluator = "trained",
        budget: int | None = None,
        label: str = "",
    ) -> Iterator[Trial]:
        # What calibrates takes what there is. What the search needs it trains itself, weights and
        # all, in the rare case that a member calibrates as well.
        calibrates = purpose in CALIBRATING
        done = {
            record.key
            for record in self._store.records()
            if calibrates or record.purpose not in CALIBRATING
        }
        budget = budget or self._config.budget(evaluator)
        for seed in seeds:
            for spec in specs:
                trial = Trial(
                    number=self._number,
                    arch=spec,
                    seed=seed,
                    purpose=purpose,
                    evaluator=evaluator,
                    budget=budget,
                    label=label,
                )
                # A member may be the reference of another one, and calibrate as well.
                if trial.key not in done and trial.key not in self._handed_out:
                    self._take_number()
                    yield trial

    def references(self, name: str, front: Sequence[ArchSummary]) -> list[Arch]:
        """A preset's allocation at the cost of each member; close members share one.

        Where the space holds the allocation at that cost, to within 1%, its member is taken.
        """
        metric: CostName = "params" if self._config.cost == "params" else "macs"

        def cost(spec: Arch) -> float:
            estimate = estimate_cost(spec, self._config.image_size, num_classes=self._num_classes)
            return float(getattr(estimate, metric))

        preset = get_arch(name)
        found: list[Arch] = []
        for member in front:
            target = float(getattr(member, metric))
            if any(abs(cost(near) - target) <= REFERENCE_GAP * target for near in found):
                continue
            inside = None
            if isinstance(preset, ArchSpec):
                inside = scaled_member(self._space, preset, cost, target)
            found.append(inside or scale_to_cost(preset, cost, target))
        return list(dict.fromkeys(found))

    def _take_number(self) -> int:
        self._number += 1
        return self._number - 1


def reference_label(preset: str) -> str:
    """Name to show for a preset's scaled allocation."""
    return f"{preset.removeprefix('hrvit_')} scaled"


def outside_space(specs: Iterable[Arch], space: Space) -> frozenset[str]:
    """Ids of architectures whose choices a space does not have, its limits aside."""
    found = set()
    for spec in specs:
        try:
            if isinstance(spec, ArchSpec):
                space.encode(spec)
                continue
        except SpaceError:
            pass
        found.add(spec.id)
    return frozenset(found)


def calibration_members(space: Space, config: SearchConfig, count: int) -> list[ArchSpec]:
    """Members spread over the cost range, the same ones at every call."""
    rng = Random(config.seed)
    return spread_members(space, count, config.cost_of, rng, draws=CALIBRATION_DRAWS)


def trust_scores(records: Iterable[TrialRecord], space: Space, config: SearchConfig) -> TrustScores:
    """Both kinds of score of the members that tell how far to trust a supernet's."""
    members = calibration_members(space, config, config.trust)
    seeds = range(config.seed, config.seed + config.calibration_seeds)
    return gather_trust(records, [spec.id for spec in members], seeds)


def best_inherited(
    records: Iterable[TrialRecord], cost: CostName, count: int, criterion: Criterion
) -> list[ArchSpec]:
    """Members of the frontier of inherited scores that dominate most between them.

    They are taken one after the other, each for the hypervolume that it adds. The corner lies a
    tenth of the range beyond the dearest cost and the worst score, so that the ends of the frontier
    count for something. Where the frontier holds fewer, all of it comes back.

    Args:
        records: Of the run; the inherited scores of its search count.
        cost: Weighed against the score.
        count: How many at most.
        criterion: The score.

    Returns:
        The members by rising cost.
    """
    points: dict[str, tuple[float, float]] = {}
    specs: dict[str, ArchSpec] = {}
    for record in records:
        if record.stage == Stage("search", "inherited"):
            values = objective_values(record, cost, criterion)
            if values is not None:
                points[record.arch_id] = values
                specs[record.arch_id] = record.spec
    return [specs[arch_id] for arch_id in _dominating_most(points, count)]


def finalists(front: Sequence[ArchSummary], cost: CostName, count: int) -> list[ArchSummary]:
    """Members of a frontier that dominate most between them, by rising cost.

    They are chosen as by `best_inherited`, from the scores of the search.

    Args:
        front: The frontier of a search.
        cost: Weighed against the score.
        count: How many at most.
    """
    rows = {row.arch_id: row for row in front}
    points = {
        row.arch_id: (row.search_score, row.cost(cost))
        for row in front
        if row.search_score is not None
    }
    return [rows[arch_id] for arch_id in _dominating_most(points, count)]


def _dominating_most(points: Mapping[str, tuple[float, float]], count: int) -> list[str]:
    """Those of the frontier of (score, cost) that add most hypervolume, by rising cost."""
    if not points:
        return []
    on_front = pareto_front(list(points.values()))
    left = [arch_id for arch_id, on in zip(points, on_front, strict=True) if on]
    scores, costs = zip(*points.values(), strict=True)
    corner = (
        min(scores) - MARGIN * (max(scores) - min(scores) or 1.0),
        max(costs) + MARGIN * (max(costs) - min(costs) or 1.0),
    )
    chosen: list[str] = []
    while left and len(chosen) < count:
        taken = [points[arch_id] for arch_id in chosen]
        gains = {a: hypervolume([*taken, points[a]], corner) for a in left}
        best = max(left, key=gains.__getitem__)
        left.remove(best)
        chosen.append(best)
    return sorted(chosen, key=lambda arch_id: points[arch_id][1])


def objective_values(
    record: TrialRecord, cost: CostName, criterion: Criterion = "miou"
) -> tuple[float, float] | None:
    """Score and cost of a record as a sampler is told them; None where the trial failed."""
    score = record.score(criterion)
    return None if score is None else (score, float(getattr(record, cost)))


def frontier_members(records: Iterable[TrialRecord], config: SearchConfig) -> Sequence[ArchSummary]:
    """Members of the frontier that the search itself found, by rising cost."""
    found = (record for record in records if record.stage == Stage("search", "trained"))
    return summarise(found, cost=config.cost, criterion=config.recipe.criterion).frontier
