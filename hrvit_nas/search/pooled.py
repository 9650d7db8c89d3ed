"""Several finished or unfinished searches, looked at as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..arch import ArchSpec, parse_arch
from ..data import SegmentationData
from ..models import Segmentor
from ..results import (
    ArchSummary,
    CostName,
    RunSummary,
    TrialKey,
    TrialRecord,
    TrialStore,
    summarise,
)
from .config import AnySearch, SupernetSearchConfig
from .config_parts import ConfigError
from .layout import RunLayout
from .proxy_noise import training_conditions
from .stored import read_config
from .supernet import extract_subnet


@dataclass(frozen=True, kw_only=True)
class PooledRuns:
    """Searches whose scores can be compared: of the same data, trained by the same recipe.

    Attributes:
        directories: Run directories, in the order given.
        configs: Their configurations.
        records: Trials of all of them.
    """

    directories: tuple[Path, ...]
    configs: tuple[AnySearch, ...]
    records: tuple[TrialRecord, ...]

    @property
    def config(self) -> AnySearch:
        """Configuration of the first run."""
        return self.configs[0]

    def summary(self, *costs: CostName) -> RunSummary:
        """The architectures of all runs, and their common frontier.

        Args:
            costs: What to set the score against; none = what the first run minimised.
        """
        ranking = self.config.ranking
        return summarise(self.records, **ranking | {"costs": costs or ranking["costs"]})

    def weights(self, row: ArchSummary) -> Path:
        """The file of an architecture as trained with the lowest of the seeds that it is scored by.

        Raises:
            ConfigError: No run has kept its weights.
        """
        for seed in sorted(row.scores):
            for directory, config in zip(self.directories, self.configs, strict=True):
                for recipe in reversed(config.recipes):
                    key = TrialKey(row.arch_id, seed, "trained", recipe.trained_steps)
                    if (path := RunLayout(directory).kept_weights(key)) is not None:
                        return path
        raise ConfigError(
            f"no weights of {row.arch_id} in {', '.join(map(str, self.directories))}; a run keeps"
            " those of its frontier and references alone"
        )

    def extract(self, row: ArchSummary, data: SegmentationData) -> Segmentor | None:
        """An architecture with the weights of the first run's supernet that has it.

        Args:
            row: The architecture.
            data: The runs' data set, whose images its batch statistics are estimated from.

        Returns:
            A network of its own, in eval mode; None where no supernet has it.

        Raises:
            CheckpointError: The file of a supernet is corrupt, or does not fit its run.
        """
        spec = parse_arch(row.arch)
        for directory, config in zip(self.directories, self.configs, strict=True):
            layout = RunLayout(directory)
            if (
                isinstance(config, SupernetSearchConfig)
                and layout.supernet.is_file()
                and isinstance(spec, ArchSpec)
                and config.load_space().contains(spec)
            ):
                return extract_subnet(layout, config.supernet_plan(config.seed), data, spec)
        return None


def read_runs(directories: Sequence[str | Path]) -> PooledRuns:
    """Reads searches to be looked at as one; they may be going on.

    Args:
        directories: Run directories, one at least.

    Raises:
        ConfigError: There is none, one holds no search, or two differ in data or recipe, so that
            their scores cannot be compared.
        StoreError: The trials of one cannot be read.
    """
    paths = tuple(map(Path, directories))
    if not paths:
        raise ConfigError("name at least one run directory, got none")
    configs = tuple(read_config(path, AnySearch) for path in paths)
    for path, config in zip(paths, configs, strict=True):
        mine, first = (
            {**training_conditions(of), "recipe.long": of.long} for of in (config, configs[0])
        )
        for name in mine:
            if mine[name] != first[name]:
                raise ConfigError(
                    f"{path} and {paths[0]} differ in {name} ({mine[name]!r} and {first[name]!r}),"
                    " so their scores cannot be compared"
                )
    records = tuple(record for path in paths for record in TrialStore(path).records())
    return PooledRuns(directories=paths, configs=configs, records=records)
