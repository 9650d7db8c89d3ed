"""What searches train, in order: what a sampler proposes, what stands beside the frontier of that,
and what confirms both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TypeVar

from ..arch import Arch, ArchSpec, get_arch, scale_to_cost
from ..results import (
    ArchSummary,
    ConsistencyScores,
    Stage,
    Trial,
    TrialRecord,
    gather_consistency,
)
from ..results.records import SEARCHED
from ..samplers import Sampler, SpaceExhaustedError, Values
from ..space import Space, SpaceError
from ..space.allocation import scaled_arch
from .config import (
    AnySearch,
    SearchConfig,
    SupernetSearchConfig,
)
from .config_parts import counted_cost
from .halving import Rungs
from .plan import Trials, calibration_archs, spread_over_costs
from .selection import best_inherited, finalists, frontier_archs, objective_values

S = TypeVar("S", bound=AnySearch)

REFERENCE_GAP = 0.03
"""Share of its cost within which an architecture makes do with its neighbour's reference."""


class SearchTrials(Trials[S]):
    """What a search trains: what its sampler proposes, the references of the frontier, and the
    confirming seeds.

    Each stage waits for the one before, since it is made from its results.
    """

    @property
    def _sampler(self) -> Sampler:
        assert self._resolved.sampler is not None
        return self._resolved.sampler

    def ended(self, trial: Trial, record: TrialRecord) -> None:
        """See `Trials`; the sampler is told the values of what it proposed."""
        if trial.proposal is not None:
            self._sampler.tell(trial.proposal, self._values(record))
        if self._rungs is not None and trial.purpose in ("rung", "search"):
            self._rungs.end(trial.arch, trial.budget, self._values(record))
        super().ended(trial, record)

    def _all(self) -> Iterator[Trial | None]:
        yield from self._proposals()
        yield from self._comparisons()

    def _proposal_of(self, record: TrialRecord) -> int | None:
        """See `Trials`."""
        if not self._config.is_proposed(record):
            return None
        return self._sampler.number_of(record.arch_id)

    def _comparisons(self) -> Iterator[Trial | None]:
        """The references, and the confirming seeds."""
        front = frontier_archs(self._store.records(), self._config)
        if not front:
            self.notes.append("no trial was completed, so there is no frontier")
            return
        if self._config.finalists is not None:
            front = finalists(front, self._config.costs, self._config.finalists)
        references = {
            reference_label(name): self.references(name, front) for name in self._config.references
        }
        seed = self._config.seed
        for label, specs in references.items():
            yield from self._not_done(
                specs,
                [seed],
                Stage("reference", "trained"),
                self._config.recipe.trained_steps,
                label=label,
            )
        yield from self._all_ended()
        if self._config.confirm:
            seeds = range(seed + 1, seed + 1 + self._config.confirm)
            budget = self._config.recipes[-1].trained_steps
            chosen = [ArchSpec.from_json(row.arch) for row in front]
            stage = Stage("confirmation", "trained")
            for label, specs in references.items():
                yield from self._not_done(specs, seeds, stage, budget, label=label)
            yield from self._not_done(chosen, seeds, stage, budget)

    def _proposals(self) -> Iterator[Trial | None]:
        """What is proposed, on the lowest rung; of each rung the best, on the next. Ends once all
        of it has.
        """
        config = self._config
        left = config.trials - sum(map(config.is_proposed, self._store.records()))
        while True:
            if promotion := self._promotion():
                yield promotion
            elif left > 0:
                try:
                    proposal = self._sampler.ask()
                except SpaceExhaustedError as error:
                    self.notes.append(str(error))
                    left = 0
                    continue
                if proposal is None:
                    yield None
                    continue
                left -= 1
                yield self._proposed(proposal.spec, 0, proposal=proposal.number)
            elif self._running:
                yield None
            else:
                return

    def _proposed(self, spec: Arch, rung: int, *, proposal: int | None = None) -> Trial:
        """A trial of the search on a rung."""
        rungs, stage = self._config.rungs, self._config.first_stage
        if rung == len(rungs) - 1:
            stage = stage._replace(purpose="search")
        trial = Trial(
            number=next(self._numbers),
            arch=spec,
            seed=self._config.seed,
            **stage._asdict(),
            budget=rungs[rung],
            proposal=proposal,
            goes_on_from=rungs[rung - 1] if rung else None,
        )
        if self._rungs is not None:
            self._rungs.begin(spec, trial.budget)
        return trial

    @cached_property
    def _rungs(self) -> Rungs | None:
        """Who has reached which rung; None where nothing is halved."""
        config = self._config
        if not isinstance(config, SearchConfig) or config.scheduler is None:
            return None
        rungs = Rungs(config.scheduler, config.rungs)
        for record in self._store.records():
            if record.purpose in ("rung", "search"):
                rungs.end(record.spec, record.budget, self._values(record))
        return rungs

    def _values(self, record: TrialRecord) -> Values | None:
        """What a sampler is told of a trial."""
        return objective_values(record, self._config.costs, self._config.searched_by)

    def _promotion(self) -> Trial | None:
        """What goes on to a next rung."""
        if self._rungs is None or (found := self._rungs.next()) is None:
            return None
        return self._proposed(*found)

    def references(self, name: str, front: Sequence[ArchSummary]) -> list[Arch]:
        """A preset's allocation at the cost of each architecture; those close in cost share one.

        Where the space holds the allocation at that cost, to within 1%, it is taken from there.
        """
        metric = self._config.counted_cost

        def cost(spec: Arch) -> float:
            config, num_classes = self._config, self._resolved.num_classes
            return counted_cost(spec, metric, config.image_size, num_classes, config.latency)

        preset = get_arch(name)
        found: list[Arch] = []
        for row in front:
            target = float(getattr(row, metric))
            if any(abs(cost(near) - target) <= REFERENCE_GAP * target for near in found):
                continue
            inside = None
            if isinstance(preset, ArchSpec):
                inside = scaled_arch(self._space, preset, cost, target)
            found.append(inside or scale_to_cost(preset, cost, target))
        return list(dict.fromkeys(found))


class SupernetSearchTrials(SearchTrials[SupernetSearchConfig]):
    """What a search with a supernet does: what its sampler proposes is scored with the supernet's
    weights, and the best are trained alone before the references. In the end, if asked for, subnets
    spread over the cost range are scored and trained, to tell how far the former ranks as the
    latter.
    """

    def _all(self) -> Iterator[Trial | None]:
        config = self._config
        alone, steps = SEARCHED, config.recipe.trained_steps
        yield from self._proposals()
        best = best_inherited(
            self._store.records(), config.costs, config.retrain, config.searched_by
        )
        yield from self._not_done(best, [config.seed], alone, steps)
        yield from self._all_ended()
        yield from self._comparisons()
        yield from self._all_ended()
        if config.ranking_check:
            specs, note = spread_over_costs(self._space, config, config.ranking_check)
            self.notes += note
            seeds = ranking_seeds(config)
            inherited, trained = (
                Stage("ranking_check", evaluator) for evaluator in ("inherited", "trained")
            )
            yield from self._not_done(specs, seeds[:1], inherited, config.supernet.steps)
            yield from self._not_done(specs, seeds, trained, steps)


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


def ranking_seeds(config: SupernetSearchConfig) -> range:
    """Seeds that the subnets of a ranking check are trained alone with."""
    return range(config.seed, config.seed + config.ranking_seeds)


def consistency_scores(
    records: Iterable[TrialRecord], space: Space, config: SupernetSearchConfig
) -> ConsistencyScores:
    """Both kinds of score of the architectures that check the ranking of a supernet."""
    archs = calibration_archs(space, config, config.ranking_check)
    return gather_consistency(records, [spec.id for spec in archs], ranking_seeds(config))
