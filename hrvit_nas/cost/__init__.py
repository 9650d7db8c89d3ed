"""Multiply-adds, parameters and peak activation bytes, in closed form. No torch."""

from .estimate import Cost, Entry, Task, estimate_cost

__all__ = ["Cost", "Entry", "Task", "estimate_cost"]
