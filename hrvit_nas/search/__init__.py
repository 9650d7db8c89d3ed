"""Searches: configuration, proposals, plan, and the life of a run."""
