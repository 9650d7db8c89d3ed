"""Searches: configuration, proposals, plan, and trials on Ray (imported only when a run starts)."""
