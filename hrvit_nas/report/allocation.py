"""How a frontier spends its branches: what the figure shows, and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hrvit_nas.results import Allocation, TraitDifference, compare_allocation
from hrvit_nas.results.allocation import TRAITS

from .figures import BLUE, FAINT, GREY, INK, ReportError, save_figure
from .run import ReportedRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class AllocationData:
    """Everything that the figure shows.

    Attributes:
        allocation: Frontier members beside the others.
        caption: Data, numbers of architectures and seeds, what the marks mean.
        words: What is decided, in sentences.
    """

    allocation: Allocation
    caption: str
    words: tuple[str, ...]

    def of(self, trait: str) -> list[TraitDifference]:
        """Differences of one trait, by branch."""
        return [found for found in self.allocation.differences if found.trait == trait]


def allocation_data(run: ReportedRun) -> AllocationData:
    """Compares the frontier's members with the other architectures that were searched.

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
            f" architectures, got {len(mine)} members and {len(rest)} others"
        )
    found = compare_allocation(mine, rest)
    confirmed = run.summary.num_confirmed
    scores = f"frontier, {confirmed} of {len(mine)} members confirmed"
    return AllocationData(
        allocation=found,
        caption=f"{run.dataset}, {scores}; {found.num_others:,} other searched architectures"
        f"{run.of_how_many};"
        f" seeds {', '.join(map(str, run.seeds))}; intervals of the difference hold with"
        f" {found.confidence:.0%} for all {len(found.differences)} together",
        words=_words(found),
    )


def draw_allocation(data: AllocationData, path: str | Path) -> None:
    """Draws a panel a trait, for one column of a paper.

    Args:
        data: From `allocation_data`.
        path: File to write, replaced in one step; its suffix is .png (300 dpi), .pdf or .svg.

    Raises:
        ReportError: The suffix is none of these.
        OSError: The file cannot be written.
    """
    traits = [trait for trait in TRAITS if data.of(trait)]
    size = (3.5, 0.6 + 0.95 * max(1, len(traits)))
    save_figure(lambda figure: _draw(figure, data, traits), path, size)


def _words(found: Allocation) -> tuple[str, ...]:
    words = []
    for verdict in ("higher", "lower"):
        mine = [
            f"{TRAITS[item.trait].partition(' (')[0]} of branch {item.branch}"
            for item in found.differences
            if item.verdict == verdict
        ]
        if mine:
            words.append(f"the frontier has {verdict}: {', '.join(mine)}")
    undecided = sum(item.verdict == "undecided" for item in found.differences)
    words.append(f"{undecided} of {len(found.differences)} differences are undecided")
    words.append(
        "a frontier spans all costs and was picked by noisy scores, so this is no comparison at"
        " equal cost"
    )
    return tuple(words)


def _draw(figure: Figure, data: AllocationData, traits: list[str]) -> None:
    panels = figure.subplots(max(1, len(traits)), 1, squeeze=False)[:, 0]
    for axes, trait in zip(panels, traits, strict=False):
        _draw_trait(axes, trait, data.of(trait))
    if not traits:
        panels[0].set_axis_off()
    else:
        panels[-1].set_xlabel("branch (1 is the finest)", fontsize=7, color=INK)
        panels[0].legend(fontsize=6, frameon=False, loc="upper left", ncols=2)
    head, _, tail = data.caption.partition("; intervals")
    lines = f"{head}\nstars: decided; intervals{tail}"
    figure.suptitle(lines, x=0.01, ha="left", fontsize=5.4, color=GREY)


def _draw_trait(axes: Axes, trait: str, rows: list[TraitDifference]) -> None:
    for item in rows:
        known = item.difference.known
        half = (item.difference.high - item.difference.low) / 2 if known else 0.0
        axes.bar(
            item.branch - 0.19,
            item.frontier_mean,
            width=0.34,
            color=BLUE,
            yerr=half or None,
            ecolor=INK,
            capsize=2,
            error_kw={"linewidth": 0.8},
            label="frontier" if item is rows[0] else None,
        )
        axes.bar(
            item.branch + 0.19,
            item.other_mean,
            width=0.34,
            color=FAINT,
            hatch="///",
            edgecolor="white",
            label="others" if item is rows[0] else None,
        )
        if item.verdict != "undecided":
            top = max(item.frontier_mean + half, item.other_mean)
            axes.text(item.branch, top, "*", ha="center", va="bottom", fontsize=9, color=INK)
    branches = sorted({item.branch for item in rows})
    axes.set_xticks(branches, [str(branch) for branch in branches], fontsize=6.5)
    axes.set_ylabel(TRAITS[trait].replace(" (", "\n("), fontsize=6.5, color=INK)
    axes.margins(y=0.25)
    axes.tick_params(axis="y", labelsize=6.5, color=GREY, labelcolor=INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)
