"""An architecture by its name: a preset, a file, or one of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._messages import one_line
from ..arch import PRESETS, Arch, ArchError, ArchSpec, get_arch, parse_arch
from ..results import TrialStore, summarise
from .config_parts import ConfigError
from .stored import read_config


def find_base(name: str) -> tuple[ArchSpec, bool]:
    """The architecture that an ablation changes; as `find_arch`.

    Returns:
        The architecture, and whether it is a preset, which a profile may bring to its scale.

    Raises:
        ConfigError: There is none, or it is no HRViT.
    """
    spec, preset = find_arch(name)
    if not isinstance(spec, ArchSpec):
        raise ConfigError(f"the base of an ablation must be an HRViT, got {name!r}")
    return spec, preset


def find_arch(name: str) -> tuple[Arch, bool]:
    """An architecture by preset, file or run.

    Args:
        name: A preset; a `.json` file with an architecture; a run directory, for the architecture
            of its frontier with the highest mean mIoU; or `RUN:ID`, for any of its architectures.

    Returns:
        The architecture, and whether it is a preset.

    Raises:
        ConfigError: There is none.
    """
    if name in PRESETS or not name or not ("/" in name or ":" in name or Path(name).exists()):
        try:
            return get_arch(name), True
        except ArchError as error:
            raise ConfigError(f"{error}; or a .json file, a run directory, or RUN:ID") from error
    if name.endswith(".json"):
        try:
            return parse_arch(Path(name).read_text(encoding="utf-8")), False
        except (OSError, ValueError, RecursionError) as error:
            words = one_line(str(error), 160)
            raise ConfigError(f"{name} holds no architecture: {words}") from error
    return _from_run(name), False


def _from_run(name: str) -> Arch:
    path, _, arch_id = name.partition(":")
    store = TrialStore(Path(path), arches=False)
    summary = summarise(store.records(), **_ranking_of(Path(path)))
    if arch_id:
        found = [row for row in summary.rows if row.arch_id == arch_id]
        if not found:
            raise ConfigError(f"{path} has no complete trial of an architecture {arch_id!r}")
    elif any(record.purpose == "ablation" for record in store.records()):
        raise ConfigError(f"{path} holds an ablation, which has no frontier; name an arm: RUN:ID")
    else:
        found = sorted(summary.frontier, key=lambda row: row.interval.mean)
        if not found:
            raise ConfigError(f"{path} has no frontier to take an architecture of")
    wanted = found[-1].arch_id
    return parse_arch(store.arch_texts([wanted])[wanted])


def _ranking_of(directory: Path) -> dict[str, Any]:
    """By what a run's frontier is drawn, as far as its configuration says."""
    try:
        return read_config(directory).ranking
    except ConfigError:
        return {}
