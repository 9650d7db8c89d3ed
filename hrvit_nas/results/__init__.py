"""The store of trials, provenance, frontier and statistics of a run. No torch, no ray."""

from .files import replacing
from .frontier import MIOU_AND_COST, hypervolume, pareto_front
from .intervals import (
    Interval,
    PairedDifference,
    format_interval,
    mean_interval,
    paired_difference,
)
from .provenance import provenance
from .records import SCHEMA, SCHEMA_VERSION, Column, HistoryPoint, TrialRecord
from .store import StoreError, TrialStore
from .summary import ArchSummary, CostName, RunSummary, summarise

__all__ = [
    "MIOU_AND_COST",
    "SCHEMA",
    "SCHEMA_VERSION",
    "ArchSummary",
    "Column",
    "CostName",
    "HistoryPoint",
    "Interval",
    "PairedDifference",
    "RunSummary",
    "StoreError",
    "TrialRecord",
    "TrialStore",
    "format_interval",
    "hypervolume",
    "mean_interval",
    "paired_difference",
    "pareto_front",
    "provenance",
    "replacing",
    "summarise",
]
