"""HRViT beside its baselines: parameters and multiply-adds of our own count, and as published."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from hrvit_nas.arch import get_arch
from hrvit_nas.cost import estimate_cost

from .ablation_costs import paper_macs
from .grid import Grid, GridColumn, named
from .published import published_results

NUM_CLASSES = 150
IMAGE_SIZE = (512, 512)
PUBLISHED: Mapping[str, tuple[float, float]] = {
    result.arch: (result.params, result.gmacs) for result in published_results("ade20k")
}
"""Millions of parameters and G multiply-adds of the ADE20K models at 512x512, as published."""
PAIRS = (
    ("hrvit_b1", "mit_b1"),
    ("hrvit_b2", "mit_b2"),
    ("hrvit_b3", "mit_b3"),
    ("hrvit_b3", "mit_b4"),
    ("hrvit_b1", "cswin_ti"),
    ("hrvit_b2", "cswin_t"),
    ("hrvit_b3", "cswin_s"),
)
"""Networks of about the same place in the published tables."""


def counts() -> dict[str, tuple[float, float]]:
    """Own counts, in the units and the convention of `PUBLISHED`."""
    found = {}
    for name in PUBLISHED:
        cost = estimate_cost(get_arch(name), IMAGE_SIZE, num_classes=NUM_CLASSES)
        found[name] = (cost.params / 1e6, paper_macs(cost) / 1e9)
    return found


def baselines_grid() -> Grid:
    """Every network's own counts beside the published ones, and by how much they differ."""
    rows = []
    for name, own in counts().items():
        cells = [name]
        for value, published in zip(own, PUBLISHED[name], strict=True):
            cells += [f"{value:.2f}", f"{published:g}", f"{value / published - 1:+.1%}"]
        rows.append(cells)
    return Grid(
        title=f"ADE20K models, {IMAGE_SIZE[0]}x{IMAGE_SIZE[1]}, {NUM_CLASSES} classes",
        columns=[
            GridColumn(name="network", align="left"),
            GridColumn(name="params", unit="M"),
            *(GridColumn(name=name) for name in ("published", "off", "GMACs", "published", "off")),
        ],
        rows=rows,
        notes=(
            "GMACs as published: as fvcore counts, with half of the attention products for HRViT"
            " and CSWin, with all of them for MiT",
        ),
    )


def savings_grid() -> Grid:
    """What each HRViT saves over a baseline, by our own counts and by the published ones."""
    own = counts()
    rows, savings = [], []
    for hrvit, baseline in PAIRS:
        saved = [1 - ours / theirs for ours, theirs in zip(own[hrvit], own[baseline], strict=True)]
        published = [
            1 - ours / theirs
            for ours, theirs in zip(PUBLISHED[hrvit], PUBLISHED[baseline], strict=True)
        ]
        savings.append(saved)
        rows.append(
            [f"{hrvit} over {baseline}"]
            + [f"{value:.0%}" for pair in zip(saved, published, strict=True) for value in pair]
        )
    means = [f"{fmean(column):.0%}" for column in zip(*savings, strict=True)]
    return Grid(
        title="saving of HRViT",
        columns=named("pair", "params", "published", "GMACs", "published"),
        rows=rows,
        notes=(
            f"mean of these pairs: {means[0]} of the parameters, {means[1]} of the multiply-adds;"
            " the 28% and 21% of the paper's abstract are means over pairs that it does not name",
        ),
    )
