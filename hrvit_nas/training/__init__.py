"""One training loop for every trial: recipes, schedule, loss, checkpoints."""

from .checkpoint import Check, CheckpointError
from .loop import TrainingFailedError, TrainResult, class_weights, segmentation_loss, train
from .optimizer import build_optimizer, learning_rate_factor, parameter_groups, set_learning_rate
from .recipe import Recipe, SupernetRecipe
from .supernet import (
    MemberScorer,
    StepLoss,
    SupernetCheck,
    SupernetProgress,
    find_ends,
    load_supernet,
    read_progress,
    save_supernet,
    train_supernet,
)
from .trained import Trained, load_trained, save_trained

__all__ = [
    "Check",
    "CheckpointError",
    "MemberScorer",
    "Recipe",
    "StepLoss",
    "SupernetCheck",
    "SupernetProgress",
    "SupernetRecipe",
    "TrainResult",
    "Trained",
    "TrainingFailedError",
    "build_optimizer",
    "class_weights",
    "find_ends",
    "learning_rate_factor",
    "load_supernet",
    "load_trained",
    "parameter_groups",
    "read_progress",
    "save_supernet",
    "save_trained",
    "segmentation_loss",
    "set_learning_rate",
    "train",
    "train_supernet",
]
