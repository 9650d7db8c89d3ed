"""`hrvit-latency`: measures how long the parts of networks take, and predicts architectures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import run_app
from .options import listed
from .running import say

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from rich.progress import TaskID

    from ..cost.latency import Conditions
    from ..results.latency_table import LatencyTable
    from ..search.profiles import Profile

NAME = "hrvit-latency"
OF_MEASURING = """\b
Examples:
  hrvit-latency measure --space heterogeneous_branches --profile laptop --output latency.json
  hrvit-latency measure --image-size 192 256 --num-classes 11 --output camvid_latency.json
  hrvit-search --latency-table latency.json --cost predicted_latency_ms
  hrvit-latency measure --profile cluster --device cuda --output gpu_latency.json
"""
OF_PREDICTING = """\b
Examples:
  hrvit-latency predict latency.json --arch hrvit_b1
  hrvit-latency predict latency.json --arch arch.json,runs/heterogeneous_branches-1:0123456789ab
"""
NUM_CLASSES = 19
"""Classes where the profile's data set does not tell how many it has."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def latency() -> None:
    """Latency tables: measured parts of networks, from which those of others are predicted."""


@app.command(epilog=OF_MEASURING)
def measure(
    output: Annotated[
        Path, typer.Option(help="JSON file to write; one that is there is gone on with.")
    ],
    space: Annotated[
        str, typer.Option(help="Name of a declared space, or path of a YAML file.")
    ] = "heterogeneous_branches",
    profile: Annotated[
        str, typer.Option(help="What narrows the space: laptop, cluster, or a path.")
    ] = "laptop",
    image_size: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="H W", help="Height and width, in pixels. Default: those of the profile."
        ),
    ] = None,
    num_classes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Classes that networks tell apart. Default: those of the profile's data set where"
            f" it needs no files, else {NUM_CLASSES}.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to measure: cpu, cuda, cuda:1.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads inside an operator.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a pass.")] = 1,
    warmup: Annotated[int, typer.Option(min=0, help="Passes before the first that counts.")] = 3,
    repeats: Annotated[
        int, typer.Option(min=1, help="Timings that count, of each part and network.")
    ] = 24,
    max_parts: Annotated[
        int,
        typer.Option(
            min=10,
            help="Parts to measure at most, those that most architectures have; others are"
            " estimated by their work.",
        ),
    ] = 2000,
    calibrate: Annotated[
        int, typer.Option(help="Random architectures to measure as a whole, to fit to.")
    ] = 40,
    validate: Annotated[
        int,
        typer.Option(min=0, help="Other random architectures to measure, to hold predictions to."),
    ] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of the architectures that are drawn.")] = 0,
) -> int:
    """Measures a latency table of a space, and how far its predictions can be trusted.

    Measured are the parts that the space's architectures are made of, at the sizes they run at, and
    some random architectures as a whole. Nothing else should run on the machine. What the file
    holds is not measured again, so that an interrupted measurement goes on by the same command.
    """
    from rich.console import Console

    from ..cost.latency import LatencyError
    from ..evaluation.latency_fit import LEAST_NETWORKS
    from ..evaluation.part_latency import Timer
    from ..search.config_parts import load_narrowed
    from ..search.latency import measure_latency_table
    from ..search.profiles import load_profile

    if calibrate < LEAST_NETWORKS:
        raise LatencyError(f"--calibrate must be at least {LEAST_NETWORKS}, got {calibrate}")
    if not output.resolve().parent.is_dir():
        raise LatencyError(f"--output must be in a folder that is there, got {str(output)!r}")
    chosen = load_profile(profile)
    name = f"{space} ({profile})"
    narrowed = load_narrowed(space, chosen.narrowing)
    timer = Timer(
        device=_device(device),
        image_size=image_size or _image_size(chosen),
        num_classes=num_classes or _num_classes(chosen),
        batch_size=batch_size,
        threads=threads,
        warmup=warmup,
        repeats=repeats,
    )
    console = Console()
    with _Bars(lambda: say(console, f"measuring {name}: {_said(timer.conditions)}")) as bars:
        table = measure_latency_table(
            output,
            narrowed,
            timer,
            name=name,
            max_parts=max_parts,
            num_calibration=calibrate,
            num_validation=validate,
            seed=seed,
            progress=bars,
        )
    say(console, *_described(table))
    say(console, f"latency table: {output}")
    return 0


@app.command(epilog=OF_PREDICTING)
def predict(
    table: Annotated[Path, typer.Argument(help="Of `hrvit-latency measure`.")],
    arch: Annotated[
        str,
        typer.Option(
            help="Architectures, separated by commas: presets, .json files, run directories (for"
            " the best of the frontier), RUN:ID."
        ),
    ],
) -> int:
    """Predicts latencies from a table, for the conditions that it was measured in."""
    from rich.console import Console

    from ..cost.latency import LatencyError
    from ..results.latency_table import read_latency_table
    from ..search.named_arch import find_arch

    names = listed(arch)
    if not names:
        raise LatencyError("--arch must name an architecture, got none")
    found = read_latency_table(table)
    model = found.model
    rows = [(name, model.predict(find_arch(name)[0])) for name in names]
    console = Console()
    say(console, *_described(found))
    for name, predicted in rows:
        kinds = sorted(predicted.by_kind.items(), key=lambda item: -item[1])
        of_them = ", ".join(f"{kind.replace('_', ' ')} {ms:.3g}" for kind, ms in kinds if ms)
        estimated = f"; {predicted.estimated_ms / predicted.ms:.0%} of it by work alone"
        say(
            console,
            f"{name}: {predicted.ms:.4g} ms ({of_them})"
            + (estimated if predicted.num_estimated else ""),
        )
    return 0


class _Bars:
    """Bars with the time that is left, on a terminal's error stream.

    Args:
        announce: Called before anything is measured.
    """

    def __init__(self, announce: Callable[[], None]) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._announce = announce

    def __enter__(self) -> _Bars:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        if not self._tasks:
            self._announce()
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total)
        self._bar.update(self._tasks[what], completed=done, total=total)


def _described(table: LatencyTable) -> list[str]:
    """What was measured, and how well it predicts."""
    calibration, agreement = table.model.calibration, table.agreement()
    return [
        f"{table.space}, {table.date}: {_said(table.conditions)}",
        f"{len(table.parts)} parts; fitted to {calibration.num_networks} random architectures",
        *(agreement.lines() if agreement else ["held to too few architectures to say how well"]),
    ]


def _said(at: Conditions) -> str:
    """What latencies hold for."""
    height, width = at.image_size
    return (
        f"{at.device}, {at.threads} thread{'s' * (at.threads > 1)}, {at.precision}, torch"
        f" {at.torch_version}, {height}x{width}, batch {at.batch_size}, {at.num_classes} classes"
    )


def _device(name: str) -> torch.device:
    """A device that is there."""
    import torch

    from ..cost.latency import LatencyError

    try:
        device = torch.device(name)
    except RuntimeError:
        raise LatencyError(f"--device must be cpu, cuda or cuda:N, got {name!r}") from None
    if device.type not in ("cpu", "cuda"):
        raise LatencyError(f"--device must be cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise LatencyError(
            f"--device {name} must be there; torch sees {torch.cuda.device_count()} GPUs"
        )
    return device


def _image_size(profile: Profile) -> tuple[int, int]:
    """What the profile's data set is trained at."""
    from ..cost.latency import LatencyError
    from ..search.profiles import load_recipe

    recipe = profile.recipe_for(profile.data.name)
    plan = None if recipe is None else load_recipe(recipe)
    size = None if plan is None else plan.image_size or plan.recipe.crop_size
    if size is None:
        raise LatencyError("the profile does not say at which size; give --image-size")
    return size


def _num_classes(profile: Profile) -> int:
    """Those of the profile's data set."""
    from ..data import DataConfig, open_data
    from ..data.layouts import LAYOUTS

    name = profile.data.name
    if "root" in LAYOUTS[name].reads:
        return NUM_CLASSES
    return open_data(DataConfig(name=name)).num_classes


def main() -> None:
    """Entry point."""
    run_app(app, NAME)


if __name__ == "__main__":
    main()
