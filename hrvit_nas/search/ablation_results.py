"""What an ablation has found, and the latencies of its architectures."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from pathlib import Path

from .._messages import one_line
from ..arch import Arch, parse_arch
from ..cost import estimate_cost
from ..execution import Executor, WorkerError
from ..results import Ablation, ArmCost, Criterion, TrialRecord, ablate, read_sealed, write_sealed
from .ablation_config import AblationConfig
from .evaluators import time_architectures
from .layout import RunLayout

_log = logging.getLogger(__name__)


def found(
    directory: Path,
    config: AblationConfig,
    records: Iterable[TrialRecord],
    criterion: Criterion = "miou",
) -> Ablation:
    """What the trials of an ablation say, and its latencies where they were measured."""
    records = list(records)

    def cost(spec: Arch) -> ArmCost:
        estimate = estimate_cost(spec, config.image_size, num_classes=config.num_classes)
        return ArmCost(
            arch_id=spec.id,
            macs=estimate.macs,
            params=estimate.params,
            peak_activation_bytes=estimate.peak_activation_bytes,
        )

    base, *arms = config.arms
    changes = [
        (arm.name, cost(arm.spec), None if arm.control is None else cost(parse_arch(arm.control)))
        for arm in arms
    ]
    latencies = _read_latencies(RunLayout(directory).latency)
    return ablate(cost(base.spec), changes, records, criterion, latencies)


def _read_latencies(path: Path) -> dict[str, list[float]] | None:
    """Milliseconds by architecture and round; None where there are none, or they are damaged."""
    if not path.exists():
        return None
    try:
        rows = read_sealed(path)["ms"].items()
        times = {str(arch_id): [float(ms) for ms in row] for arch_id, row in rows}
        if not all(0 < ms < math.inf for row in times.values() for ms in row):
            raise ValueError("a latency must be above 0 ms")
        if len({len(row) for row in times.values()}) > 1:
            raise ValueError("every architecture must have as many latencies")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        _log.warning(
            "%s is damaged (%s); latencies are left out, and continuing the run measures them anew",
            path,
            one_line(str(error) or repr(error), 80),
        )
        return None
    return times


def measure_latencies(layout: RunLayout, config: AblationConfig, executor: Executor) -> list[str]:
    """Times every architecture by turns, unless that is done, with the machine's other cores at
    rest.

    Returns:
        Why they could not be measured: a reason to do without them, not to lose the rest.
    """
    if _read_latencies(layout.latency) is not None:
        return []
    specs = {spec.id: spec for _, spec in config.architectures()}
    shared = {
        "arches": [spec.to_json() for spec in specs.values()],
        "num_classes": config.num_classes,
        "image_size": list(config.image_size),
        "threads": config.resources.cpus_per_trial,
        "gpus": config.resources.gpus_per_trial,
    }
    try:
        times = executor.run_once(time_architectures, shared)
    except WorkerError as error:
        return [f"latencies could not be measured ({error}); resuming the run tries again"]
    write_sealed(layout.latency, {**shared, "ms": times})
    return []
