"""What a training needs to go on as if it had never stopped, in one file, whatever its kind.

A file holds `format` and what `packing.pack` makes of a dictionary of tensors and plain data:

- `kind` (`plain`, `classification` or `sandwich`), `run` (what must be equal to go on from it)
- `model`, `optimizer`, `average` (where weights are averaged): state dictionaries
- `progress`: losses, checks, returns and seconds
- `guard`: earlier states that a training which collapses returns to (sandwich)
- `space`: what the subnets of a trained supernet are drawn from; such a file has no optimiser
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sized
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import torch

from .._messages import shown
from ..models.states import DamagedFileError, read_tensors
from .packing import pack, unpack
from .recipe import RENAMED, Recipe

FORMAT = "hrvit_nas.training/4"


class CheckpointError(ValueError):
    """A checkpoint cannot be read or belongs to another run; the message names the file."""


class TrainingData(Protocol):
    """What is trained on, as far as a checkpoint knows it."""

    @property
    def name(self) -> str:
        """Which data set it is."""

    @property
    def num_classes(self) -> int:
        """Number of classes."""

    @property
    def train(self) -> Sized:
        """The training images."""


def run_identity(data: TrainingData, recipe: Recipe, seed: int) -> dict[str, Any]:
    """What a run must share with a checkpoint to go on from it: all that its next step depends on.

    Where it stops on the way through its schedule, and when it is scored, may differ.
    """
    apart = {"criterion", "num_workers", "stop_after", "evaluations", "gradient_checkpointing"}
    fields = recipe.model_dump(mode="json", exclude=apart)
    return {
        "seed": seed,
        "data": f"{data.name}, {len(data.train)} training images, {data.num_classes} classes",
        **{f"recipe.{name}": value for name, value in fields.items()},
    }


def write_checkpoint(path: Path, kind: str, state: dict[str, Any]) -> None:
    """Writes the state of a training of some kind, in today's format; see `write_state`."""
    write_state(path, {"format": FORMAT, **pack({"kind": kind, **state})})


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Writes tensors and plain data whole or not at all; the folder is made where missing.

    Raises:
        OSError: The disk is full, or refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # Given a path or a file, torch says RuntimeError where the disk is full.
        content = BytesIO()
        torch.save(state, content)
        temporary.write_bytes(content.getbuffer())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def read_checkpoint(path: Path, kind: str, run: dict[str, Any] | None = None) -> dict[str, Any]:
    """Reads what `write_checkpoint` wrote, or a version before it, and checks what it is.

    Args:
        path: The file.
        kind: The kind of training that it must be of.
        run: What its `run` must be, as plain data; None = anything.

    Raises:
        CheckpointError: The file is corrupt, of another format or kind, or of another run (each
            difference is named).
    """
    try:
        state = read_tensors(path)
    except DamagedFileError as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read ({error}); delete it to start afresh"
        ) from error
    written = state.get("format") if isinstance(state, dict) else None
    if written != FORMAT and written not in EARLIER:
        raise CheckpointError(f"checkpoint {path} is not a checkpoint of format {FORMAT!r}")
    try:
        state = unpack(state) if written == FORMAT else EARLIER[written](state)
        found = state["kind"]
        theirs = dict(state.get("run", {}))
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"checkpoint {path} is damaged; delete it to start afresh") from error
    if found != kind:
        raise CheckpointError(
            f"checkpoint {path} is of another run: its training is {found} there, {kind} here"
        )
    _check_run(path, theirs, run or {})
    return state


def _check_run(path: Path, theirs: dict[str, Any], run: dict[str, Any]) -> None:
    # A version that did not know a field of recipes trained as its default does.
    defaults = Recipe().model_dump(mode="json")
    theirs = {**{f"recipe.{name}": value for name, value in defaults.items()}, **theirs}
    if differing := [key for key in run if theirs.get(key) != run[key]]:
        differences = "; ".join(
            f"{key} is {shown(theirs.get(key))} there, {shown(run[key])} here" for key in differing
        )
        raise CheckpointError(f"checkpoint {path} is of another run: {differences}")


def _from_training_3(state: dict[str, Any]) -> dict[str, Any]:
    if "run" not in state:  # a trained supernet
        return state
    names = {f"supernet.{old}": f"supernet.{new}" for old, new in RENAMED.items()}
    return {**state, "run": {names.get(key, key): item for key, item in state["run"].items()}}


def _from_training_2(state: dict[str, Any]) -> dict[str, Any]:
    progress = {name: state.pop(name) for name in ("losses", "checks", "seconds")}
    return {**state, "kind": "plain", "progress": {**progress, "returns": []}}


def _from_supernet_1(state: dict[str, Any]) -> dict[str, Any]:
    losses = torch.tensor(state["progress"]["losses"], dtype=torch.float64)
    state = {**state, "kind": "sandwich", "progress": {**state["progress"], "losses": losses}}
    return _from_training_3(state)


EARLIER: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "hrvit_nas.training/3": _from_training_3,
    "hrvit_nas.training/2": _from_training_2,
    "hrvit_nas.supernet/1": _from_supernet_1,
}
"""Formats of versions before, each with what makes it today's."""
