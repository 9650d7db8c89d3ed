"""What may vary: genes, conditions, constraints, limits; counting, sampling, variation."""

from .declaration import list_spaces, load_space
from .edits import Edits, apply_edits, edited_fields
from .genes import Constraint, Forbid, Gene, Nondecreasing, SpaceError, Value
from .limits import METRICS, Limit
from .narrowing import Narrowing
from .space import Space

__all__ = [
    "METRICS",
    "Constraint",
    "Edits",
    "Forbid",
    "Gene",
    "Limit",
    "Narrowing",
    "Nondecreasing",
    "Space",
    "SpaceError",
    "Value",
    "apply_edits",
    "edited_fields",
    "list_spaces",
    "load_space",
]
