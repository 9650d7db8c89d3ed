"""One trainer with two kinds of step, plain and sandwich: recipes, schedule, loss, checkpoints."""

from .batches import check_batches, check_maps
from .checkpoint import CheckpointError
from .losses import class_weights, segmentation_loss
from .optimizer import build_optimizer, learning_rate_factor, parameter_groups, set_learning_rate
from .plain import TrainResult, train
from .progress import (
    Check,
    PlainProgress,
    StepLoss,
    SupernetCheck,
    SupernetProgress,
    TrainingFailedError,
)
from .recipe import Recipe, SupernetRecipe, not_of_supernets
from .scoring import SubnetScorer, recalibration_batches
from .supernet import find_ends, load_supernet, read_progress, save_supernet, train_supernet
from .trained import Trained, is_trained, load_trained, save_trained

__all__ = [
    "Check",
    "CheckpointError",
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
    "train_supernet",
]
