"""Multiply-adds, parameters and peak activation bytes, in closed form. No torch."""

from .estimate import Cost, Entry, Task, estimate_auxiliary, estimate_cost
from .terms import Part

__all__ = ["Cost", "Entry", "Part", "Task", "estimate_auxiliary", "estimate_cost"]
