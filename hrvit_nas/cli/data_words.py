"""What a command says of the data set of a run before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..search.opened import Run


def described_data(run: Run[Any]) -> str:
    """How many images of which size, or that nothing is trained."""
    data, set_ = run.data, run.config.data
    height, width = run.config.image_size
    if set_.synthetic:
        return (
            f"data {data.name}: nothing is trained, and scores are of a synthetic objective with"
            f" noise {set_.noise:g}, {set_.delay_s:g} s a trial, failure rate"
            f" {set_.failure_rate:g}; costs at {height}x{width}, {data.num_classes} classes"
        )
    return (
        f"data {data.name}: {len(data.train)} training and {len(data.val)} validation images at"
        f" {height}x{width}, {data.num_classes} classes"
    )
