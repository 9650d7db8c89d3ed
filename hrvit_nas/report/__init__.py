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
from .baselines import baselines_grid, savings_grid, upernet_grid
from .calibration import (
    CALIBRATION_COLUMNS,
    calibration_grid,
    calibration_records,
    calibration_verdict,
    criteria_grid,
)
from .consistency import (
    CONSISTENCY_COLUMNS,
    ConsistencyData,
    ConsistencyPoint,
    consistency_by_criterion,
    consistency_data,
    consistency_grid,
    consistency_records,
    consistency_verdict,
)
from .figures import ReportError
from .forest import ForestData, ForestRow, forest_data
from .grid import Grid, GridColumn
from .pareto import ParetoData, ParetoPanel, ParetoPoint, pareto_data
from .plots import draw_allocation, draw_consistency, draw_forest, draw_importance, draw_pareto
from .section import Chapter, Figure, Finding, Records, Section
from .tables import FRONTIER_COLUMNS, frontier_grid, frontier_records
from .verdict import search_verdict

__all__ = [
    "ABLATION_COLUMNS",
    "CALIBRATION_COLUMNS",
    "CONSISTENCY_COLUMNS",
    "COST_COLUMNS",
    "FRONTIER_COLUMNS",
    "ArmText",
    "Chapter",
    "ConsistencyData",
    "ConsistencyPoint",
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
    "ablation_grid",
    "ablation_records",
    "ablation_rows",
    "ablation_verdict",
    "baselines_grid",
    "calibration_grid",
    "calibration_records",
    "calibration_verdict",
    "consistency_by_criterion",
    "consistency_data",
    "consistency_grid",
    "consistency_records",
    "consistency_verdict",
    "cost_grid",
    "cost_records",
    "cost_rows",
    "criteria_grid",
    "draw_allocation",
    "draw_consistency",
    "draw_forest",
    "draw_importance",
    "draw_pareto",
    "forest_data",
    "frontier_grid",
    "frontier_records",
    "paper_macs",
    "pareto_data",
    "savings_grid",
    "search_verdict",
    "upernet_grid",
]
