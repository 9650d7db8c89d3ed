"""Multiply-adds, parameters and peak activation bytes, in closed form. No torch."""

from .estimate import Cost, CostedTask, Entry, estimate_auxiliary, estimate_cost
from .terms import Part

__all__ = ["Cost", "CostedTask", "Entry", "Part", "estimate_auxiliary", "estimate_cost"]
