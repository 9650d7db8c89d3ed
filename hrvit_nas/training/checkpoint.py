"""What a run needs to go on as if it had never stopped, in one file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from ..evaluation import Evaluation
from .recipe import Recipe

FORMAT = "hrvit_nas.training/2"


class CheckpointError(ValueError):
    """A checkpoint cannot be read or belongs to another run; the message names the file."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """Scores of a model on its way.

    Attributes:
        step: Optimiser steps done.
        evaluation: Scores of the weights themselves.
        averaged: Scores of their moving average; None without averaging.
        seconds: Wall-clock time of training and evaluation up to here, over all sittings.
    """

    step: int
    evaluation: Evaluation
    averaged: Evaluation | None
    seconds: float


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        seconds: Wall-clock time of training and evaluation, over all sittings.
        losses: Training loss of every step done.
        checks: Scores on the way, in order.
    """

    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: Optimizer,
    progress: Progress,
    run: dict[str, Any],
    average: nn.Module | None = None,
) -> None:
    """Writes a checkpoint whole or not at all.

    Args:
        path: The file; its folder is made where missing.
        model: Whose weights and buffers are kept.
        optimizer: Whose state is kept.
        progress: Losses, evaluations and time so far.
        run: What must be equal for a run to resume from this file, as plain data.
        average: The moving average of the weights, where there is one.
    """
    state = {
        "format": FORMAT,
        "run": run,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "seconds": progress.seconds,
        "losses": torch.tensor(progress.losses, dtype=torch.float64),
        "average": average and average.state_dict(),
        "checks": [
            (c.step, _packed(c.evaluation), c.averaged and _packed(c.averaged), c.seconds)
            for c in progress.checks
        ],
    }
    write_state(path, state)


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Writes tensors and plain data whole or not at all; the folder is made where missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        torch.save(state, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_state(path: Path, file_format: str, run: dict[str, Any] | None) -> dict[str, Any]:
    """Reads what `write_state` wrote, and checks what it is.

    Args:
        path: The file.
        file_format: What its `format` must be.
        run: What its `run` must be, as plain data; None = anything.

    Raises:
        CheckpointError: The file is corrupt, of another format, or of another run (each
            difference is named).
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file fails in many ways inside torch and zipfile
        reason = shorten(str(error) or repr(error), 200)
        raise CheckpointError(
            f"checkpoint {path} cannot be read ({reason}); delete it to start afresh"
        ) from error
    if not isinstance(state, dict) or state.get("format") != file_format:
        raise CheckpointError(f"checkpoint {path} is not a checkpoint of format {file_format!r}")
    run = run or {}
    # A version that did not know a field of recipes trained as its default does.
    defaults = Recipe().model_dump(mode="json")
    theirs = {
        **{f"recipe.{name}": value for name, value in defaults.items()},
        **state.get("run", {}),
    }
    if differing := [key for key in run if theirs.get(key) != run[key]]:
        differences = "; ".join(
            f"{key} is {theirs.get(key)!r} there, {run[key]!r} here" for key in differing
        )
        raise CheckpointError(f"checkpoint {path} is of another run: {differences}")
    return state


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: Optimizer,
    run: dict[str, Any],
    average: nn.Module | None = None,
) -> Progress:
    """Puts weights, their average and optimiser state back, and returns how far the run had come.

    Raises:
        CheckpointError: The file is corrupt, or was written by another program, for another
            network, or for a run of another `run` (each difference is named).
    """
    state = read_state(path, FORMAT, run)
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if average is not None:
            average.load_state_dict(state["average"])
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"checkpoint {path} is of another network: {shorten(str(error), 300)}"
        ) from error
    return Progress(
        seconds=state["seconds"],
        losses=state["losses"].tolist(),
        checks=[
            Check(
                step=step,
                evaluation=_unpacked(evaluation),
                averaged=averaged and _unpacked(averaged),
                seconds=seconds,
            )
            for step, evaluation, averaged, seconds in state["checks"]
        ],
    )


_Packed = tuple[torch.Tensor, torch.Tensor, float]


def _packed(evaluation: Evaluation) -> _Packed:
    return (
        torch.from_numpy(evaluation.confusion),
        torch.from_numpy(evaluation.boundary),
        evaluation.cross_entropy,
    )


def _unpacked(packed: _Packed) -> Evaluation:
    confusion, boundary, cross_entropy = packed
    return Evaluation(confusion.numpy(), boundary.numpy(), cross_entropy)
