"""Measuring the latency table of a space, so that an interrupted measurement goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal, TypeVar

from ..arch import ArchSpec
from ..cost.latency import LatencyError
from ..cost.timed_parts import TimedPart
from ..evaluation.latency_fit import fitted_model, heads_of, parts_of
from ..evaluation.part_latency import Timer
from ..results.latency_table import (
    Fit,
    LatencyTable,
    Timed,
    TimedNetwork,
    read_latency_table,
    write_latency_table,
)
from ..space import Space

T = TypeVar("T")
DRAWS = 2000
"""Random architectures whose parts are looked at."""
PARTS_AT_A_TIME = 64
"""Parts that are timed by turns, and then written."""
REDRAWN = 20
"""Draws for each network that is wanted, before a space is found to have too few."""

Purpose = Literal["calibration", "validation"]
Progress = Callable[[Literal["parts", "networks"], int, int], None]
"""Called with what is measured, how many parts, or turns of networks, are done, and how many are to
be."""


def measure_latency_table(
    path: Path,
    space: Space,
    timer: Timer,
    *,
    name: str,
    max_parts: int,
    num_calibration: int,
    num_validation: int,
    seed: int = 0,
    progress: Progress = lambda *_: None,
) -> LatencyTable:
    """Measures the parts that a space's architectures have, and some of these as a whole.

    Parts that the file holds already are not measured again, nor networks if it holds all of them.
    It is written after every few parts, and after the networks.

    Args:
        path: The file, with its folder there.
        space: Where architectures are drawn from.
        timer: How latencies are measured.
        name: Of the space, in words.
        max_parts: Parts to measure at most, heads aside: those that most architectures have. Others
            are estimated by their work.
        num_calibration: Architectures to measure as a whole to fit the model to.
        num_validation: Others to hold it to.
        seed: Of what is drawn.
        progress: What is told how far it is.

    Raises:
        LatencyError: The file is another's, the space has too few architectures, or a number is out
            of range.
        OSError: The file cannot be written.
    """
    table = _begun(path, timer, name)
    rng = Random(f"latency {seed}")
    drawn = [space.sample(rng) for _ in range(DRAWS)]
    wanted = parts_of(drawn, timer.image_size)[:max_parts] + heads_of(drawn, timer.image_size)
    rng.shuffle(wanted)  # or a slow moment would hit parts that stand together in a network
    chosen = _chosen(space, rng, num_calibration + num_validation)
    table = _with_parts(path, table, timer, wanted, progress)
    networks: list[tuple[ArchSpec, Purpose]] = [
        (spec, "calibration" if number < num_calibration else "validation")
        for number, spec in enumerate(chosen)
    ]
    rng.shuffle(networks)  # or a machine that gets slower would tell the two apart
    table = _with_networks(path, table, timer, networks, progress)
    model = fitted_model(table.conditions, table.parts_ms, table.of("calibration"))
    fit = Fit(estimators=model.estimators, calibration=model.calibration)
    table = table.model_copy(update={"fit": fit})
    write_latency_table(path, table)
    return table


def _begun(path: Path, timer: Timer, name: str) -> LatencyTable:
    """The table as it is in the file, or an empty one."""
    today = datetime.now(UTC).date().isoformat()
    if not path.exists():
        return LatencyTable(
            space=name, date=today, conditions=timer.conditions, warmup=timer.warmup
        )
    table = read_latency_table(path)
    other = timer.conditions.differing(table.conditions)
    if table.space != name:
        other = f"space {table.space}, not {name}"
    if other:
        raise LatencyError(f"{path} was measured with {other}; write to another file")
    return table.model_copy(update={"date": today})


def _chosen(space: Space, rng: Random, count: int) -> list[ArchSpec]:
    """Different random architectures."""
    found: dict[str, ArchSpec] = {}
    for _ in range(REDRAWN * count):
        if len(found) == count:
            break
        spec = space.sample(rng)
        found[spec.id] = spec
    if len(found) < count:
        raise LatencyError(
            f"the space has too few architectures to measure {count} as a whole; found {len(found)}"
        )
    return list(found.values())


def _with_parts(
    path: Path, table: LatencyTable, timer: Timer, wanted: list[TimedPart], progress: Progress
) -> LatencyTable:
    missing = [part for part in wanted if part.key not in table.parts]
    done = len(wanted) - len(missing)
    progress("parts", done, len(wanted))
    for batch in _batches(missing, PARTS_AT_A_TIME):
        timings = timer.time_parts(batch)
        new = {
            part.key: Timed(**asdict(timing)) for part, timing in zip(batch, timings, strict=True)
        }
        table = table.model_copy(update={"parts": table.parts | new})
        write_latency_table(path, table)
        done += len(batch)
        progress("parts", done, len(wanted))
    return table


def _with_networks(
    path: Path,
    table: LatencyTable,
    timer: Timer,
    wanted: list[tuple[ArchSpec, Purpose]],
    progress: Progress,
) -> LatencyTable:
    """All networks anew, unless the file holds them all.

    What is timed at another time is timed on a machine that is some percent slower or faster, and
    networks differ by little more.
    """
    known = {(row.arch, row.purpose) for row in table.networks}
    if known != {(spec.to_json(), purpose) for spec, purpose in wanted}:
        timings = timer.time_networks([spec for spec, _ in wanted], partial(progress, "networks"))
        timed = tuple(
            TimedNetwork(arch=spec.to_json(), purpose=purpose, **asdict(timing))
            for (spec, purpose), timing in zip(wanted, timings, strict=True)
        )
        table = table.model_copy(update={"networks": timed})
        write_latency_table(path, table)
    return table


def _batches(items: list[T], size: int) -> Iterable[list[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
