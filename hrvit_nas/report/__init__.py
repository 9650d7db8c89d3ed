"""Tables and figures from the results of a run."""

from .calibration import (
    CALIBRATION_COLUMNS,
    calibration_table,
    calibration_verdict,
    write_calibration_csv,
)
from .pareto import ParetoData, ParetoPoint, ReportError, draw_pareto, pareto_data
from .tables import FRONTIER_COLUMNS, frontier_table, write_frontier_csv

__all__ = [
    "CALIBRATION_COLUMNS",
    "FRONTIER_COLUMNS",
    "ParetoData",
    "ParetoPoint",
    "ReportError",
    "calibration_table",
    "calibration_verdict",
    "draw_pareto",
    "frontier_table",
    "pareto_data",
    "write_calibration_csv",
    "write_frontier_csv",
]
