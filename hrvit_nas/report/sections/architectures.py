"""Architectures with all that is told of them: figures, drawing, cost by branch, specification."""

from __future__ import annotations

import math
from collections.abc import Iterable

from hrvit_nas.arch import Arch, ArchSpec
from hrvit_nas.cost import Cost, estimate_cost
from hrvit_nas.results import Ablation, ArchSummary, format_interval

from ..drawing import DrawingData, difference_data, drawing_data
from ..run import ReportedRun
from ..section import ReportedArch

MOST_DRAWINGS = 24
"""Architectures of a run that are drawn in a report; others are drawn when they are asked for."""


def search_archs(run: ReportedRun) -> list[ReportedArch]:
    """Frontier, references and what was confirmed beside them, by rising cost."""
    summary = run.summary
    rows = summary.shown
    first = [row.arch_id for row in rows if row.on_frontier][:MOST_DRAWINGS]
    drawn = {*first, *[row.arch_id for row in rows][: MOST_DRAWINGS - len(first)]}
    specs = run.specs(row.arch_id for row in rows)
    return [
        _reported(run, row.label, specs[row.arch_id], _cells(run, row), row.arch_id in drawn)
        for row in rows
        if row.arch_id in specs
    ]


def ablation_archs(
    run: ReportedRun, arms: Iterable[tuple[str, Arch]], found: Ablation
) -> list[ReportedArch]:
    """The arms of an ablation and their controls, in the order of its plan."""
    scores = {
        arm.arch_id: arm.mean
        for arm in (found.base, *(a for row in found.rows for a in (row.arm, row.control) if a))
    }
    heading = "mIoU % with inherited weights" if found.inherited else "mIoU %"
    archs = []
    for number, (name, spec) in enumerate(arms):
        mean = scores.get(spec.id)
        cells = {heading: "" if mean is None else format_interval(mean)}
        archs.append(_reported(run, name, spec, cells, number < MOST_DRAWINGS))
    return archs


def beside_reference(run: ReportedRun) -> tuple[DrawingData, ...]:
    """The reference, the best architecture and their difference; empty where there are no two."""
    frontier = [row for row in run.summary.frontier if not row.reference]
    if not frontier:
        return ()
    best = max(frontier, key=lambda row: row.interval.mean)
    cost = run.summary.costs[0]
    references = sorted(
        run.summary.references, key=lambda row: abs(row.cost(cost) - best.cost(cost))
    )
    specs = run.specs([best.arch_id, *(row.arch_id for row in references)])
    found = [row for row in references if isinstance(specs.get(row.arch_id), ArchSpec)]
    second = specs.get(best.arch_id)
    if not found or not isinstance(second, ArchSpec):
        return ()
    first = specs[found[0].arch_id]
    assert isinstance(first, ArchSpec)
    names = f"{found[0].label} at the run's scale", f"best architecture {best.arch_id}"
    size, classes = run.image_size, run.num_classes
    return (
        drawing_data(first, names[0], image_size=size, num_classes=classes),
        drawing_data(second, names[1], image_size=size, num_classes=classes),
        difference_data(
            first, second, (found[0].label, "best"), image_size=size, num_classes=classes
        ),
    )


def _cells(run: ReportedRun, row: ArchSummary) -> dict[str, str]:
    summary = run.summary
    roles = ["frontier"] * row.on_frontier + ["reference"] * row.reference or ["dominated"]
    cells = {"role": " and ".join(roles), "mIoU %": format_interval(row.interval)}
    if summary.confirmed:
        found = "" if row.search_miou is None else f"{100 * row.search_miou:.2f}"
        cells["in the search %"] = found
    if summary.inherited:
        cells["inherited %"] = (
            "" if row.inherited_miou is None else f"{100 * row.inherited_miou:.2f}"
        )
    if summary.probabilities:
        chance = summary.probabilities.get(row.arch_id, math.nan)
        cells["P(frontier)"] = "" if math.isnan(chance) else f"{chance:.2f}"
    for label in summary.reference_labels:
        compared = summary.against_reference(row, label)
        cells[f"less {label}, nearest in cost, points"] = (
            "" if compared is None else compared[1].describe()
        )
    if row.latency_ms is not None:
        cells["latency ms"] = f"{row.latency_ms:.3g}"
    cells["seeds"] = ", ".join(map(str, sorted(row.scores)))
    return cells


def _reported(
    run: ReportedRun, name: str, spec: Arch, scores: dict[str, str], drawn: bool
) -> ReportedArch:
    cost = estimate_cost(spec, run.image_size, num_classes=run.num_classes)
    drawing = None
    if drawn:
        drawing = drawing_data(
            spec, name or spec.id, image_size=run.image_size, num_classes=run.num_classes
        )
    return ReportedArch(
        arch_id=spec.id,
        cells={
            "architecture": f"{name} ({spec.id})" if name else spec.id,
            **scores,
            "GMACs": f"{cost.macs / 1e9:.4g}",
            "params M": f"{cost.params / 1e6:.3g}",
            "activations MiB": f"{cost.peak_activation_bytes / 2**20:.3g}",
        },
        gmacs=cost.macs / 1e9,
        params=cost.params / 1e6,
        spec=spec.to_json(),
        drawing=drawing,
        branches=_by_branch(cost),
    )


def _by_branch(cost: Cost) -> tuple[tuple[str, str, str, str], ...]:
    sums: dict[int, list[int]] = {}
    for entry in cost.entries:
        macs_and_params = sums.setdefault(entry.branch, [0, 0])
        macs_and_params[0] += entry.macs
        macs_and_params[1] += entry.params
    return tuple(
        (
            f"branch {branch}" if branch else "stem and head",
            f"{macs / 1e6:.4g}",
            f"{macs / cost.macs:.1%}",
            f"{params:,}",
        )
        for branch, (macs, params) in sorted(sums.items(), key=lambda item: item[0] or math.inf)
    )
