"""Trained networks of runs, with all that their run knows of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..data import DataConfig, describe
from ..models import Features, Network, from_pretrained
from ..models.pretrained import is_pretrained
from ..models.saving import WEIGHTS
from ..results import TrialStore
from ..results.store import StoreError
from ..training import load_trained
from .config_parts import ConfigError
from .layout import RunLayout
from .named_arch import find_arch
from .run_config import RunConfig
from .sittings import public_sittings
from .stored import read_config
from .training_config import TrainingLayout


def load_network(name: str) -> Network:
    """A trained network, in eval mode, on the CPU, with its description and provenance.

    Args:
        name: A folder that `save_pretrained` wrote; the directory of a training; a file of a run's
            `checkpoints/`; a run directory, for the best architecture of its frontier; or `RUN:ID`,
            for any of its architectures whose weights it keeps.

    Raises:
        ConfigError: There is none.
        ValueError: A file is damaged, or holds something else.
    """
    path = Path(name)
    if is_pretrained(of_training := TrainingLayout(path).model):
        path = of_training
    if path.is_file():
        if path.name == WEIGHTS:
            raise ConfigError(f"{path} lies in a network's folder; name the folder")
        return _from_checkpoint(path)
    if path.is_dir() and is_pretrained(path):
        model = from_pretrained(path)
        assert not isinstance(model, Features)
        return model
    run = Path(name.rpartition(":")[0]) if ":" in name and not path.is_dir() else path
    if not run.is_dir():
        raise ConfigError(
            f"no network at {name}: name a folder that save_pretrained wrote, a file of a run's"
            " checkpoints, a run directory, or RUN:ID"
        )
    return _from_checkpoint(_weights_of(run, name))


def _weights_of(run: Path, name: str) -> Path:
    """Weights of an architecture: those trained longest, and of these, of the first seed."""
    read_config(run)
    spec, _ = find_arch(name)
    layout = RunLayout(run)
    kept = [
        (-record.budget, record.seed, path)
        for record in TrialStore(run, arches=False).records()
        if record.arch_id == spec.id and record.evaluator == "trained"
        if record.state == "complete" and (path := layout.kept_weights(record.key)) is not None
    ]
    if not kept:
        raise ConfigError(
            f"{run} keeps no weights of {spec.id}; a run keeps those of its frontier and references"
            " alone"
        )
    return min(kept)[-1]


def _from_checkpoint(path: Path) -> Network:
    trained = load_trained(path)
    model, run = trained.model, path.absolute().parent.parent
    data: DataConfig | None = None
    provenance: dict[str, Any] = {"trial": {"seed": trained.seed}}
    if RunLayout(run).config.is_file():
        config: RunConfig = read_config(run)
        data = config.data
        size = [*config.image_size]
        provenance["data"] = {**data.without_root(), "classes": None, "image_size": size}
        provenance["recipe"] = config.recipe.model_dump(mode="json")
        provenance["trial"] |= _trial(run, path)
        provenance["sittings"] = public_sittings(RunLayout(run).provenance)
    model.description = describe(trained.class_names, data)
    model.provenance = provenance
    return model


def _trial(run: Path, path: Path) -> dict[str, Any]:
    """What came of the trial whose weights these are."""
    try:
        records = TrialStore(run, arches=False).records()
    except (StoreError, OSError):
        return {}  # weights are whole without a journal
    for record in records:
        if record.key.name == path.stem:
            fields = {"seed", "budget", "steps", "purpose", "miou", "seconds", "arch_id"}
            return record.model_dump(mode="json", include=fields)
    return {}
