"""How to come by what a finding says is missing, in options of the commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..report.section import Hint

HINTS: Mapping[Hint, str] = {
    "confirm": "--resume with --confirm N trains them with N further seeds",
    "calibrate": "--calibrate-proxy N makes one, and --calibration names it, also with --resume",
    "measure_validity": "--calibrate-proxy N --long-steps M measures it for training alone",
    "measure_long": "--long-steps N measures it",
    "measure_ranking": "--resume with --ranking-check N measures it",
    "shorter_schedule": "--steps {steps} would be another, shorter schedule",
    "random_search": "hrvit-search --sampler random makes one",
}
"""By what is missing; facts of the finding stand in braces."""
