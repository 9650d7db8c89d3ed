"""Tables and figures from the results of a run."""

from .calibration import (
    CALIBRATION_COLUMNS,
    calibration_table,
    calibration_verdict,
    criteria_table,
    write_calibration_csv,
)
from .figures import ReportError
from .pareto import ParetoData, ParetoPoint, draw_pareto, pareto_data
from .remedies import (
    RemedyRow,
    draw_remedies,
    mean_of_last,
    mean_of_seeds,
    remedies_markdown,
    remedy_rows,
)
from .strategies import (
    StrategyRun,
    draw_strategies,
    strategies_markdown,
    strategy_differences,
    strategy_run,
)
from .tables import FRONTIER_COLUMNS, frontier_table, write_frontier_csv
from .trust import (
    TRUST_COLUMNS,
    TrustData,
    TrustPoint,
    draw_trust,
    trust_data,
    trust_table,
    trust_verdict,
    write_trust_csv,
)

__all__ = [
    "CALIBRATION_COLUMNS",
    "FRONTIER_COLUMNS",
    "TRUST_COLUMNS",
    "ParetoData",
    "ParetoPoint",
    "RemedyRow",
    "ReportError",
    "StrategyRun",
    "TrustData",
    "TrustPoint",
    "calibration_table",
    "calibration_verdict",
    "criteria_table",
    "draw_pareto",
    "draw_remedies",
    "draw_strategies",
    "draw_trust",
    "frontier_table",
    "mean_of_last",
    "mean_of_seeds",
    "pareto_data",
    "remedies_markdown",
    "remedy_rows",
    "strategies_markdown",
    "strategy_differences",
    "strategy_run",
    "trust_data",
    "trust_table",
    "trust_verdict",
    "write_calibration_csv",
    "write_frontier_csv",
    "write_trust_csv",
]
