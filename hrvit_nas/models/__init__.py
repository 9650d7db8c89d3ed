"""Torch networks assembled from an `ArchSpec`, and checkpoints in the published format."""

from .auxiliary import AuxiliaryHead, AuxiliarySegmentor
from .build import (
    Classifier,
    Network,
    Segmentor,
    build_classifier,
    build_features,
    build_segmentor,
    tie_initialisation,
)
from .description import Description
from .features import FeatureInfo, Features
from .memory import keep_freed_memory
from .pretrained import PretrainedError, from_pretrained
from .published import export_published_state, load_published_state, read_published_state
from .recalibration import recalibrate
from .supernet import Supernet, build_supernet, extract

keep_freed_memory()

__all__ = [
    "AuxiliaryHead",
    "AuxiliarySegmentor",
    "Classifier",
    "Description",
    "FeatureInfo",
    "Features",
    "Network",
    "PretrainedError",
    "Segmentor",
    "Supernet",
    "build_classifier",
    "build_features",
    "build_segmentor",
    "build_supernet",
    "export_published_state",
    "extract",
    "from_pretrained",
    "load_published_state",
    "read_published_state",
    "recalibrate",
    "tie_initialisation",
]
