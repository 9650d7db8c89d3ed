"""Torch networks assembled from an `ArchSpec`, and checkpoints in the published format."""

from .auxiliary import AuxiliaryHead, AuxiliarySegmentor
from .build import (
    Classifier,
    Network,
    Segmentor,
    build_classifier,
    build_segmentor,
    tie_initialisation,
)
from .memory import keep_freed_memory
from .published import export_published_state, load_published_state, read_published_state
from .recalibration import recalibrate
from .supernet import Supernet, build_supernet, extract

keep_freed_memory()

__all__ = [
    "AuxiliaryHead",
    "AuxiliarySegmentor",
    "Classifier",
    "Network",
    "Segmentor",
    "Supernet",
    "build_classifier",
    "build_segmentor",
    "build_supernet",
    "export_published_state",
    "extract",
    "load_published_state",
    "read_published_state",
    "recalibrate",
    "tie_initialisation",
]
