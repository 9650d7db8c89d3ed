"""Where the files of a run lie: the one place that knows their names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ..results import Trial, TrialKey


@dataclass(frozen=True)
class RunLayout:
    """The paths of one run directory.

    Attributes:
        directory: The run directory.
    """

    directory: Path

    def check_there(self) -> None:
        """Refuses a machine that does not see the run directory.

        Raises:
            NotADirectoryError: It is not there.
        """
        if not self.directory.is_dir():
            raise NotADirectoryError(
                f"run directory {self.directory} is not there; put it on shared storage"
            )

    @property
    def config(self) -> Path:
        """The configuration, as resolved."""
        return self.directory / "config.json"

    @property
    def provenance(self) -> Path:
        """A record of each sitting."""
        return self.directory / "provenance.json"

    @property
    def study(self) -> Path:
        """Optuna's study, unless it is stored elsewhere."""
        return self.directory / "study.db"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self.directory / "tensorboard"

    @property
    def training(self) -> Path:
        """States of trainings under way."""
        return self.directory / "training"

    @property
    def weights(self) -> Path:
        """Weights of what is worth keeping."""
        return self.directory / "checkpoints"

    def training_of(self, trial: Trial) -> Path:
        """The state of a trial's training."""
        return self.training / trial.file_name

    def paused(self, trial: Trial) -> Path | None:
        """The state of the training that a trial goes on with; None where it begins."""
        if trial.goes_on_from is None:
            return None
        return self.training_of(replace(trial, budget=trial.goes_on_from))

    def weights_of(self, trial: Trial) -> Path:
        """A trained trial's weights."""
        return self.weights / trial.file_name

    def kept_weights(self, key: TrialKey) -> Path | None:
        """The weights of a trial, whichever version wrote them; None where they are not kept.

        Before schema 6 their names did not say for how many steps; of long training they said so.
        """
        earlier = f"{key.arch_id}-s{key.seed}"
        names = (key.name, f"{earlier}-long", earlier)
        paths = (self.weights / f"{name}.pt" for name in names)
        return next((path for path in paths if path.is_file()), None)

    def all_weights(self) -> Iterator[tuple[str, Path]]:
        """Id of the architecture and file, of all weights that are there."""
        for path in self.weights.glob("*-s*.pt"):
            yield path.name.split("-s")[0], path

    @property
    def supernet(self) -> Path:
        """A trained supernet."""
        return self.directory / "supernet.pt"

    @property
    def supernet_curve(self) -> Path:
        """Its losses and scores, a row a step."""
        return self.directory / "supernet.csv"

    @property
    def supernet_training(self) -> Path:
        """The state of its training."""
        return self.training / "supernet.pt"

    @property
    def supernet_steps(self) -> Path:
        """A line a step, while it is trained."""
        return self.training / "supernet.jsonl"

    def of_seed(self, seed: int) -> RunLayout:
        """Where an ablation keeps the supernet of a seed."""
        return RunLayout(self.directory / f"seed-{seed}")

    @property
    def latency(self) -> Path:
        """Latencies of an ablation's architectures."""
        return self.directory / "latency.json"

    @property
    def declared_space(self) -> Path:
        """The space of an ablation's supernets, in runs of versions before it stood in `config`."""
        return self.directory / "space.yaml"


def set_aside(path: Path) -> Path:
    """Renames a damaged file, so that another can take its place: `NAME.damaged`."""
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    return aside


def remove_empty(*folders: Path) -> None:
    """Removes folders that are there and hold nothing."""
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            with suppress(OSError):  # such as that somebody stands in it
                folder.rmdir()
