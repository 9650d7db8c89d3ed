"""Replay of searches on tables of long training."""
