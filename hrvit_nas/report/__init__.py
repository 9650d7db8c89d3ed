"""Tables and figures from the results of a run."""

from .pareto import ParetoData, ParetoPoint, ReportError, draw_pareto, pareto_data
from .tables import FRONTIER_COLUMNS, frontier_table, write_frontier_csv

__all__ = [
    "FRONTIER_COLUMNS",
    "ParetoData",
    "ParetoPoint",
    "ReportError",
    "draw_pareto",
    "frontier_table",
    "pareto_data",
    "write_frontier_csv",
]
