"""A run directory: the files that every kind of run keeps, and how trials are written to it."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from ..arch import Arch, PyramidSpec
from ..cost import estimate_cost
from ..data import DataConfig, SegmentationData
from ..execution import Resources
from ..models import build_segmentor
from ..results import Trial, TrialRecord, TrialResult, TrialStore, provenance, write_text
from ..training import Recipe
from .config import CONFIG_NAME, ConfigError
from .evaluators import TRAINING_DIR
from .tracking import Tracking

PROVENANCE_NAME = "provenance.json"
SUPERNET_NAME, CURVE_NAME, STEPS_NAME = "supernet.pt", "supernet.csv", "supernet.jsonl"
GROWING_SHARE = 0.02
"""Share of the run's time that each kind of work may take which grows with the trials done."""

T = TypeVar("T")


class TimeShare:
    """Keeps work that is done again and again within a share of the time.

    Args:
        share: Above 0.
    """

    def __init__(self, share: float = GROWING_SHARE) -> None:
        self._share = share
        self._due = -math.inf

    def do(self, work: Callable[[], T]) -> T | None:
        """Does the work, unless it took too much of the time lately; None if it was not done."""
        begun = time.monotonic()
        if begun < self._due:
            return None
        done = work()
        now = time.monotonic()
        self._due = now + (now - begun) / self._share
        return done


@dataclass(kw_only=True)
class RunFolder:
    """One run directory, open for writing.

    Attributes:
        directory: The run directory.
        data: The data set, loaded once to check it and to fill the node's copy.
        store: The trials.
        new: Whether this sitting made the run.
        resources_changed: Whether this sitting asks for other resources than those on record, which
            they replace once they are found to be there.
    """

    directory: Path
    data: SegmentationData
    store: TrialStore
    new: bool = False
    resources_changed: bool = False
    _table: TimeShare = field(default_factory=TimeShare, repr=False)
    _tracking: Tracking = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._tracking = Tracking(self.directory)

    def start_tracking(self, mlflow: str | None) -> None:
        """Opens MLflow, if there is a URI, and shows other tools the trials they have missed.

        Raises:
            ConfigError: MLflow is not installed, the URI does not answer, or the run is damaged.
        """
        # How the run began tells it from others, also once its directory has been moved.
        began = json.dumps(_sittings(self.directory)[:1]).encode()
        digest = hashlib.sha256(began).hexdigest()[:12]
        self._tracking.start(self.store.records(), mlflow, self.directory.resolve().name, digest)

    def keep(self, trial: Trial, result: TrialResult, image_size: tuple[int, int]) -> TrialRecord:
        """Writes what came of a trial; from then on it need not be done again."""
        record = self._record(trial, result, image_size)
        self.store.append(record)
        self._tracking.add(record)
        (self.directory / TRAINING_DIR / trial.file_name).unlink(missing_ok=True)
        self._table.do(self.store.write_parquet)
        return record

    def close(self) -> None:
        """Writes the table once more, lets others write, and sends what could not be sent."""
        if self.store.records():
            self.store.write_parquet()
        self.store.close()
        self._tracking.close()

    def check_journal(self) -> None:
        """Refuses a journal that lost trials which the table beside it has.

        Raises:
            ConfigError: It did.
        """
        store = self.store
        if (kept := store.rows_in_table()) > len(store.records()):
            raise ConfigError(
                f"{store.journal} holds {len(store.records())} trials, and the table beside it"
                f" {kept}; the journal has lost some: restore it, or start a new run"
            )

    def discard(self, *names: str) -> None:
        """Removes a run of which nothing came, and its directory if nothing else is in it."""
        self.store.close()
        self.store.journal.unlink()
        for name in (CONFIG_NAME, PROVENANCE_NAME, *names):
            (self.directory / name).unlink(missing_ok=True)
        remove_empty(self.directory / TRAINING_DIR)
        remove_empty(self.directory)

    def _record(
        self, trial: Trial, result: TrialResult, image_size: tuple[int, int]
    ) -> TrialRecord:
        cost = estimate_cost(trial.arch, image_size, num_classes=self.data.num_classes)
        return TrialRecord(
            **trial.identity,
            macs=cost.macs,
            published_macs=cost.published_macs,
            params=cost.params,
            peak_activation_bytes=cost.peak_activation_bytes,
            finished_at=datetime.now(UTC),
            **dict(result),
        )


def check_new(directory: Path, command: str) -> None:
    """Refuses a directory that holds a run, or anything else.

    Raises:
        ConfigError: It does.
    """
    if (directory / CONFIG_NAME).exists():
        raise ConfigError(
            f"{directory} holds a run already; continue it with {command} --resume {directory}"
        )
    if directory.is_dir() and any(directory.iterdir()):
        raise ConfigError(f"a run needs a new or empty directory, and {directory} holds files")


def check_buildable(specs: Iterable[Arch]) -> None:
    """Refuses architectures that this installation cannot build, before anything is trained.

    Raises:
        ConfigError: A package is missing.
    """
    for family in {spec.family: spec for spec in specs if isinstance(spec, PyramidSpec)}.values():
        try:
            build_segmentor(family, 1)
        except ImportError as error:
            raise ConfigError(str(error)) from error


def shared_by_trials(
    directory: Path,
    data: DataConfig,
    recipes: Iterable[Recipe],
    image_size: tuple[int, int],
    resources: Resources,
    *,
    with_latency: bool,
) -> dict[str, Any]:
    """What the configuration of every trial of a run holds besides itself; plain data."""
    return {
        "run_dir": str(directory.resolve()),
        "data": data.model_dump(mode="json"),
        "recipes": [recipe.model_dump(mode="json") for recipe in recipes],
        "image_size": list(image_size),
        "with_latency": with_latency,
        "threads": resources.cpus_per_trial,
        "gpus": resources.gpus_per_trial,
    }


def note_provenance(directory: Path, resources: Resources, seeds: Sequence[int]) -> None:
    """Adds this sitting to `provenance.json`; several machines may have run a resumed run."""
    sittings = _sittings(directory)
    device = "cuda" if resources.gpus_per_trial else "cpu"
    sittings.append({**provenance(device=device), "seeds": list(seeds)})
    write_json(directory / PROVENANCE_NAME, sittings)


def write_json(path: Path, content: object) -> None:
    """Writes plain data, replacing an older file in one step."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def _sittings(directory: Path) -> list[Any]:
    path = directory / PROVENANCE_NAME
    try:
        sittings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        if not isinstance(sittings, list):
            raise ValueError(f"it must hold a list, not a {type(sittings).__name__}")
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    return sittings


def remove_empty(folder: Path) -> None:
    """Removes a folder, if it is there and nothing is in it."""
    if folder.is_dir() and not any(folder.iterdir()):
        with suppress(OSError):  # such as that somebody stands in it
            folder.rmdir()
