"""One training loop for every trial: recipes, schedule, loss, checkpoints."""

from .checkpoint import Check, CheckpointError
from .loop import TrainingFailedError, TrainResult, class_weights, segmentation_loss, train
from .optimizer import build_optimizer, learning_rate_factor, parameter_groups, set_learning_rate
from .recipe import Recipe

__all__ = [
    "Check",
    "CheckpointError",
    "Recipe",
    "TrainResult",
    "TrainingFailedError",
    "build_optimizer",
    "class_weights",
    "learning_rate_factor",
    "parameter_groups",
    "segmentation_loss",
    "set_learning_rate",
    "train",
]
