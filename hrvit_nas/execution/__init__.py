"""How trials run: in this process, or on Ray, which only this package imports."""

import os

from .._names import ExecutorName
from .base import (
    ExecutionError,
    Executor,
    MakeWorker,
    Resources,
    Shared,
    TrialSource,
    Worker,
    WorkerError,
    merged_resources,
)
from .before import check_before

__all__ = [
    "ExecutionError",
    "Executor",
    "ExecutorName",
    "MakeWorker",
    "Resources",
    "Shared",
    "TrialSource",
    "Worker",
    "WorkerError",
    "check_before",
    "make_executor",
    "merged_resources",
]

# Ray reads these when it is loaded, which is after this, whichever module here loads it.
for _name, _value in {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # of what the store of a run has; it grows with the trials
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how soon a death is seen
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}.items():
    os.environ.setdefault(_name, _value)


def make_executor(resources: Resources) -> Executor:
    """The executor that the resources name; Ray and torch are loaded for it alone."""
    if resources.executor == "inline":
        from .inline import InlineExecutor

        return InlineExecutor(resources)
    from .ray_executor import RayExecutor

    return RayExecutor(resources)
