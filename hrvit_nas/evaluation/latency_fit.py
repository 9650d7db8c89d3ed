"""What a latency model is fitted to: measured parts and measured networks.

All fits are by non-negative least squares of relative errors: no work has a negative price, and an
architecture with a block more is never predicted to be faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy  # whose parts load when they are first used
from numpy.typing import NDArray

from ..arch import ArchSpec
from ..cost.latency import Calibration, Conditions, Estimator, LatencyModel
from ..cost.timed_parts import NUM_FEATURES, PART_KINDS, TimedPart, features_of, timed_parts

LEAST_PARTS = 2 * NUM_FEATURES
"""Parts from which the price of each kind of work is told for a make of its own."""
LEAST_NETWORKS = len(PART_KINDS) + 1
"""Networks from which a slope for each kind of part is told."""
SPREAD = 0.3
"""How far slopes of kinds are expected to lie from the common one, as a share of it. Kinds that a
space hardly varies could otherwise take any slope, the more so the noisier the measurements."""

Floats = NDArray[np.float64]


def fitted_model(
    conditions: Conditions,
    parts_ms: Mapping[str, float],
    networks: Sequence[tuple[ArchSpec, float]],
) -> LatencyModel:
    """A model of what was measured.

    Args:
        conditions: Of the measurements.
        parts_ms: Milliseconds of parts, by their keys.
        networks: Architectures, and milliseconds of each as a whole.

    Raises:
        ValueError: There are too few networks, or they have a kind of part of which none was
            measured.
    """
    if len(networks) < LEAST_NETWORKS:
        raise ValueError(
            f"a latency table must be calibrated with at least {LEAST_NETWORKS} networks, got"
            f" {len(networks)}"
        )
    estimators = fitted_estimators(conditions, parts_ms)
    alone = LatencyModel(
        conditions=conditions,
        parts_ms=parts_ms,
        estimators=estimators,
        calibration=Calibration(
            intercept_ms=0, slopes=dict.fromkeys(PART_KINDS, 1.0), num_networks=len(networks)
        ),
    )
    sums = np.array([list(alone.predict(spec).by_kind.values()) for spec, _ in networks])
    measured = np.array([ms for _, ms in networks])
    intercept, slopes = _calibrated(sums, measured)
    calibration = Calibration(
        intercept_ms=intercept,
        slopes=dict(zip(PART_KINDS, slopes, strict=True)),
        num_networks=len(networks),
    )
    return alone.model_copy(update={"calibration": calibration})


def fitted_estimators(
    conditions: Conditions, parts_ms: Mapping[str, float]
) -> tuple[Estimator, ...]:
    """What parts that were not measured are estimated by, the most like them first."""
    groups: dict[tuple[object, ...], list[tuple[TimedPart, float]]] = {}
    for key, ms in parts_ms.items():
        part = TimedPart.parse(key)
        for group in (
            (0, part.kind, part.branches, part.make),
            (1, part.kind, None, part.make),
            (2, part.kind, None, None),
        ):
            groups.setdefault(group, []).append((part, ms))
    found = []
    for (level, kind, branches, make), members in sorted(groups.items(), key=lambda g: g[0][0]):  # type: ignore[arg-type, return-value]
        if len(members) < LEAST_PARTS and level != 2:
            continue
        features = [
            features_of(part, conditions.image_size, conditions.num_classes) for part, _ in members
        ]
        times = np.array([ms for _, ms in members])
        coefficients = _non_negative(np.array(features) / times[:, None], np.ones(len(times)))
        found.append(
            Estimator(
                kind=kind,  # type: ignore[arg-type]
                branches=branches,  # type: ignore[arg-type]
                make=make,  # type: ignore[arg-type]
                coefficients_ms=tuple(coefficients),
                num_parts=len(members),
            )
        )
    return tuple(found)


def _calibrated(sums: Floats, measured: Floats) -> tuple[float, list[float]]:
    """Intercept and slope of each kind, given sums (num_networks, num_kinds)."""
    ones = np.ones(len(measured))
    rows = np.hstack([ones[:, None], sums]) / measured[:, None]
    total = np.stack([rows[:, 0], rows[:, 1:].sum(1)], 1)
    intercept, common = _non_negative(total, ones)
    error = total @ [intercept, common] - 1
    # Ridge regression towards the common slope: the weight is the variance of what is fitted over
    # that of what slopes are expected to be.
    weight = np.sqrt((error**2).mean()) / SPREAD
    num_kinds = sums.shape[1]
    pull = np.hstack([np.zeros((num_kinds, 1)), np.eye(num_kinds) * weight / (common or 1)])
    wanted = np.concatenate([ones, np.full(num_kinds, weight * bool(common))])
    intercept, *slopes = _non_negative(np.vstack([rows, pull]), wanted)
    return intercept, slopes


def _non_negative(rows: Floats, wanted: Floats) -> list[float]:
    """The least-squares solution without negative numbers."""
    scale = np.linalg.norm(rows, axis=0)
    scale[scale == 0] = 1  # columns of nothing
    solution, _ = scipy.optimize.nnls(rows / scale, wanted)
    return [float(value) for value in solution / scale]


def parts_of(specs: Sequence[ArchSpec], image_size: tuple[int, int]) -> list[TimedPart]:
    """The parts of architectures, those that most of them have first; heads not among them.

    The first of each kind come before all others, so that no kind is left out of the first few.

    Heads differ in all their widths at once, so that a space has as many as architectures:
    `heads_of` chooses some.
    """
    counts: dict[TimedPart, int] = {}
    for spec in specs:
        for part in timed_parts(spec, image_size):
            if part.kind != "head":
                counts[part] = counts.get(part, 0) + 1
    found = sorted(counts, key=lambda part: (-counts[part], part.key))
    first = {part.kind: part for part in reversed(found)}.values()
    return list(dict.fromkeys([*first, *found]))


def heads_of(specs: Sequence[ArchSpec], image_size: tuple[int, int]) -> list[TimedPart]:
    """Heads whose times tell those of all others of their kind and width.

    For each kind and width: with the least widths of the maps, with the greatest, and with each map
    in turn at its greatest.
    """
    seen: dict[tuple[object, ...], list[TimedPart]] = {}
    for spec in specs:
        part = next(part for part in timed_parts(spec, image_size) if part.kind == "head")
        seen.setdefault((part.settings, part.branches, part.widths[-1]), []).append(part)
    found: list[TimedPart] = []
    for heads in seen.values():
        maps = list(zip(*(part.widths[:-1] for part in heads), strict=True))
        least, greatest = [min(widths) for widths in maps], [max(widths) for widths in maps]
        corners = [least, greatest]
        corners += [[*least[:b], greatest[b], *least[b + 1 :]] for b in range(len(least))]
        last = heads[0].widths[-1:]
        found += [heads[0]._replace(widths=(*corner, *last)) for corner in corners]
    return list(dict.fromkeys(found))
