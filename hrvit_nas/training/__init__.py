"""One trainer with three kinds of step, plain, classification and sandwich, and its recipes."""

from .batches import check_batches, check_maps
from .checkpoint import CheckpointError
from .classification import ClassificationResult, train_classifier
from .losses import class_weights, segmentation_loss
from .mixing import check_partners
from .network import NetworkResult
from .optimizer import build_optimizer, learning_rate_factor, parameter_groups, set_learning_rate
from .plain import TrainResult, train
from .progress import (
    Check,
    ClassificationCheck,
    ClassificationProgress,
    NetworkCheck,
    PlainProgress,
    StepLoss,
    SupernetCheck,
    SupernetProgress,
    TrainingFailedError,
)
from .recipe import ClassificationRecipe, Recipe, SupernetRecipe, not_of_supernets
from .scoring import SubnetScorer, recalibration_batches
from .supernet import find_ends, load_supernet, read_progress, save_supernet, train_supernet
from .trained import Trained, is_trained, load_trained, save_trained

__all__ = [
    "Check",
    "CheckpointError",
    "ClassificationCheck",
    "ClassificationProgress",
    "ClassificationRecipe",
    "ClassificationResult",
    "NetworkCheck",
    "NetworkResult",
    "PlainProgress",
    "Recipe",
    "StepLoss",
    "SubnetScorer",
    "SupernetCheck",
    "SupernetProgress",
    "SupernetRecipe",
    "TrainResult",
    "Trained",
    "TrainingFailedError",
    "build_optimizer",
    "check_batches",
    "check_maps",
    "check_partners",
    "class_weights",
    "find_ends",
    "is_trained",
    "learning_rate_factor",
    "load_supernet",
    "load_trained",
    "not_of_supernets",
    "parameter_groups",
    "read_progress",
    "recalibration_batches",
    "save_supernet",
    "save_trained",
    "segmentation_loss",
    "set_learning_rate",
    "train",
    "train_classifier",
    "train_supernet",
]
