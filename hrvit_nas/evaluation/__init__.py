"""How good and how fast a trained segmentor is: dataset-level mIoU, and latency."""

from .confusion import (
    Evaluation,
    confusion_matrix,
    frequency_weighted_iou,
    iou_from_confusion,
    mean_iou,
    pixel_accuracy,
)
from .inference import (
    evaluate,
    inference,
    is_boundary,
    mixed_precision,
    predict,
    sliding_logits,
)
from .inherited import InheritedScores, score_inherited
from .latency import Latency, compare_latencies, measure_latency

__all__ = [
    "Evaluation",
    "InheritedScores",
    "Latency",
    "compare_latencies",
    "confusion_matrix",
    "evaluate",
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
