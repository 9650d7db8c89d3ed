"""How a frontier spends its branches: what the figure shows, and what is decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hrvit_nas.results import Allocation, TraitDifference, compare_allocation
from hrvit_nas.results.allocation import TRAITS

from .figures import ReportError
from .run import ReportedRun
from .section import Finding


@dataclass(frozen=True, kw_only=True)
class AllocationPanel:
    """One trait.

    Attributes:
        trait: Its name.
        label: Label of the axis, with its unit.
        differences: By branch.
    """

    trait: str
    label: str
    differences: tuple[TraitDifference, ...]


@dataclass(frozen=True, kw_only=True)
class AllocationData:
    """Everything that the figure shows.

    Attributes:
        allocation: Frontier architectures beside the others.
        caption: Data, numbers of architectures and seeds, what the marks mean.
        findings: What is decided.
    """

    allocation: Allocation
    caption: str
    findings: tuple[Finding, ...]

    @property
    def panels(self) -> tuple[AllocationPanel, ...]:
        """A panel a trait that any difference is of."""
        found = self.allocation.differences
        return tuple(
            AllocationPanel(trait=trait, label=label, differences=mine)
            for trait, label in TRAITS.items()
            if (mine := tuple(item for item in found if item.trait == trait))
        )


def allocation_data(run: ReportedRun) -> AllocationData:
    """Compares the frontier with the other architectures that were searched.

    Raises:
        ReportError: There is no frontier, or nothing beside it.
    """
    frontier = {row.arch_id for row in run.summary.frontier}
    specs = run.sample
    mine = [spec for key, spec in specs.items() if key in frontier]
    rest = [spec for key, spec in specs.items() if key not in frontier]
    if not mine or not rest:
        raise ReportError(
            f"{run.directory}: an allocation compares a frontier with the other searched"
            f" architectures, got {len(mine)} on the frontier and {len(rest)} others"
        )
    found = compare_allocation(mine, rest)
    confirmed = run.summary.num_confirmed
    scores = f"frontier, {confirmed} of {len(mine)} architectures confirmed"
    return AllocationData(
        allocation=found,
        caption=f"{run.dataset}, {scores}; {found.num_others:,} other searched architectures"
        f"{run.of_how_many};"
        f" seeds {', '.join(map(str, run.seeds))}; intervals of the difference hold with"
        f" {found.confidence:.0%} for all {len(found.differences)} together",
        findings=tuple(_findings(found)),
    )


def _findings(found: Allocation) -> Iterator[Finding]:
    for verdict in ("higher", "lower"):
        mine = [item for item in found.differences if item.verdict == verdict]
        names = [f"{TRAITS[x.trait].partition(' (')[0]} of branch {x.branch}" for x in mine]
        if mine:
            yield Finding(
                name=verdict,
                text=f"the frontier has {verdict}: {', '.join(names)}",
                facts={"of": [(item.trait, item.branch) for item in mine]},
            )
    undecided = sum(item.verdict == "undecided" for item in found.differences)
    yield Finding(
        name="undecided",
        text=f"{undecided} of {len(found.differences)} differences are undecided",
        facts={"num_undecided": undecided, "num_differences": len(found.differences)},
    )
    yield Finding(
        name="not_at_equal_cost",
        text="a frontier spans all costs and was picked by noisy scores, so this is no comparison"
        " at equal cost",
    )
