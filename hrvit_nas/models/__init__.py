"""Torch networks assembled from an `ArchSpec`, and checkpoints in the published format."""

from .build import (
    Classifier,
    Network,
    Segmentor,
    build_classifier,
    build_segmentor,
    tie_initialisation,
)
from .memory import keep_freed_memory
from .published import export_published_state, load_published_state

keep_freed_memory()

__all__ = [
    "Classifier",
    "Network",
    "Segmentor",
    "build_classifier",
    "build_segmentor",
    "export_published_state",
    "load_published_state",
    "tie_initialisation",
]
