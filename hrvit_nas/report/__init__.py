"""Tables and figures from the results of a run."""

from .ablation import (
    ABLATION_COLUMNS,
    ablation_grid,
    ablation_records,
    ablation_rows,
    ablation_verdict,
)
from .ablation_costs import (
    COST_COLUMNS,
    ArmText,
    cost_grid,
    cost_records,
    cost_rows,
    paper_macs,
)
from .calibration import (
    CALIBRATION_COLUMNS,
    calibration_grid,
    calibration_records,
    calibration_verdict,
    criteria_grid,
)
from .figures import ReportError
from .forest import ForestData, ForestRow, forest_data
from .grid import Grid, GridColumn
from .pareto import ParetoData, ParetoPanel, ParetoPoint, pareto_data
from .plots import draw_allocation, draw_forest, draw_importance, draw_pareto, draw_trust
from .rivals import rivals_grid, savings_grid
from .section import Chapter, Figure, Finding, Records, Section
from .tables import FRONTIER_COLUMNS, frontier_grid, frontier_records
from .trust import (
    TRUST_COLUMNS,
    TrustData,
    TrustPoint,
    trust_by_criterion,
    trust_data,
    trust_grid,
    trust_records,
    trust_verdict,
)
from .verdict import search_verdict

__all__ = [
    "ABLATION_COLUMNS",
    "CALIBRATION_COLUMNS",
    "COST_COLUMNS",
    "FRONTIER_COLUMNS",
    "TRUST_COLUMNS",
    "ArmText",
    "Chapter",
    "Figure",
    "Finding",
    "ForestData",
    "ForestRow",
    "Grid",
    "GridColumn",
    "ParetoData",
    "ParetoPanel",
    "ParetoPoint",
    "Records",
    "ReportError",
    "Section",
    "TrustData",
    "TrustPoint",
    "ablation_grid",
    "ablation_records",
    "ablation_rows",
    "ablation_verdict",
    "calibration_grid",
    "calibration_records",
    "calibration_verdict",
    "cost_grid",
    "cost_records",
    "cost_rows",
    "criteria_grid",
    "draw_allocation",
    "draw_forest",
    "draw_importance",
    "draw_pareto",
    "draw_trust",
    "forest_data",
    "frontier_grid",
    "frontier_records",
    "paper_macs",
    "pareto_data",
    "rivals_grid",
    "savings_grid",
    "search_verdict",
    "trust_by_criterion",
    "trust_data",
    "trust_grid",
    "trust_records",
    "trust_verdict",
]
