"""How good and how fast a trained network is: dataset-level mIoU, top-1, and latency."""

from .classification import ClassificationScores, evaluate_classifier
from .confusion import (
    Evaluation,
    class_accuracy,
    confusion_matrix,
    frequency_weighted_iou,
    iou_from_confusion,
    mean_iou,
    pixel_accuracy,
)
from .inference import evaluate, inference, mixed_precision, sliding_logits
from .inherited import InheritedScores, score_inherited
from .latency import Latency, compare_latencies, measure_latency
from .predictor import InferenceConfig, Predictor, evaluate_images, predict
from .tally import is_boundary

__all__ = [
    "ClassificationScores",
    "Evaluation",
    "InferenceConfig",
    "InheritedScores",
    "Latency",
    "Predictor",
    "class_accuracy",
    "compare_latencies",
    "confusion_matrix",
    "evaluate",
    "evaluate_classifier",
    "evaluate_images",
    "frequency_weighted_iou",
    "inference",
    "iou_from_confusion",
    "is_boundary",
    "mean_iou",
    "measure_latency",
    "mixed_precision",
    "pixel_accuracy",
    "predict",
    "score_inherited",
    "sliding_logits",
]
