"""The store of trials, provenance, frontier and statistics of a run. No torch, no ray."""

from .ablation import Ablation, AblationRow, ArmCost, ArmScores, Effect, ablate
from .allocation import Allocation, TraitDifference, branch_traits, compare_allocation
from .benchmark import Benchmark, BenchmarkError, list_benchmarks, load_benchmark
from .calibration import (
    Calibration,
    CalibrationError,
    Fidelity,
    ScoreTable,
    calibrate,
    calibrate_criteria,
    score_table,
)
from .consistency import (
    ConsistencyScores,
    RankingConsistency,
    gather_consistency,
    ranking_consistency,
)
from .estimates import Estimate
from .files import replacing, write_csv, write_text
from .frontier import (
    frontier_probability,
    hypervolume,
    hypervolume_curve,
    pareto_front,
)
from .importance import GeneImportance, Importance, gene_importance
from .intervals import (
    Interval,
    PairedDifference,
    format_interval,
    mean_interval,
    paired_difference,
)
from .provenance import provenance
from .records import (
    COST_COLUMNS,
    SCHEMA,
    SCHEMA_VERSION,
    Column,
    Criterion,
    Evaluator,
    HistoryPoint,
    Purpose,
    Stage,
    Trial,
    TrialKey,
    TrialRecord,
    TrialResult,
    seconds_spent,
)
from .rows import ArchSummary, CostName
from .score_noise import VarianceComponents
from .sealed import read_sealed, write_sealed
from .store import StoreError, TrialStore
from .summary import RunSummary
from .summing import Summing, summarise

__all__ = [
    "COST_COLUMNS",
    "SCHEMA",
    "SCHEMA_VERSION",
    "Ablation",
    "AblationRow",
    "Allocation",
    "ArchSummary",
    "ArmCost",
    "ArmScores",
    "Benchmark",
    "BenchmarkError",
    "Calibration",
    "CalibrationError",
    "Column",
    "ConsistencyScores",
    "CostName",
    "Criterion",
    "Effect",
    "Estimate",
    "Evaluator",
    "Fidelity",
    "GeneImportance",
    "HistoryPoint",
    "Importance",
    "Interval",
    "PairedDifference",
    "Purpose",
    "RankingConsistency",
    "RunSummary",
    "ScoreTable",
    "Stage",
    "StoreError",
    "Summing",
    "TraitDifference",
    "Trial",
    "TrialKey",
    "TrialRecord",
    "TrialResult",
    "TrialStore",
    "VarianceComponents",
    "ablate",
    "branch_traits",
    "calibrate",
    "calibrate_criteria",
    "compare_allocation",
    "format_interval",
    "frontier_probability",
    "gather_consistency",
    "gene_importance",
    "hypervolume",
    "hypervolume_curve",
    "list_benchmarks",
    "load_benchmark",
    "mean_interval",
    "paired_difference",
    "pareto_front",
    "provenance",
    "ranking_consistency",
    "read_sealed",
    "replacing",
    "score_table",
    "seconds_spent",
    "summarise",
    "write_csv",
    "write_sealed",
    "write_text",
]
