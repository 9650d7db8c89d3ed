"""Tables and figures from the results of a run."""

from .ablation import (
    ABLATION_COLUMNS,
    ablation_grid,
    ablation_rows,
    ablation_words,
    write_ablation_csv,
)
from .ablation_costs import (
    COST_COLUMNS,
    ArmText,
    cost_grid,
    cost_rows,
    paper_macs,
    write_cost_csv,
)
from .calibration import (
    CALIBRATION_COLUMNS,
    calibration_table,
    calibration_verdict,
    criteria_table,
    write_calibration_csv,
)
from .figures import ReportError
from .forest import ForestData, ForestRow, draw_forest, forest_data
from .grid import Grid
from .pareto import ParetoData, ParetoPanel, ParetoPoint, pareto_data
from .pareto_drawing import draw_pareto
from .rivals import rivals_grid, savings_grid
from .tables import FRONTIER_COLUMNS, frontier_table, write_frontier_csv
from .trust import (
    TRUST_COLUMNS,
    TrustData,
    TrustPoint,
    draw_trust,
    trust_by_criterion,
    trust_data,
    trust_table,
    trust_verdict,
    write_trust_csv,
)
from .verdict import search_verdict

__all__ = [
    "ABLATION_COLUMNS",
    "CALIBRATION_COLUMNS",
    "COST_COLUMNS",
    "FRONTIER_COLUMNS",
    "TRUST_COLUMNS",
    "ArmText",
    "ForestData",
    "ForestRow",
    "Grid",
    "ParetoData",
    "ParetoPanel",
    "ParetoPoint",
    "ReportError",
    "TrustData",
    "TrustPoint",
    "ablation_grid",
    "ablation_rows",
    "ablation_words",
    "calibration_table",
    "calibration_verdict",
    "cost_grid",
    "cost_rows",
    "criteria_table",
    "draw_forest",
    "draw_pareto",
    "draw_trust",
    "forest_data",
    "frontier_table",
    "paper_macs",
    "pareto_data",
    "rivals_grid",
    "savings_grid",
    "search_verdict",
    "trust_by_criterion",
    "trust_data",
    "trust_table",
    "trust_verdict",
    "write_ablation_csv",
    "write_calibration_csv",
    "write_cost_csv",
    "write_frontier_csv",
    "write_trust_csv",
]
