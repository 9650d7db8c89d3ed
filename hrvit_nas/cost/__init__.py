"""Closed-form cost of an architecture: multiply-adds, parameters, peak activation bytes. No torch."""

from .estimate import Cost, Entry, Task, estimate_cost

__all__ = ["Cost", "Entry", "Task", "estimate_cost"]
