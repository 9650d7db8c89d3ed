"""Tables of long training: what proxies, supernets, samplers and claims are judged by.

A score had in minutes ranks architectures by how fast they learn. Whether it ranks them by how good
they become can only be told by training some of them long, several seeds each: such a table ships
for each data set, with every architecture's scores on the way. `analysis/truth_study.py` makes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hrvit_nas._files import declarations_dir
from hrvit_nas.arch import ArchSpec
from hrvit_nas.objectives import OBJECTIVES

from .estimates import Estimate
from .files import replacing
from .ranking import cross_tau, seed_tau
from .records import Column, Criterion

if TYPE_CHECKING:
    import pandas as pd

META_KEY = b"hrvit_nas.benchmark"
COLUMNS: dict[str, Column] = {
    "arch_id": Column("", "id of the architecture (12 hex digits)"),
    "arch": Column("", "architecture as canonical JSON"),
    "kind": Column(
        "",
        "spread: drawn evenly over the logarithm of multiply-adds; allocation: b1's, scaled;"
        " variation: b1's allocation with one gene changed",
    ),
    "seed": Column("", "seed of initialisation and data order"),
    "step": Column("count", "optimiser steps done, of the schedule's"),
    "miou": Column("fraction", "mean IoU on the validation split, after BN recalibration"),
    "cross_entropy": Column("nats", "mean cross entropy of the validation split's pixels"),
    "macs": Column(
        "multiply-adds/image", "multiply-adds that the model executes, as fvcore counts"
    ),
    "params": Column("count", "trainable parameters"),
    "seconds": Column("s", "wall time of training and evaluation up to here, one thread"),
}
"""Columns of a table, in order, with their units; one row an architecture, seed and step."""


class BenchmarkError(ValueError):
    """A table is not there or cannot be read; the message says which there are."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Benchmark:
    """A table of long training.

    Attributes:
        name: Of the data set.
        table: One row an architecture, seed and step, with the columns of `COLUMNS`.
        study: How it was made, as plain data: `description`, `recipe`, `data`, `image_size`,
            `num_classes`, and the machine that each part was made on.
    """

    name: str
    table: pd.DataFrame
    study: dict[str, Any]

    @property
    def steps(self) -> tuple[int, ...]:
        """Optimiser steps at which every architecture was scored, rising."""
        return tuple(sorted(int(step) for step in self.table["step"].unique()))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that any architecture was trained with."""
        return tuple(sorted(int(seed) for seed in self.table["seed"].unique()))

    @cached_property
    def arch_ids(self) -> tuple[str, ...]:
        """Architectures that were trained with every seed, in the order of the table."""
        seeds = self.table.groupby("arch_id", sort=False)["seed"].nunique()
        return tuple(seeds.index[seeds == len(self.seeds)])

    @cached_property
    def archs(self) -> tuple[ArchSpec, ...]:
        """Architectures of `arch_ids`."""
        texts = self.table.groupby("arch_id")["arch"].first()
        return tuple(ArchSpec.from_json(texts[arch_id]) for arch_id in self.arch_ids)

    @cached_property
    def macs(self) -> NDArray[np.float64]:
        """Multiply-adds of `arch_ids`, (num_architectures,)."""
        macs = self.table.groupby("arch_id")["macs"].first()
        return np.array([macs[arch_id] for arch_id in self.arch_ids], np.float64)

    def scores(self, criterion: Criterion = "miou", step: int | None = None) -> NDArray[np.float64]:
        """Scores of `arch_ids` by each of `seeds`, more being better.

        Args:
            criterion: `miou`, or `cross_entropy`, which is negated: scores that the table has.
            step: One of `steps`; by default the last.

        Returns:
            (num_architectures, num_seeds).

        Raises:
            BenchmarkError: There is no such step, or score.
        """
        if criterion not in self.table:
            raise BenchmarkError(f"the table {self.name!r} has no {criterion}")
        step = self.steps[-1] if step is None else step
        if step not in self.steps:
            raise BenchmarkError(
                f"the table {self.name!r} has scores after {', '.join(map(str, self.steps))} steps,"
                f" got {step}"
            )
        rows = self.table[self.table["step"] == step]
        wide = rows.pivot(index="arch_id", columns="seed", values=criterion)
        values: NDArray[np.float64] = OBJECTIVES[criterion].gain(1.0) * wide.loc[
            list(self.arch_ids), list(self.seeds)
        ].to_numpy(np.float64)
        return values

    def validity(self, criterion: Criterion, step: int) -> Estimate:
        """Kendall's tau of scores on the way with the mIoU at the end, each of another seed.

        Raises:
            BenchmarkError: There is no such step.
        """
        return cross_tau(self.scores(criterion, step), self.scores())

    @cached_property
    def ceiling(self) -> Estimate:
        """Kendall's tau between the mIoU of two seeds of long training: no proxy can do better."""
        return seed_tau(self.scores())


def list_benchmarks() -> tuple[str, ...]:
    """Names of the tables that ship with the package."""
    return tuple(sorted(path.stem for path in _folder().glob("*.parquet")))


def load_benchmark(name_or_path: str | Path) -> Benchmark:
    """Loads a table of long training.

    Args:
        name_or_path: `camvid` or `scenes`, or the path of a parquet file written by
            `write_benchmark`.

    Raises:
        BenchmarkError: There is none, or it cannot be read.
    """
    from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]

    path = Path(name_or_path)
    if path.suffix != ".parquet":
        path = _folder() / f"{name_or_path}.parquet"
    if not path.is_file():
        raise BenchmarkError(
            f"no benchmark {str(name_or_path)!r}; known: {', '.join(list_benchmarks())}"
        )
    try:
        arrow = parquet.read_table(path)
        study = json.loads((arrow.schema.metadata or {})[META_KEY])
        table: pd.DataFrame = arrow.to_pandas()
    except (ArrowException, OSError, LookupError, ValueError) as error:
        raise BenchmarkError(f"{path} is no table of long training: {error!r:.200}") from error
    if list(table.columns) != list(COLUMNS):
        raise BenchmarkError(
            f"{path} must have the columns {', '.join(COLUMNS)}; got {', '.join(table.columns)}"
        )
    return Benchmark(name=path.stem, table=table, study=study)


def write_benchmark(path: Path, table: pd.DataFrame, study: dict[str, Any]) -> None:
    """Writes a table and how it was made, whole or not at all; see `COLUMNS`."""
    import pyarrow as pa
    from pyarrow import parquet

    arrow = pa.Table.from_pandas(table[list(COLUMNS)], preserve_index=False)
    fields = [
        arrow.schema.field(name).with_metadata(
            {"unit": column.unit, "description": column.description}
        )
        for name, column in COLUMNS.items()
    ]
    metadata = {META_KEY: json.dumps(study, sort_keys=True)}
    with replacing(path) as temporary:
        parquet.write_table(
            arrow.cast(pa.schema(fields, metadata=metadata)), temporary, compression="zstd"
        )


def _folder() -> Path:
    return declarations_dir("experiments") / "benchmarks"
